//! The content of a message, and its parts.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use crate::prompt::content::{ContentPart, DetailShape, attachment};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// The content of a message.
#[derive(Default)]
pub(super) enum Content<'de> {
    #[default]
    Nothing,
    Text(Cow<'de, str>),
    Parts(Vec<ContentPart<'de>>),
}

pub(super) struct ContentShape;

impl<'de> JsonShape<'de> for ContentShape {
    type Value = Content<'de>;
    const EXPECTED: &'static str = "a string or an array of parts";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Content<'de>, E> {
        match scalar {
            Scalar::Text(text) => Ok(Content::Text(text)),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Content<'de>, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = reader.member(&mut members, parts.len(), ContentPartShape)? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }
}

struct ContentPartShape;

impl<'de> JsonShape<'de> for ContentPartShape {
    type Value = ContentPart<'de>;
    const EXPECTED: &'static str = "a part object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ContentPart<'de>, A::Error> {
        let (mut kind, mut text, mut image, mut refusal) = (None, None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "text" => nullable(text, StringShape),
            "image_url" => nullable(image, ImageShape),
            "refusal" => nullable(refusal, StringShape),
            // These are refused by their type, which may come later.
            "input_audio" | "file" => skip(),
        });
        let Some(kind) = kind else {
            return Err(reader.invalid_member("type", "required: `text` or `image_url`"));
        };
        let (part, name) = match kind.as_ref() {
            "text" => (text.map(ContentPart::Text), "text"),
            "image_url" => (image.map(ContentPart::Image), "image_url"),
            "refusal" => (refusal.map(ContentPart::Refusal), "refusal"),
            other => return Err(unknown_type(reader, other)),
        };
        match part {
            Some(part) => Ok(part),
            None => {
                Err(reader.invalid_member(name, &format!("required in a part of type `{name}`")))
            }
        }
    }
}

fn unknown_type<E: de::Error>(reader: &mut Reader<'_>, kind: &str) -> E {
    match kind {
        "input_audio" | "file" => {
            let message = format!("parts of type `{kind}` are not supported; send text or images");
            reader.unsupported_member("type", &message)
        }
        other => {
            let message = format!(
                "expected `text`, `image_url` or, from the assistant, `refusal`, found `{}`",
                quoted(other)
            );
            reader.invalid_member("type", &message)
        }
    }
}

/// `image_url`: an object with a `url`, or the URL itself, as some clients write it. Yields the attachment's number.
struct ImageShape;

impl<'de> JsonShape<'de> for ImageShape {
    type Value = u32;
    const EXPECTED: &'static str = "an object with a `url`";

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        match scalar {
            Scalar::Text(url) => attachment(reader, &url),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<u32, A::Error> {
        let mut number = None;
        read_members!(reader, fields, {
            "url" => value(number, UrlShape),
            "detail" => run {
                if reader.or_default(&mut fields, "detail", DetailShape)?
                {
                    reader.ignore("detail")?;
                }
            },
        });
        match number {
            Some(number) => Ok(number),
            None => Err(reader.invalid_member("url", "required: a data: URL of an image")),
        }
    }
}

struct UrlShape;

impl<'de> JsonShape<'de> for UrlShape {
    type Value = u32;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        let url = StringShape.scalar(reader, scalar)?;
        attachment(reader, &url)
    }
}
