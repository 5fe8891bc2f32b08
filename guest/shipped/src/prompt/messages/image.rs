//! `source` of an image block. The host keeps the image.

use serde::de::{self, MapAccess};

use crate::prompt::content::{LiftedImage, NOT_AN_IMAGE, lifted_image};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// `source`. Yields the attachment's number.
pub(super) struct ImageSourceShape;

impl<'de> JsonShape<'de> for ImageSourceShape {
    type Value = u32;
    const EXPECTED: &'static str = "an object with `type: \"base64\"`, `media_type` and `data`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<u32, A::Error> {
        let (mut kind, mut media_type, mut number) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "media_type" => value(media_type, MediaTypeShape),
            "data" => value(number, DataShape),
            // These are refused by their type, which may come later.
            "url" | "file_id" => skip(),
        });
        match kind.as_deref() {
            Some("base64") => {}
            Some(other @ ("url" | "file")) => {
                let message = format!(
                    "sources of type `{other}` are not supported; send the image's bytes with `type: \"base64\"`"
                );
                return Err(reader.unsupported_member("type", &message));
            }
            Some(other) => {
                let message = format!("expected `base64`, found `{}`", quoted(other));
                return Err(reader.invalid_member("type", &message));
            }
            None => return Err(reader.invalid_member("type", "required: `base64`")),
        }
        if media_type.is_none() {
            let message = format!("required: {}", MediaTypeShape::EXPECTED);
            return Err(reader.invalid_member("media_type", &message));
        }
        number.ok_or_else(|| reader.invalid_member("data", "required: the image in base64"))
    }
}

/// `media_type`. Codex detects the format by the image's bytes.
struct MediaTypeShape;

impl<'de> JsonShape<'de> for MediaTypeShape {
    type Value = ();
    const EXPECTED: &'static str = "`image/jpeg`, `image/png`, `image/gif` or `image/webp`";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<(), E> {
        let Scalar::Text(media_type) = scalar else {
            return Err(reader.wrong(Self::EXPECTED, scalar.kind()));
        };
        match media_type.as_ref() {
            "image/jpeg" | "image/png" | "image/gif" | "image/webp" => Ok(()),
            other => Err(reader.wrong(Self::EXPECTED, &format!("`{}`", quoted(other)))),
        }
    }
}

/// `data`, in whose place the host has put the attachment's name.
struct DataShape;

impl<'de> JsonShape<'de> for DataShape {
    type Value = u32;
    const EXPECTED: &'static str = StringShape::EXPECTED;
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        let data = StringShape.scalar(reader, scalar)?;
        match lifted_image(reader, &data) {
            LiftedImage::Attachment(number) => Ok(number),
            LiftedImage::OtherFormat => Err(reader.invalid(NOT_AN_IMAGE)),
            // The host lifts all base64 that it can decode.
            LiftedImage::NotLifted => Err(reader.invalid(
                "this image cannot be read; write it in padded base64 without line breaks, and send at most 256 of them",
            )),
        }
    }
}
