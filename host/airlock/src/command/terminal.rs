//! Escapes output for a terminal. Much of it is foreign: a policy's manifest, a client's message, a model's answer. None of
//! it may move the cursor, hide the text after it, or reverse the reading order.

use std::borrow::Cow;
use std::io::{self, Write};
use std::str::from_utf8;

use airlock_base::escape::escaped_json;

/// The longest character in UTF-8, in bytes.
const CHARACTER: usize = 4;

/// A text on one line, with control and invisible characters escaped as JSON does: `\u001b`, `\u202e`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escaped_json(text, "")
}

/// A writer that escapes control and invisible characters besides line feeds and tabs. JSON keeps its meaning: such
/// characters are inside strings, where the escapes mean the same.
pub(super) struct Terminal<W> {
    out: W,
    /// The first bytes of a character whose last bytes are still to be written.
    partial: Vec<u8>,
}

impl<W: Write> Terminal<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            partial: Vec::new(),
        }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(escaped_json(text, "\n\t").as_bytes())
    }
}

impl<W: Write> Write for Terminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let partial = std::mem::take(&mut self.partial);
        let all = match partial.is_empty() {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned([&partial, bytes].concat()),
        };
        let mut rest = &*all;
        loop {
            let error = match from_utf8(rest) {
                Ok(text) => break self.put(text)?,
                Err(error) => error,
            };
            let (good, bad) = rest.split_at(error.valid_up_to());
            self.put(&String::from_utf8_lossy(good))?;
            match error.error_len() {
                // Invalid UTF-8.
                Some(length) => {
                    self.put("\u{fffd}")?;
                    rest = &bad[length..];
                }
                None => {
                    debug_assert!(bad.len() < CHARACTER);
                    self.partial = bad.to_owned();
                    break;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_not_show_is_escaped() {
        for (text, expected) in [
            ("1.0", "1.0"),
            ("Grüße 🦀 שלום", "Grüße 🦀 שלום"),
            (
                "\u{1b}[31m\r\n\t\u{7f}",
                "\\u001b[31m\\u000d\\u000a\\u0009\\u007f",
            ),
            ("\u{9b}2J", "\\u009b2J"),
            ("a\u{202e}b\u{2066}", "a\\u202eb\\u2066"),
            ("a\u{200b}b\u{feff}", "a\\u200bb\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn what_is_written_in_pieces_is_escaped_alike() {
        let text = "a\u{202e}b\n\t🦀\u{1b}[2J\u{e0041}é";
        let expected = "a\\u202eb\n\t🦀\\u001b[2J\\udb40\\udc41é";
        for size in 1..=text.len() {
            let mut out = Vec::new();
            let mut terminal = Terminal::new(&mut out);
            for piece in text.as_bytes().chunks(size) {
                terminal.write_all(piece).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
        }
        let mut out = Vec::new();
        Terminal::new(&mut out).write_all(b"a\xff\xfeb").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{202e}": ["\u{7f}\u{e0041}\u{9b}"]});
        let mut out = Vec::new();
        write!(Terminal::new(&mut out), "{value:#}").unwrap();
        assert!(out.is_ascii());
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&out).unwrap(),
            value
        );
    }
}
