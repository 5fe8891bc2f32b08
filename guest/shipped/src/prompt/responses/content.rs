//! The content of messages, and the outputs of calls: a string, or parts.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use crate::prompt::content::{ContentPart, DetailShape, ElementShape, attachment};
use crate::prompt::conversation::MessageRole;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// A part of a message's content, or of a call's output.
pub(super) struct MessagePart;

impl<'de> ElementShape<'de> for MessagePart {
    type Element = ContentPart<'de>;
    const EXPECTED: &'static str = "a string or an array of parts";

    fn of_text(text: Cow<'de, str>) -> ContentPart<'de> {
        ContentPart::Text(text)
    }

    fn next<A: SeqAccess<'de>>(
        reader: &mut Reader<'_>,
        members: &mut A,
        index: usize,
    ) -> Result<Option<ContentPart<'de>>, A::Error> {
        reader.member(members, index, PartShape)
    }
}

/// Checks that a message of this role, or an output, may have these parts.
pub(super) fn check_parts<E: de::Error>(
    reader: &mut Reader<'_>,
    role: Option<MessageRole>,
    parts: &[ContentPart<'_>],
) -> Result<(), E> {
    for (index, part) in parts.iter().enumerate() {
        let message = match part {
            ContentPart::Image(_) if role.is_some_and(|role| role != MessageRole::User) => {
                "only messages of role `user` and outputs may contain images"
            }
            ContentPart::Refusal(_) if role != Some(MessageRole::Assistant) => {
                "only messages of role `assistant` may contain a refusal"
            }
            ContentPart::Text(_) | ContentPart::Image(_) | ContentPart::Refusal(_) => continue,
        };
        return Err(reader.invalid_at(&[PathSegment::Index(index)], message));
    }
    Ok(())
}

struct PartShape;

impl<'de> JsonShape<'de> for PartShape {
    type Value = ContentPart<'de>;
    const EXPECTED: &'static str = "a part object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ContentPart<'de>, A::Error> {
        let (mut kind, mut text, mut image, mut refusal) = (None, None, None, None);
        let mut has_file_id = false;
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "text" => nullable(text, StringShape),
            "image_url" => nullable(image, ImageUrlShape),
            "refusal" => nullable(refusal, StringShape),
            "file_id" => run {
                has_file_id = reader.nullable(&mut fields, "file_id", StringShape)?.is_some();
            },
            "detail" => run {
                if reader.or_default(&mut fields, "detail", DetailShape)? {
                    reader.ignore("detail")?;
                }
            },
            // Members of the model's answers, and hints for a cache that Codex does not control. The others are of parts
            // that are refused by their type, which may come later.
            "annotations" | "logprobs" | "prompt_cache_breakpoint" | "parsed" | "input_audio"
            | "file_data" | "file_url" | "filename" => skip(),
        });
        let Some(kind) = kind else {
            return Err(reader.invalid_member("type", &format!("required: {KINDS}")));
        };
        let (part, name) = match kind.as_ref() {
            "input_text" | "output_text" => (text.map(ContentPart::Text), "text"),
            "refusal" => (refusal.map(ContentPart::Refusal), "refusal"),
            "input_image" if has_file_id => {
                let message = "files are not stored; send the image as a data: URL in `image_url`";
                return Err(reader.unsupported_member("file_id", message));
            }
            "input_image" => (image.map(ContentPart::Image), "image_url"),
            other => return Err(unknown_part(reader, other)),
        };
        part.ok_or_else(|| {
            let message = format!("required in a part of type `{kind}`");
            reader.invalid_member(name, &message)
        })
    }
}

const KINDS: &str = "`input_text`, `input_image`, `output_text` or `refusal`";

fn unknown_part<E: de::Error>(reader: &mut Reader<'_>, kind: &str) -> E {
    match kind {
        "input_file" | "input_audio" => {
            let message = format!("parts of type `{kind}` are not supported; send text or images");
            reader.unsupported_member("type", &message)
        }
        other => {
            let message = format!("expected {KINDS}, found `{}`", quoted(other));
            reader.invalid_member("type", &message)
        }
    }
}

/// `image_url`: a URL. Yields the attachment's number.
struct ImageUrlShape;

impl<'de> JsonShape<'de> for ImageUrlShape {
    type Value = u32;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        let url: Cow<'de, str> = StringShape.scalar(reader, scalar)?;
        attachment(reader, &url)
    }
}
