//! `stop` of a chat completion: one sequence, or several.

use serde::de::{self, SeqAccess};

use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar};
use crate::prompt::stop_sequences::{StopSequence, StopSequences};

/// The most sequences, as at OpenAI.
const SEQUENCES_AT_MOST: usize = 4;

pub(super) struct StopShape;

impl<'de> JsonShape<'de> for StopShape {
    type Value = Vec<String>;
    const EXPECTED: &'static str = "a string or an array";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Vec<String>, E> {
        match scalar {
            // Clients send an empty string for none.
            Scalar::Text(text) if text.is_empty() => Ok(Vec::new()),
            text @ Scalar::Text(_) => Ok(vec![StopSequence.scalar(reader, text)?]),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        members: A,
    ) -> Result<Vec<String>, A::Error> {
        StopSequences(SEQUENCES_AT_MOST).array(reader, members)
    }
}
