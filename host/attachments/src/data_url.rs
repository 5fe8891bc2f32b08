//! Data URLs and bare base64: their media type and size.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Attachment, SCHEME};

impl Attachment {
    /// Parses a JSON string with quotes and escapes whose value is `data:TYPE;base64,BYTES`, or an image in base64. None: it is
    /// something else.
    pub(super) fn parse(json: &str, path: String) -> Option<Self> {
        let text: String = serde_json::from_str(json).ok()?;
        if text.starts_with(SCHEME) {
            return Self::of_url(text, path);
        }
        match image_type(&text) {
            UNKNOWN_TYPE => None,
            media_type => Self::of_url(format!("{SCHEME}{media_type};base64,{text}"), path),
        }
    }

    /// The attachment of a data URL. None: it is not in base64.
    fn of_url(url: String, path: String) -> Option<Self> {
        let (head, payload) = url.strip_prefix(SCHEME)?.split_once(',')?;
        let mut parts = head.split(';');
        let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        // Not trimmed, as Codex does not recognise `base64` after a space.
        if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
            return None;
        }
        let size = decoded_size(payload)?;
        // A data URL without a type is text (RFC 2397).
        let media_type = match media_type.as_str() {
            "" => "text/plain".to_owned(),
            // The bytes decide, as Codex would replace an image that it cannot read by a text of its own.
            claimed if claimed.starts_with("image/") => image_type(payload).to_owned(),
            _ => media_type,
        };
        Some(Self {
            size,
            digest: format!("{:x}", Sha256::digest(&url)),
            media_type,
            path,
            url: Arc::new(url),
            fault: None,
        })
    }

    pub(super) fn is_image(&self) -> bool {
        self.media_type.starts_with("image/")
    }
}

/// The media type of bytes that are no image.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The media type of an image by its first bytes, if Codex 0.169.0 reads it; otherwise `application/octet-stream`.
fn image_type(payload: &str) -> &'static str {
    let bytes = first_bytes(payload);
    match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        _ => UNKNOWN_TYPE,
    }
}

/// Up to twelve bytes of the decoded payload.
fn first_bytes(payload: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut bytes = Vec::new();
    for digit in payload.bytes().take(16).map_while(value) {
        bits = (bits << 6) | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_be_bytes()[3]);
        }
    }
    bytes
}

/// The number of bytes of the decoded payload. None: it is not base64 with the padding of RFC 4648, which Codex 0.169.0
/// requires.
fn decoded_size(payload: &str) -> Option<u64> {
    let digits = payload.trim_end_matches('=');
    let padding = payload.len() - digits.len();
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !payload.len().is_multiple_of(4) || padding > 2 || !digits.bytes().all(is_digit) {
        return None;
    }
    u64::try_from(digits.len() * 3 / 4).ok()
}
