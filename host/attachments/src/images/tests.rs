//! Tests of the check of images, with generated images.

#![allow(clippy::unwrap_used, reason = "tests")]

use image::codecs::gif::GifEncoder;
use image::{ColorType, Frame, ImageBuffer, Rgb, Rgba};

use super::*;

const FORMATS: [(ImageFormat, &str); 4] = [
    (ImageFormat::Png, "PNG"),
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::Gif, "GIF"),
    (ImageFormat::WebP, "WebP"),
];

fn made(format: ImageFormat) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let [x, y] = [x, y].map(|value| u8::try_from(value * 9).unwrap());
        Rgb([x, y, x ^ y])
    };
    let mut bytes = Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb8(ImageBuffer::from_fn(24, 16, pixel));
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

fn checked(bytes: &[u8]) -> Result<(), ImageError> {
    check(&url(bytes))
}

/// The header of a PNG, for tests in which nothing else matters.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let pixels = [0; 3];
    image::ImageEncoder::write_image(encoder, &pixels, 1, 1, ColorType::Rgb8.into()).unwrap();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// CRC-32 of PNG (ISO/IEC 15948, annex D).
fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32| (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
    !bytes.iter().fold(!0_u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| step(sum))
    })
}

#[test]
fn complete_images_pass_and_truncated_ones_do_not() {
    for (format, name) in FORMATS {
        let whole = made(format);
        assert_eq!(checked(&whole), Ok(()), "{name}");
        for cut in [12, 40, whole.len() / 3] {
            assert_eq!(
                checked(&whole[..cut]),
                Err(ImageError::Corrupt(name)),
                "{name} of {cut} bytes"
            );
        }
    }
    let png = made(ImageFormat::Png);
    assert_eq!(
        checked(&png[..png.len() - 12 - 5]),
        Err(ImageError::Corrupt("PNG")),
        "cut in its data"
    );
    assert_eq!(checked(b"GIF89a"), Err(ImageError::Corrupt("GIF")));
    assert_eq!(
        checked(&[0xff, 0xd8, 0xff]),
        Err(ImageError::Corrupt("JPEG"))
    );
    let mut flipped = png;
    flipped[45] ^= 1;
    assert_eq!(
        checked(&flipped),
        Err(ImageError::Corrupt("PNG")),
        "a checksum that is wrong"
    );
}

#[test]
fn other_formats_than_the_four_are_refused() {
    for bytes in [
        &b""[..],
        b"<svg/>",
        b"BM\x1e\0\0\0",
        b"II*\0\x08\0\0\0",
        b"%PDF-1.4",
    ] {
        assert_eq!(checked(bytes), Err(ImageError::Format), "{bytes:?}");
    }
}

#[test]
fn base64_is_canonical() {
    let mut png = made(ImageFormat::Png);
    while png.len() % 3 != 1 {
        png.push(0);
    }
    let good = url(&png);
    assert_eq!(check(&good), Ok(()), "bytes after the end do not matter");
    let digits = good.trim_end_matches('=');
    let bits = format!("{}B==", &digits[..digits.len() - 1]);
    assert_eq!(
        (good.ends_with("A=="), check(&bits)),
        (true, Err(ImageError::Base64))
    );
}

#[test]
fn dimensions_are_bounded_before_anything_is_decoded() {
    for (width, height, fault) in [
        (0, 10, ImageError::Corrupt("PNG")),
        (10, 0, ImageError::Corrupt("PNG")),
        (30_000, 30_000, ImageError::TooLarge),
        (65_529, 1, ImageError::TooLarge),
        (1, 65_529, ImageError::TooLarge),
        (2_147_483_647, 2_147_483_647, ImageError::TooLarge),
        (2, 1, ImageError::Corrupt("PNG")),
    ] {
        assert_eq!(
            checked(&png_header(width, height)),
            Err(fault),
            "{width}x{height}"
        );
    }
    let mut jpeg = made(ImageFormat::Jpeg);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert_eq!(
        checked(&jpeg),
        Err(ImageError::TooLarge),
        "Codex would allocate 12 GiB"
    );
    // With 9,400 × 9,400 pixels, a baseline JPEG is within the bound, and a progressive one is not.
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x24, 0xb8, 0x24, 0xb8]);
    jpeg[frame + 1] = 0xc2;
    assert_eq!(checked(&jpeg), Err(ImageError::TooLarge));
    let mut gif = made(ImageFormat::Gif);
    gif[6..10].fill(0xff);
    assert_eq!(checked(&gif), Err(ImageError::TooLarge));
}

#[test]
fn an_animated_gif_is_refused_and_a_still_one_passes() {
    let animated = |frames: usize| {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for shade in 0..frames {
            let pixel = Rgba([u8::try_from(shade * 80).unwrap(), 0, 0, 255]);
            encoder
                .encode_frame(Frame::new(ImageBuffer::from_pixel(4, 4, pixel)))
                .unwrap();
        }
        drop(encoder);
        bytes
    };
    assert_eq!(checked(&animated(1)), Ok(()));
    assert_eq!(checked(&animated(3)), Err(ImageError::Animated));
}

#[test]
fn a_failure_names_the_field_and_the_remedy() {
    let failure = ImageError::Corrupt("PNG").at("messages[0].content[1].image_url.url");
    let problem = failure.problem;
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert_eq!(problem.code.as_deref(), Some("image_parse_error"));
    assert_eq!(
        problem.param.as_deref(),
        Some("messages[0].content[1].image_url.url")
    );
    assert_eq!(
        problem.message,
        "this PNG cannot be decoded: it is cut short or corrupt; send the whole file"
    );
    let too_large = ImageError::TooLarge.at("input").problem.message;
    assert_eq!(
        too_large,
        "this image is too large: decoded, it may have 256 MiB (a progressive JPEG a third of that), and 65528 pixels on a side; send a smaller one"
    );
}
