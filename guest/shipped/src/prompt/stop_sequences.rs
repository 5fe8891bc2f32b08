//! Sequences at which the answer ends: `stop` of a chat completion, `stop_sequences` of the Messages API.

use serde::de::{self, SeqAccess};

use super::reader::Reader;
use super::shape::{JsonShape, Scalar, StringShape};

/// The most characters of a sequence. The translator holds back as much text while it may be the beginning of one.
const LENGTH_AT_MOST: usize = 1_024;

/// An array of at most this many sequences.
pub(super) struct StopSequences(pub(super) usize);

impl<'de> JsonShape<'de> for StopSequences {
    type Value = Vec<String>;
    const EXPECTED: &'static str = "an array of strings";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Vec<String>, A::Error> {
        let mut sequences = Vec::new();
        while let Some(sequence) = reader.member(&mut members, sequences.len(), StopSequence)? {
            if sequences.len() == self.0 {
                return Err(reader.invalid(&format!("at most {} sequences", self.0)));
            }
            sequences.push(sequence);
        }
        Ok(sequences)
    }
}

/// One sequence.
pub(super) struct StopSequence;

impl<'de> JsonShape<'de> for StopSequence {
    type Value = String;
    const EXPECTED: &'static str = StringShape::EXPECTED;
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<String, E> {
        let sequence = StringShape.scalar(reader, scalar)?;
        if sequence.is_empty() || sequence.chars().nth(LENGTH_AT_MOST).is_some() {
            return Err(reader.invalid(&format!("expected 1 to {LENGTH_AT_MOST} characters")));
        }
        Ok(sequence.into_owned())
    }
}
