//! Checks whether an image can be decoded. Codex (0.163.0 and 0.169.0) replaces an image that it cannot decode by a sentence of
//! its own, so the gateway refuses such an image first. The decoder is Codex's: `image` 0.25.9, with the versions of its format
//! crates that `Cargo.lock` pins.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use airlock_types::failure::Failure;
// As much as 89 million pixels of 8-bit RGB. Codex has no such bound for JPEG and GIF: 1 KiB of JPEG whose header has 65535 ×
// 65535 pixels makes it allocate 12 GiB (0.163.0 and 0.169.0), which ends the child.
use airlock_base::memory::DECODED_BYTES;
use airlock_types::wit::ProblemKind;

/// The maximum width and height of an image in pixels. From 65,529 on, zune-jpeg 0.5.12 overflows when it rounds a side up to
/// whole blocks.
const SIDE_PIXELS: u32 = 65_528;

/// The memory of a progressive JPEG, in multiples of its decoded size: zune-jpeg stores coefficients of 16 bits besides the
/// pixels.
const PROGRESSIVE: u64 = 3;

/// Why models cannot see an image. The codes are those of OpenAI's `ResponseErrorCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageError {
    /// The image is not a PNG, JPEG, GIF or WebP.
    Format,
    /// The payload is not canonical base64 (RFC 4648 §3.5).
    Base64,
    /// The image is cut short or corrupt. The value names the format.
    Corrupt(&'static str),
    /// The decoded pixels take more than [`DECODED_BYTES`], or a side is longer than [`SIDE_PIXELS`].
    TooLarge,
    /// A GIF with several frames. Codex passes on only the first.
    Animated,
}

impl ImageError {
    /// The failure of a request with the image in the field `path`.
    pub(super) fn at(self, path: &str) -> Failure {
        let (code, message) = match self {
            Self::Format => (
                "invalid_image_format",
                "this is not an image that models read; send PNG, JPEG, GIF or WebP".to_owned(),
            ),
            Self::Base64 => (
                "invalid_base64_image",
                "the base64 after the comma is invalid: bits beyond the last byte must be zero"
                    .to_owned(),
            ),
            Self::Corrupt(format) => (
                "image_parse_error",
                format!(
                    "this {format} cannot be decoded: it is cut short or corrupt; send the whole file"
                ),
            ),
            Self::TooLarge => (
                "image_too_large",
                format!(
                    "this image is too large: decoded, it may have {} MiB (a progressive JPEG a third of that), and {SIDE_PIXELS} pixels on a side; send a smaller one",
                    DECODED_BYTES >> 20
                ),
            ),
            Self::Animated => (
                "invalid_image_format",
                "models see only the first frame of an animated GIF; send the frames that matter as images of their own"
                    .to_owned(),
            ),
        };
        Failure::new(ProblemKind::InvalidRequest, code, message).at(path)
    }
}

/// Checks the image of a data URL by decoding it as Codex does. Takes memory of up to [`DECODED_BYTES`] and the payload's size,
/// and some ten milliseconds for each million pixels.
///
/// # Errors
/// Codex would not pass the whole image on to the model.
pub(super) fn check(url: &str) -> Result<(), ImageError> {
    let (_, payload) = url.split_once(',').ok_or(ImageError::Format)?;
    let bytes = STANDARD.decode(payload).map_err(|_| ImageError::Base64)?;
    let format = image::guess_format(&bytes).map_err(|_| ImageError::Format)?;
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        _ => return Err(ImageError::Format),
    };
    // A panic of the decoder means that the data is corrupt.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(&bytes, format)));
    let decoded = decoded.map_err(|_panic| ImageError::Corrupt(name))?;
    decoded.map_err(|error| match error {
        image::ImageError::Limits(_) => ImageError::TooLarge,
        _ => ImageError::Corrupt(name),
    })?;
    match format {
        ImageFormat::Gif if is_animated(&bytes) => Err(ImageError::Animated),
        _ => Ok(()),
    }
}

fn decode(bytes: &[u8], format: ImageFormat) -> image::ImageResult<()> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let decoder = reader.into_decoder()?;
    // Decoders check only the sides against the limits, and `DynamicImage` allocates the pixels unchecked.
    let copies = if format == ImageFormat::Jpeg && is_progressive(bytes) {
        PROGRESSIVE
    } else {
        1
    };
    limits().reserve(decoder.total_bytes().saturating_mul(copies))?;
    DynamicImage::from_decoder(decoder).map(drop)
}

/// Whether a JPEG's frame header is that of a progressive one: SOF2, SOF6, SOF10 or SOF14 (ITU-T T.81, table B.1).
fn is_progressive(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, marker, after @ ..] = rest {
        match marker {
            // Fill bytes may precede a marker.
            0xff => rest = &rest[1..],
            0xc2 | 0xc6 | 0xca | 0xce => return true,
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return false,
            _ => {
                let [high, low, ..] = after else { return false };
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = after.get(length..).unwrap_or_default();
            }
        }
    }
    false
}

/// Whether a GIF has a second frame. Decodes no frame.
fn is_animated(bytes: &[u8]) -> bool {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let second = options.read_info(bytes).and_then(|mut decoder| {
        decoder.next_frame_info()?;
        Ok(decoder.next_frame_info()?.is_some())
    });
    second.unwrap_or(false)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PIXELS);
    limits.max_image_height = Some(SIDE_PIXELS);
    limits.max_alloc = Some(DECODED_BYTES);
    limits
}

#[cfg(test)]
mod tests;
