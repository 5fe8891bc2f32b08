//! Frames as server-sent events.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Bytes that an event has besides its data, and besides its name where it has one.
const AROUND: usize = "data: \n\n".len();
const AROUND_NAME: usize = "event: \n".len();

/// All events in one piece, so that they are one write and one packet: the name of each, where it has one, and its data.
///
/// Neither name nor data may hold a line's end.
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

/// A piece of a text as JSON between what stands around it: a string with its quotes, escaped as `json` escapes. None never
/// comes: a text can always be written to memory.
pub fn piece(before: &str, text: &str, after: &str) -> Option<String> {
    // Most texts have little to escape.
    let size = before.len() + text.len() + text.len() / 8 + 8 + after.len();
    let mut data = Vec::with_capacity(size);
    data.extend_from_slice(before.as_bytes());
    write(&mut data, text).ok()?;
    data.extend_from_slice(after.as_bytes());
    String::from_utf8(data).ok()
}

/// Compact JSON that is one line to every reader: escaped as RFC 8785 escapes, and besides that U+0085, U+2028 and U+2029,
/// at which some clients split lines (Python's `str.splitlines`). In JSON they can stand in strings alone.
///
/// # Errors
/// The value has keys that are no text, or a `Serialize` of its own that fails.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut data = Vec::new();
    write(&mut data, value)?;
    String::from_utf8(data).map_err(serde::ser::Error::custom)
}

fn write<T: Serialize + ?Sized>(data: &mut Vec<u8>, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(data, OneLine))
}

/// `json`'s format.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // Most fragments are, and the search below has a price.
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
    fn a_piece_is_a_string_between_what_stands_around_it() {
        let text = "c\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}é🦀\u{84}\u{85}\u{2027}\u{2028}\u{2029}\u{202a}";
        let frame = r#"{"t":"c\"\\/\n\r\t\b\f\u0000\u001f"#.to_owned()
            + "\u{7f}é🦀\u{84}\\u0085\u{2027}\\u2028\\u2029\u{202a}\"}";
        assert_eq!(piece("{\"t\":", text, "}"), Some(frame));
    }

    #[test]
    fn no_reader_finds_a_line_end_in_json() {
        let ends = "\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        let value = std::collections::BTreeMap::from([(ends, ends)]);
        let text = json(&value).unwrap();
        let escaped = r#""\n\u000b\f\r\u001c\u001d\u001e\u0085\u2028\u2029""#;
        assert_eq!(text, format!("{{{escaped}:{escaped}}}"));
        let raw = serde_json::value::RawValue::from_string("[\"\u{2028}\"]".to_owned()).unwrap();
        assert_eq!(json(&raw).unwrap(), r#"["\u2028"]"#);
    }

    #[test]
    fn a_batch_is_one_piece_of_complete_events() {
        let batch = [(None, "{\"a\":1}"), (Some("done"), "{}"), (None, "[DONE]")];
        let text = events(batch.into_iter());
        assert_eq!(
            text,
            "data: {\"a\":1}\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(events([].into_iter()), "");
    }

    #[test]
    fn a_piece_is_never_copied_as_it_grows() {
        let batch = [(Some("a"), "b"); 16];
        let text = events(batch.into_iter());
        assert_eq!(text.capacity(), 16 * (AROUND + AROUND_NAME + 2));
        assert_eq!(text.len(), text.capacity());
    }
}
