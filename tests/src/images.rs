//! Small images of each format that models accept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An image of 16 by 12 pixels in each format: its media type and its bytes.
pub const STILLS: [(&str, &[u8]); 4] = [
    ("image/png", include_bytes!("../images/still.png")),
    ("image/jpeg", include_bytes!("../images/still.jpeg")),
    ("image/gif", include_bytes!("../images/still.gif")),
    ("image/webp", include_bytes!("../images/still.webp")),
];

/// A GIF of two frames.
pub const ANIMATED: &[u8] = include_bytes!("../images/animated.gif");

/// A data URL of these bytes.
pub fn data_url(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

/// A message's content: a question and the image at this URL.
pub fn shown(url: &str) -> Value {
    json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}])
}
