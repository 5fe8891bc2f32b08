//! Writes JSON: values through serde, and strings of the hot path by hand.
//!
//! All JSON is one line to every reader. Some clients split a stream at Unicode's line ends (Python's
//! `str.splitlines`), so U+0085, U+2028 and U+2029 are escaped besides what RFC 8785 escapes. In JSON they occur only
//! in strings, where an escape is equivalent.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// Serializes to one line of JSON. `value` must be a plain struct with string keys, which always serializes.
pub(crate) fn to_line<T: Serialize>(value: &T) -> String {
    to_line_sized(value, 0)
}

/// As `to_line`, with a buffer of `capacity` bytes from the start, so that a large answer is not copied as the buffer
/// grows.
pub(crate) fn to_line_sized<T: Serialize>(value: &T, capacity: usize) -> String {
    let mut bytes = Vec::with_capacity(capacity);
    append(&mut bytes, value);
    String::from_utf8(bytes).unwrap_or_default()
}

/// Appends what `to_line` returns.
pub(crate) fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    let start = bytes.len();
    let mut serializer = Serializer::with_formatter(&mut *bytes, UnicodeEscapingFormatter);
    if value.serialize(&mut serializer).is_err() {
        bytes.truncate(start);
    }
}

/// Compact JSON that escapes Unicode's line ends.
struct UnicodeEscapingFormatter;

impl Formatter for UnicodeEscapingFormatter {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut copied = 0;
        for (position, escape) in escapes(fragment, |byte| matches!(byte, 0xc2 | 0xe2)) {
            writer.write_all(&fragment.as_bytes()[copied..position])?;
            writer.write_all(escape.text.as_bytes())?;
            copied = position + escape.length;
        }
        writer.write_all(&fragment.as_bytes()[copied..])
    }

    fn write_raw_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.write_string_fragment(writer, fragment)
    }
}

/// Removes the whitespace between the tokens of a JSON object. None if the text is not one object.
pub(crate) fn object_to_line(text: &str) -> Option<String> {
    if !is_object(text) {
        return None;
    }
    let mut line = String::with_capacity(text.len());
    let mut quoted = false;
    let mut escaped = false;
    for character in text.chars() {
        // Whitespace between tokens is insignificant, and a string contains no raw line break.
        if !quoted && character.is_ascii_whitespace() {
            continue;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        line.push(character);
    }
    Some(line)
}

/// Whether the text is one JSON object, of any content and depth.
pub(crate) fn is_object(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Object {}

    // Unknown fields are skipped without recursion. serde would accept an array too.
    text.trim_start().starts_with('{') && serde_json::from_str::<Object>(text).is_ok()
}

/// The text with each `\u` escape of a lone surrogate replaced, as by [`replace_lone_surrogates`].
pub(crate) fn without_lone_surrogates(text: Cow<'_, str>) -> Cow<'_, str> {
    match replace_lone_surrogates(&text) {
        Some(whole) => Cow::Owned(whole),
        None => text,
    }
}

/// Replaces each `\u` escape of a lone surrogate by `\ufffd`, as OpenAI does (serde_json 1 refuses such an escape).
/// None if the text has no such escape.
pub(crate) fn replace_lone_surrogates(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut replaced = String::new();
    let (mut copied, mut at) = (0, 0);
    // A backslash occurs only within a string, and the byte after it never begins an escape.
    let next = |at| bytes.get(at..)?.iter().position(|byte| *byte == b'\\');
    while let Some(length) = next(at) {
        at += length;
        match code_unit(bytes, at) {
            None => at += 2,
            Some(0xd800..0xdc00)
                if matches!(code_unit(bytes, at + ESCAPE), Some(0xdc00..0xe000)) =>
            {
                at += 2 * ESCAPE;
            }
            Some(0xd800..0xe000) => {
                replaced.push_str(text.get(copied..at)?);
                replaced.push_str("\\ufffd");
                at += ESCAPE;
                copied = at;
            }
            Some(_) => at += ESCAPE,
        }
    }
    if copied == 0 {
        return None;
    }
    replaced.push_str(text.get(copied..)?);
    Some(replaced)
}

/// Parses any JSON value, with the replacement character for lone surrogates.
pub(crate) fn value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match replace_lone_surrogates(text) {
        Some(whole) => serde_json::from_str(&whole),
        None => Err(error),
    })
}

