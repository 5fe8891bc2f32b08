//! Small members of the body: `include`, `metadata` and `stream_options`.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{BooleanShape, JsonShape, Scalar, ShapeSeed, StringShape};

/// The most members of `metadata`, the most characters of a name, and those of a value, as in OpenAI's API.
const METADATA_AT_MOST: (usize, usize, usize) = (16, 64, 512);

/// What `include` adds to reasoning items.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

/// `include`. True if reasoning items are to have their `encrypted_content`.
pub(super) struct IncludeShape;

impl<'de> JsonShape<'de> for IncludeShape {
    type Value = bool;
    const EXPECTED: &'static str = "an array of strings";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<bool, A::Error> {
        let mut encrypted = false;
        let mut index = 0;
        while let Some(name) = reader.member(&mut members, index, StringShape)? {
            if name == ENCRYPTED_REASONING {
                encrypted = true;
            } else {
                reader.ignore_at(PathSegment::Index(index), &name)?;
            }
            index += 1;
        }
        Ok(encrypted)
    }
}

/// `metadata`: strings by their names.
pub(super) struct MetadataShape;

impl<'de> JsonShape<'de> for MetadataShape {
    type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;
    const EXPECTED: &'static str = "an object of strings";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (members, name_length, value_length) = METADATA_AT_MOST;
        let mut metadata = Self::Value::new();
        while let Some(name) = reader.key(&mut fields)? {
            let shape = MetadataValue(&name);
            let value = fields.next_value_seed(ShapeSeed {
                reader: &mut *reader,
                shape,
            })?;
            if name.chars().nth(name_length).is_some() {
                return Err(reader.invalid(&format!(
                    "a name has at most {name_length} characters, `{}` has more",
                    quoted(&name)
                )));
            }
            if value.chars().nth(value_length).is_some() {
                return Err(reader.invalid(&format!(
                    "a value has at most {value_length} characters, that of `{}` has more",
                    quoted(&name)
                )));
            }
            // Of a duplicate member the last one counts, as in other JSON parsers.
            metadata.retain(|(other, _)| *other != name);
            if metadata.len() == members {
                return Err(reader.invalid(&format!("at most {members} members")));
            }
            metadata.push((name, value));
        }
        Ok(metadata)
    }
}

/// The value of the member of this name.
struct MetadataValue<'a>(&'a str);

impl<'de> JsonShape<'de> for MetadataValue<'_> {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Text(text) => Ok(text),
            other => {
                let message = format!(
                    "the value of `{}` must be a string, found {}",
                    quoted(self.0),
                    other.kind()
                );
                Err(reader.invalid(&message))
            }
        }
    }
}

/// `conversation`: an identifier, or an object with it.
pub(super) struct ConversationShape;

impl<'de> JsonShape<'de> for ConversationShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a string or an object";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            text @ Scalar::Text(_) => NonEmptyString.scalar(reader, text),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut id = None;
        read_members!(reader, fields, {
            "id" => value(id, NonEmptyString),
        });
        id.ok_or_else(|| reader.invalid_member("id", "required: the conversation's identifier"))
    }
}

/// `stream_options`. True if the stream has the candidates of a fan-out.
pub(super) struct CandidateStreamShape;

impl<'de> JsonShape<'de> for CandidateStreamShape {
    type Value = bool;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<bool, A::Error> {
        let mut candidates = None;
        read_members!(reader, fields, {
            "include_candidates" => nullable(candidates, BooleanShape),
            // Padding that hides the lengths of events. The answer does not depend on it.
            "include_obfuscation" => run {
                reader.nullable(&mut fields, "include_obfuscation", BooleanShape)?;
            },
        });
        Ok(candidates.unwrap_or(true))
    }
}
