//! Attachments: base64 data URLs, which are lifted out of a body before a policy receives it, and put back for Codex.

mod images; // which of them can be decoded
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use self::images::ImageError;
use self::scan::StringLocation;
use airlock_types::failure::Failure;
use airlock_types::wit;

/// The members of a body that hold a conversation, in OpenAI's dialects. What stands elsewhere, in a schema or in
/// metadata, is the client's own text.
const ROOTS: [&str; 2] = ["messages", "input"];

/// The members of a message that may hold a data URL worth lifting.
const KEYS: [&str; 3] = ["url", "image_url", "file_data"];

/// What every data URL begins with.
const SCHEME: &str = "data:";

/// What was lifted out of a body: described to the policy, stored by the host.
#[derive(Default)]
pub struct Attachments(Vec<Attachment>);

struct Attachment {
    /// Shared with the thread that decodes it.
    url: Arc<String>,
    /// Why it cannot be shown to a model. None: it is good, or not checked yet.
    fault: Option<ImageError>,
    media_type: String,
    /// Bytes, decoded.
    size: u64,
    /// SHA-256 of the URL.
    digest: String,
    path: String,
}

impl Attachments {
    /// Lifts base64 data URLs that stand under the keys `url`, `image_url` and `file_data` of a conversation out of a
    /// JSON body, at most 256 of them, and leaves `attachment:N` in their place. All else stays as it was, byte for byte.
    ///
    /// A body that is not JSON comes back whole: to say what is wrong with it is the policy's part. So does a data URL
    /// that is not base64.
    pub fn lift(body: String) -> (String, Self) {
        if memchr::memmem::find(body.as_bytes(), SCHEME.as_bytes()).is_none() {
            return (body, Self::default());
        }
        let Some(places) = scan::strings(&body, &ROOTS, &KEYS, SCHEME) else {
            return (body, Self::default());
        };
        let mut lifted = Vec::new();
        let mut rest = String::new();
        let mut done = 0;
        for StringLocation { span, path } in places {
            let Some(attachment) = Attachment::parse(&body[span.clone()], path) else {
                continue;
            };
            rest.push_str(&body[done..span.start]);
            rest.push_str(&format!("\"attachment:{}\"", lifted.len()));
            done = span.end;
            lifted.push(attachment);
        }
        rest.push_str(&body[done..]);
        (rest, Self(lifted))
    }

    /// The descriptions of all attachments, for the policy.
    pub fn descriptions(&self) -> Vec<wit::Attachment> {
        let descriptions = self.0.iter().map(|attachment| wit::Attachment {
            media_type: attachment.media_type.clone(),
            size: attachment.size,
            digest: attachment.digest.clone(),
            path: attachment.path.clone(),
        });
        descriptions.collect()
    }

    /// The whole data URL of an attachment.
    pub fn url(&self, number: u32) -> Option<&str> {
        self.get(number).map(|attachment| attachment.url.as_str())
    }

    /// Bytes of all of them, as data URLs.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|attachment| attachment.url.len()).sum()
    }

    /// Where an attachment stood in the body: `messages[0].content[1].image_url.url`.
    pub fn path(&self, number: u32) -> Option<&str> {
        self.get(number).map(|attachment| attachment.path.as_str())
    }

    /// Refuses an attachment that models cannot see whole, and names its field. An unchecked one passes.
    ///
    /// # Errors
    /// It is no image, or `check_images` found it broken.
    pub fn expect_image(&self, number: u32) -> Result<(), Failure> {
        match self.get(number) {
            Some(Attachment {
                fault: Some(fault),
                path,
                ..
            }) => Err(fault.at(path)),
            Some(_) | None => Ok(()),
        }
    }

    /// The images that have to be decoded to know whether models can see them. Marks what is no image.
    pub fn images(&mut self) -> Vec<Image> {
        let mut images = Vec::new();
        for (number, attachment) in self.0.iter_mut().enumerate() {
            if attachment.is_image() {
                images.push(Image {
                    number,
                    url: attachment.url.clone(),
                    digest: attachment.digest.clone(),
                });
            } else {
                attachment.fault = Some(ImageError::Format);
            }
        }
        images
    }

    /// Records the check of an image.
    pub fn record_check(&mut self, checked: &ImageCheck) {
        if let Some(attachment) = self.0.get_mut(checked.number) {
            attachment.fault = checked.fault;
        }
    }

    fn get(&self, number: u32) -> Option<&Attachment> {
        self.0.get(usize::try_from(number).ok()?)
    }
}

/// An image, to be decoded by another thread.
pub struct Image {
    number: usize,
    url: Arc<String>,
    /// That of the attachment.
    pub digest: String,
}

/// The check of an image by decoding it.
pub struct ImageCheck {
    number: usize,
    fault: Option<ImageError>,
}

impl Image {
    /// Decodes it, which may take a second and 256 MiB of memory.
    pub fn check(&self) -> ImageCheck {
        ImageCheck {
            number: self.number,
            fault: images::check(&self.url).err(),
        }
    }
}

impl ImageCheck {
    /// Whether models can see the image.
    pub fn is_good(&self) -> bool {
        self.fault.is_none()
    }
}

/// Their bytes are the client's own and stay out of every log.
impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.0
                    .iter()
                    .map(|attachment| (&attachment.media_type, attachment.size)),
            )
            .finish()
    }
}

impl Attachment {
    /// Reads a JSON string, quotes and escapes and all, that holds `data:TYPE;base64,BYTES`.
    fn parse(json: &str, path: String) -> Option<Self> {
        let url: String = serde_json::from_str(json).ok()?;
        let (head, payload) = url.strip_prefix(SCHEME)?.split_once(',')?;
        let mut parts = head.split(';');
        let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        // Not trimmed: Codex does not find `base64` behind a space.
        if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
            return None;
        }
        let size = decoded_size(payload)?;
        // RFC 2397: a data URL without a type is text.
        let media_type = match media_type.as_str() {
            "" => "text/plain".to_owned(),
            // What the bytes are counts: Codex would replace an image that it cannot read by words of its own.
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

    fn is_image(&self) -> bool {
        self.media_type.starts_with("image/")
    }
}

/// The type of an image by its first bytes, for those that Codex 0.169.0 reads; else that of any bytes.
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
        _ => "application/octet-stream",
    }
}

/// The first twelve bytes that base64 stands for, or fewer.
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

/// Bytes that base64 stands for, or None where it is not base64 as RFC 4648 pads it: Codex 0.169.0 reads no other.
fn decoded_size(payload: &str) -> Option<u64> {
    let digits = payload.trim_end_matches('=');
    let padding = payload.len() - digits.len();
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !payload.len().is_multiple_of(4) || padding > 2 || !digits.bytes().all(is_digit) {
        return None;
    }
    u64::try_from(digits.len() * 3 / 4).ok()
}
