//! The parts of messages and results: text, images and refusals. The host keeps the images.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{self, SeqAccess};

use super::problems::quoted;
use super::reader::Reader;
use super::shape::{JsonShape, Scalar, StringShape};
use crate::bindings::airlock::policy::types::InputItem;

/// The prefix by which the host refers to a lifted attachment.
const ATTACHMENT: &str = "attachment:";

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

/// How the elements of a content are read.
pub(super) trait ElementShape<'de> {
    type Element;
    /// The expected content, for the error of another value.
    const EXPECTED: &'static str;

    /// The element for which a string stands.
    fn of_text(text: Cow<'de, str>) -> Self::Element;

    /// Reads the next element of the array.
    fn next<A: SeqAccess<'de>>(
        reader: &mut Reader<'_>,
        members: &mut A,
        index: usize,
    ) -> Result<Option<Self::Element>, A::Error>;
}

/// A string or an array of elements, as elements. A string stands for one; an empty array is empty.
pub(super) struct ElementsShape<S>(PhantomData<S>);

impl<S> Default for ElementsShape<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, S: ElementShape<'de>> JsonShape<'de> for ElementsShape<S> {
    type Value = Vec<S::Element>;
    const EXPECTED: &'static str = S::EXPECTED;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Text(text) => Ok(vec![S::of_text(text)]),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = S::next(reader, &mut members, elements.len())? {
            elements.push(element);
        }
        Ok(elements)
    }
}

/// The number of the image to which this URL refers.
pub(super) fn attachment<E: de::Error>(reader: &mut Reader<'_>, url: &str) -> Result<u32, E> {
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
    if !url.starts_with(ATTACHMENT) {
        return Err(reader.invalid("expected a data: URL of an image"));
    }
    match lifted_image(reader, url) {
        LiftedImage::Attachment(number) => Ok(number),
        LiftedImage::OtherFormat => Err(reader.invalid(NOT_AN_IMAGE)),
        LiftedImage::NotLifted => Err(reader.invalid(
            "expected a data: URL of an image; the prefix `attachment:` is reserved for the gateway",
        )),
    }
}

/// The message about an attachment of another format.
pub(super) const NOT_AN_IMAGE: &str =
    "this is not an image that models read; send PNG, JPEG, GIF or WebP";

/// What a text at the place of an image stands for.
pub(super) enum LiftedImage {
    /// The image of this number.
    Attachment(u32),
    /// An attachment that is no image.
    OtherFormat,
    /// No attachment that the host lifted from here.
    NotLifted,
}

/// The attachment to which the text at the current path refers.
pub(super) fn lifted_image(reader: &mut Reader<'_>, text: &str) -> LiftedImage {
    let number = text.strip_prefix(ATTACHMENT);
    let number = number.and_then(|number| number.parse::<u32>().ok());
    match number.and_then(|number| Some((number, reader.attachment(number)?))) {
        Some((number, attachment)) if is_image(&attachment.media_type) => {
            LiftedImage::Attachment(number)
        }
        Some(_) => LiftedImage::OtherFormat,
        None => LiftedImage::NotLifted,
    }
}

/// The formats that Codex decodes; the host detects them by the first bytes. Codex replaces any other file by a text
/// of its own, which would make the answer wrong.
fn is_image(media_type: &str) -> bool {
    const READ: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    READ.iter()
        .any(|read| media_type.eq_ignore_ascii_case(read))
}

/// The non-empty parts of a result, or one part: Codex drops empty ones, but not from a result for which a turn has
/// waited.
pub(super) fn result_parts(mut parts: Vec<ContentPart<'_>>) -> Vec<ContentPart<'_>> {
    let is_empty =
        |part: &ContentPart<'_>| matches!(part, ContentPart::Text(text) if text.is_empty());
    let last = parts.pop();
    parts.retain(|part| !is_empty(part));
    parts.extend(last.filter(|last| parts.is_empty() || !is_empty(last)));
    parts
}

/// The resolution at which to process an image. True for a value that has an effect: Codex has no field for it.
pub(super) struct DetailShape;

impl<'de> JsonShape<'de> for DetailShape {
    type Value = bool;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

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
