//! Frames as server-sent events.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Bytes of an event besides its data, and besides its name if it has one.
const AROUND: usize = "data: \n\n".len();
const AROUND_NAME: usize = "event: \n".len();

/// Encodes events as one string, so that they are one write and one packet. An event is an optional name and its data, neither
/// of which may contain line ends.
pub fn events<'a>(events: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone) -> String {
    let size = events
        .clone()
        .map(|(name, data)| name.map_or(0, |name| name.len() + AROUND_NAME) + data.len() + AROUND)
        .sum();
    let mut text = String::with_capacity(size);
    for (name, data) in events {
        if let Some(name) = name {
            for part in ["event: ", name, "\n"] {
                text.push_str(part);
            }
        }
        for part in ["data: ", data, "\n\n"] {
            text.push_str(part);
        }
    }
    text
}

/// Encodes a text as a JSON string, escaped as by [`json`], between a prefix and a suffix. Never None in practice, as writing
/// to memory does not fail.
pub fn piece(before: &str, text: &str, after: &str) -> Option<String> {
    // Most texts have few characters that must be escaped.
    let size = before.len() + text.len() + text.len() / 8 + 8 + after.len();
    let mut data = Vec::with_capacity(size);
    data.extend_from_slice(before.as_bytes());
    write(&mut data, text).ok()?;
    data.extend_from_slice(after.as_bytes());
    String::from_utf8(data).ok()
}

/// Encodes a value as compact JSON without line ends. Escapes as RFC 8785 does, and also U+0085, U+2028 and U+2029, at which
/// some clients split lines (Python's `str.splitlines`).
///
/// # Errors
/// The value has keys that are not strings, or its `Serialize` fails.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut data = Vec::new();
    write(&mut data, value)?;
    String::from_utf8(data).map_err(serde::ser::Error::custom)
}

fn write<T: Serialize + ?Sized>(data: &mut Vec<u8>, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(data, OneLineFormatter))
}

/// The formatter of `json`.
struct OneLineFormatter;

impl Formatter for OneLineFormatter {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // Most fragments are ASCII. This check is cheaper than the search below.
        if bytes.is_ascii() {
            return writer.write_all(bytes);
        }
        let mut copied = 0;
        for start in memchr::memchr2_iter(0xc2, 0xe2, bytes) {
            let (length, escape): (_, &[u8]) = match bytes[start..] {
                [0xc2, 0x85, ..] => (2, b"\\u0085"),
                [0xe2, 0x80, 0xa8, ..] => (3, b"\\u2028"),
                [0xe2, 0x80, 0xa9, ..] => (3, b"\\u2029"),
                _ => continue,
            };
            writer.write_all(&bytes[copied..start])?;
            writer.write_all(escape)?;
            copied = start + length;
        }
        writer.write_all(&bytes[copied..])
    }

    fn write_raw_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.write_string_fragment(writer, fragment)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_json_string_between_prefix_and_suffix() {
        let text = "c\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}é🦀\u{84}\u{85}\u{2027}\u{2028}\u{2029}\u{202a}";
        let frame = r#"{"t":"c\"\\/\n\r\t\b\f\u0000\u001f"#.to_owned()
            + "\u{7f}é🦀\u{84}\\u0085\u{2027}\\u2028\\u2029\u{202a}\"}";
        assert_eq!(piece("{\"t\":", text, "}"), Some(frame));
    }

    #[test]
    fn json_contains_no_line_ends() {
        let ends = "\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        let value = std::collections::BTreeMap::from([(ends, ends)]);
        let text = json(&value).unwrap();
        let escaped = r#""\n\u000b\f\r\u001c\u001d\u001e\u0085\u2028\u2029""#;
        assert_eq!(text, format!("{{{escaped}:{escaped}}}"));
        let raw = serde_json::value::RawValue::from_string("[\"\u{2028}\"]".to_owned()).unwrap();
        assert_eq!(json(&raw).unwrap(), r#"["\u2028"]"#);
    }

    #[test]
    fn a_batch_is_encoded_as_one_string() {
        let batch = [(None, "{\"a\":1}"), (Some("done"), "{}"), (None, "[DONE]")];
        let text = events(batch.into_iter());
        assert_eq!(
            text,
            "data: {\"a\":1}\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(events([].into_iter()), "");
    }

    #[test]
    fn the_string_never_grows_beyond_its_first_capacity() {
        let batch = [(Some("a"), "b"); 16];
        let text = events(batch.into_iter());
        assert_eq!(text.capacity(), 16 * (AROUND + AROUND_NAME + 2));
        assert_eq!(text.len(), text.capacity());
    }
}