/// Bytes of a `\u` escape.
const ESCAPE: usize = 6;

/// The UTF-16 code unit of the escape that begins at this byte.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Appends `text` as a JSON string with its quotes. The host's patterns write the same (`relay.pattern`).
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// As `push_text`, without the quotes: a part of a string.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    push_where(out, text, is_suspect);
}

/// Appends JSON, which must have no line break between its tokens, with Unicode's line ends escaped.
pub(crate) fn push_json(out: &mut String, json: &str) {
    push_where(out, json, |byte| matches!(byte, 0xc2 | 0xe2));
}

#[inline]
fn push_where(out: &mut String, text: &str, suspect: impl Fn(u8) -> bool) {
    let mut copied = 0;
    for (position, escape) in escapes(text, suspect) {
        out.push_str(&text[copied..position]);
        out.push_str(escape.text);
        copied = position + escape.length;
    }
    out.push_str(&text[copied..]);
}

/// Escapes Unicode's line ends in JSON that was written without these escapes.
pub(crate) fn escape_line_ends(json: String) -> String {
    let mut escaped = String::new();
    let mut copied = 0;
    for (position, escape) in escapes(&json, |byte| matches!(byte, 0xc2 | 0xe2)) {
        escaped.push_str(&json[copied..position]);
        escaped.push_str(escape.text);
        copied = position + escape.length;
    }
    if copied == 0 {
        return json;
    }
    escaped.push_str(&json[copied..]);
    escaped
}

/// Bytes that `push_text` would append.
pub(crate) fn text_length(text: &str) -> usize {
    let longer = escapes(text, is_suspect).map(|(_, escape)| escape.text.len() - escape.length);
    text.len() + 2 + longer.sum::<usize>()
}

/// The escape of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Escape {
    /// Bytes of the character.
    length: usize,
    text: &'static str,
}

/// The characters of a text that must be escaped, each with its position in bytes. `suspect` must hold for the first
/// byte of each.
fn escapes(text: &str, suspect: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, Escape)> {
    let bytes = text.as_bytes();
    let suspects = bytes
        .iter()
        .enumerate()
        .filter(move |(_, byte)| suspect(**byte));
    suspects.filter_map(|(position, _)| Some((position, escape(&bytes[position..])?)))
}

/// Whether a character that begins with this byte may have to be escaped.
fn is_suspect(byte: u8) -> bool {
    SUSPECT[usize::from(byte)]
}

/// A table, because every byte of every answer is looked up.
static SUSPECT: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0xc2] = true;
    table[0xe2] = true;
    table
};

/// The escape of the character that begins here, if it needs one.
fn escape(bytes: &[u8]) -> Option<Escape> {
    let (length, text) = match bytes {
        [b'"', ..] => (1, "\\\""),
        [b'\\', ..] => (1, "\\\\"),
        [control @ 0..0x20, ..] => (1, CONTROLS[usize::from(*control)]),
        [0xc2, 0x85, ..] => (2, "\\u0085"),
        [0xe2, 0x80, 0xa8, ..] => (3, "\\u2028"),
        [0xe2, 0x80, 0xa9, ..] => (3, "\\u2029"),
        _ => return None,
    };
    Some(Escape { length, text })
}

/// The escapes of U+0000 to U+001F.
#[rustfmt::skip]
static CONTROLS: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
    "\\b", "\\t", "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f",
    "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017",
    "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
];

#[cfg(test)]
mod tests;
