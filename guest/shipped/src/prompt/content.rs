//! The content of a message: text, images and refusals. The host keeps the images.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::members::read_members;
use super::problems::quoted;
use super::reader::{PathSegment, Reader};
use super::shape::{JsonShape, Scalar, StringShape};
use crate::bindings::airlock::policy::types::InputItem;

/// The prefix by which the host refers to a lifted attachment.
const ATTACHMENT: &str = "attachment:";

/// The content of a message.
#[derive(Default)]
pub(super) enum Content<'de> {
    #[default]
    Nothing,
    Text(Cow<'de, str>),
    Parts(Vec<ContentPart<'de>>),
}

/// A part of a message's content.
pub(super) enum ContentPart<'de> {
    Text(Cow<'de, str>),
    /// The number of an attachment.
    Image(u32),
    /// The text with which the model refused to answer.
    Refusal(Cow<'de, str>),
}

impl ContentPart<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Refusal(text) => text,
            Self::Image(_) => "",
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Refusal(text) => text.is_empty(),
            Self::Image(_) => false,
        }
    }

    pub(super) fn into_input(self) -> InputItem {
        match self {
            Self::Text(text) | Self::Refusal(text) => InputItem::Text(Cow::into_owned(text)),
            Self::Image(number) => InputItem::Attachment(number),
        }
    }
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
            other => {
                return reader.at(PathSegment::Key("type"), |reader| {
                    Err(unknown_type(reader, other))
                });
            }
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
        "input_audio" | "file" => reader.unsupported(&format!(
            "parts of type `{kind}` are not supported; send text or images"
        )),
        other => reader.invalid(&format!(
            "expected `text`, `image_url` or, from the assistant, `refusal`, found `{}`",
            quoted(other)
        )),
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

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        let url = StringShape.scalar(reader, scalar)?;
        attachment(reader, &url)
    }
}

/// The resolution at which to process an image. True for a value that has an effect: Codex has no field for it.
struct DetailShape;

impl<'de> JsonShape<'de> for DetailShape {
    type Value = bool;
    const EXPECTED: &'static str = "a string";

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<bool, E> {
        let detail = StringShape.scalar(reader, scalar)?;
        match detail.as_ref() {
            "auto" => Ok(false),
            "low" | "high" | "original" => Ok(true),
            other => Err(reader.invalid(&format!(
                "expected `auto`, `low`, `high` or `original`, found `{}`",
                quoted(other)
            ))),
        }
    }
}

/// The number of the image to which this URL refers.
fn attachment<E: de::Error>(reader: &mut Reader<'_>, url: &str) -> Result<u32, E> {
    let scheme = url.split(':').next().unwrap_or_default();
    if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") {
        return Err(reader.invalid("remote image URLs are not supported; use a data: URL"));
    }
    if scheme.eq_ignore_ascii_case("data") {
        // The host lifts every data URL that it can decode, so this one is invalid.
        return Err(reader.invalid(
            "this data: URL cannot be read; write it as data:image/png;base64,… with nothing but padded base64 after the comma, and send at most 256 of them",
        ));
    }
    let Some(number) = url.strip_prefix(ATTACHMENT) else {
        return Err(reader.invalid("expected a data: URL of an image"));
    };
    let number = number.parse::<u32>().ok();
    let found = number.and_then(|number| Some((number, reader.attachment(number)?)));
    match found {
        Some((number, attachment)) if is_image(&attachment.media_type) => Ok(number),
        Some(_) => {
            Err(reader.invalid("this is not an image that models read; send PNG, JPEG, GIF or WebP"))
        }
        None => Err(reader.invalid(
            "expected a data: URL of an image; the prefix `attachment:` is reserved for the gateway",
        )),
    }
}

/// The formats that Codex decodes; the host detects them by the first bytes. Codex replaces any other file by a text
/// of its own, which would make the answer wrong.
fn is_image(media_type: &str) -> bool {
    const READ: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    READ.iter()
        .any(|read| media_type.eq_ignore_ascii_case(read))
}
