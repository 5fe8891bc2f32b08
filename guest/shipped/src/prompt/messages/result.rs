//! The content of a `tool_result` block: text and images.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::block::{BLOCKS, REQUIRED};
use super::image::ImageSourceShape;
use crate::prompt::content::{ContentPart, ElementShape, result_parts};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, StringShape};
use crate::prompt::typed::TypedObject;

/// The text before the content of a result with `is_error`, for which the Responses API has no field.
const FAILED: &str = "The tool call failed:";

/// A block of a result.
pub(super) struct ResultBlock;

impl<'de> ElementShape<'de> for ResultBlock {
    type Element = ContentPart<'de>;
    const EXPECTED: &'static str = BLOCKS;

    fn of_text(text: Cow<'de, str>) -> ContentPart<'de> {
        ContentPart::Text(text)
    }

    fn next<A: SeqAccess<'de>>(
        reader: &mut Reader<'_>,
        members: &mut A,
        index: usize,
    ) -> Result<Option<ContentPart<'de>>, A::Error> {
        TypedObject::next(reader, members, index, "a block object", read_block)
    }
}

/// Reads a block by its type. The reader's path must be the block's.
fn read_block<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    object: &TypedObject<'de>,
) -> Result<ContentPart<'de>, E> {
    match object.kind.as_deref() {
        Some("text") => object.read(reader, ResultBlockShape::Text),
        Some("image") => object.read(reader, ResultBlockShape::Image),
        Some(other) => {
            let message = format!(
                "blocks of type `{}` are not supported in a result; send text or images",
                quoted(other)
            );
            Err(reader.unsupported_member("type", &message))
        }
        None => Err(reader.invalid_member("type", "required: `text` or `image`")),
    }
}

/// A block of this type.
enum ResultBlockShape {
    Text,
    Image,
}

impl<'de> JsonShape<'de> for ResultBlockShape {
    type Value = ContentPart<'de>;
    const EXPECTED: &'static str = "a block object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ContentPart<'de>, A::Error> {
        let (mut text, mut source) = (None, None);
        read_members!(reader, fields, {
            "text" => value(text, StringShape),
            "source" => run {
                source = match self {
                    Self::Image => Some(reader.field(&mut fields, "source", ImageSourceShape)?),
                    Self::Text => fields.next_value::<de::IgnoredAny>().map(|_| None)?,
                };
            },
            "type" | "cache_control" | "citations" => skip(),
        });
        let (part, name) = match self {
            Self::Text => (text.map(ContentPart::Text), "text"),
            Self::Image => (source.map(ContentPart::Image), "source"),
        };
        part.ok_or_else(|| reader.invalid_member(name, REQUIRED))
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
