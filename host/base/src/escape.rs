//! Escapes control and invisible characters in text for a log or a terminal, so that text of clients, models and policies
//! cannot forge a line, nor hide or reorder what is displayed.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Ranges of invisible characters: Unicode's format characters (general category Cf), among them the bidirectional and
/// zero-width ones, its line and paragraph separators, and blank letters.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether the character is a control character (Unicode category Cc) or an invisible one.
pub fn is_unprintable(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    character.is_control()
        || INVISIBLE
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character))
}

/// Formats a value with each unprintable character escaped as in Rust: `\n`, `\u{0}`, `\u{202e}`.
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingFormatter(f), "{}", self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingFormatter(f), "{:?}", self.0)
    }
}

/// Writes text to a formatter, escaped.
struct EscapingFormatter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for EscapingFormatter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_printable_ascii(text) {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some((at, character)) = rest
            .char_indices()
            .find(|(_, character)| is_unprintable(*character))
        {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", character.escape_default())?;
            rest = &rest[at + character.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Whether the text is printable ASCII: the fast path for nearly all text.
fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Escapes each unprintable character except those in `except` as JSON does (RFC 8259, section 7): `\u202e`. A JSON document
/// keeps its value, because outside of strings it has no unprintable characters but line feeds and tabs.
pub fn escaped_json<'a>(text: &'a str, except: &str) -> Cow<'a, str> {
    let is_escaped = |it: char| is_unprintable(it) && !except.contains(it);
    if is_printable_ascii(text) || !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !is_escaped(character) {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String never fails.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Texts with their escaped forms.
    const CASES: [(&str, &str); 9] = [
        ("plain words", "plain words"),
        ("Grüße, 世界 👍", "Grüße, 世界 👍"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\0\u{1b}[2J\u{7f}", "\\u{0}\\u{1b}[2J\\u{7f}"),
        ("\u{85}\u{9b}31m", "\\u{85}\\u{9b}31m"),
        (
            "a\u{202e}b\u{2066}c\u{2069}",
            "a\\u{202e}b\\u{2066}c\\u{2069}",
        ),
        (
            "\u{200b}\u{200d}\u{feff}\u{ad}",
            "\\u{200b}\\u{200d}\\u{feff}\\u{ad}",
        ),
        ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
        ("\u{e0041}\\n", "\\u{e0041}\\n"),
    ];

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        for (text, expected) in CASES {
            assert_eq!(Escaped(text).to_string(), expected);
            assert!(!expected.contains(is_unprintable));
        }
        assert_eq!(format!("{:?}", Escaped("a\n\u{200b}")), "\"a\\n\\u{200b}\"");
    }

    #[test]
    fn escaped_json_has_the_same_value_in_printable_characters() {
        for (text, _) in CASES {
            let document = serde_json::json!({ "a": text }).to_string();
            let line = format!("{document}\n");
            let escaped = escaped_json(&line, "\n");
            let document = escaped.strip_suffix('\n').unwrap();
            assert!(!document.contains(is_unprintable), "{document:?}");
            let read: serde_json::Value = serde_json::from_str(document).unwrap();
            assert_eq!(read["a"], text);
        }
        assert_eq!(
            escaped_json("{\"a\":\"\u{e0041}\"}", ""),
            "{\"a\":\"\\udb40\\udc41\"}"
        );
    }
}
