//! The content of a `tool_result` block: text and images.

use serde::de::{self, MapAccess, SeqAccess};

use super::image::ImageSourceShape;
use crate::prompt::content::{ContentPart, result_parts};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// The text before the content of a result with `is_error`, for which the Responses API has no field.
const FAILED: &str = "The tool call failed:";

pub(super) struct ResultContentShape;

impl<'de> JsonShape<'de> for ResultContentShape {
    type Value = Vec<ContentPart<'de>>;
    const EXPECTED: &'static str = "a string or an array of blocks";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Text(text) => Ok(vec![ContentPart::Text(text)]),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = reader.member(&mut members, parts.len(), ResultBlockShape)? {
            parts.push(part);
        }
        Ok(parts)
    }
}

struct ResultBlockShape;

impl<'de> JsonShape<'de> for ResultBlockShape {
    type Value = ContentPart<'de>;
    const EXPECTED: &'static str = "a block object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ContentPart<'de>, A::Error> {
        let (mut kind, mut text, mut source) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "text" => value(text, StringShape),
            "source" => run {
                // Another block's source has another shape; the block is refused by its type.
                if kind.as_deref().is_none_or(|kind| kind == "image") {
                    source = Some(reader.field(&mut fields, "source", ImageSourceShape)?);
                } else {
                    fields.next_value::<de::IgnoredAny>()?;
                }
            },
            "cache_control" | "citations" => skip(),
        });
        let (part, name) = match kind.as_deref() {
            Some("text") => (text.map(ContentPart::Text), "text"),
            Some("image") => (source.map(ContentPart::Image), "source"),
            Some(other) => {
                return reader.at(PathSegment::Key("type"), |reader| {
                    Err(reader.unsupported(&format!(
                        "blocks of type `{}` are not supported in a result; send text or images",
                        quoted(other)
                    )))
                });
            }
            None => return Err(reader.invalid_member("type", "required: `text` or `image`")),
        };
        part.ok_or_else(|| reader.invalid_member(name, "required in a block of this type"))
    }
}

/// The parts of a result: its content, after a note if the call failed.
pub(super) fn noted_parts(content: Vec<ContentPart<'_>>, is_error: bool) -> Vec<ContentPart<'_>> {
    let mut parts = Vec::with_capacity(content.len() + 1);
    if is_error {
        parts.push(ContentPart::Text(FAILED.into()));
    }
    parts.extend(content);
    if parts.is_empty() {
        parts.push(ContentPart::Text("".into()));
    }
    result_parts(parts)
}
