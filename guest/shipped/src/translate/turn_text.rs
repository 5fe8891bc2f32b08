//! The text of a turn, by message. It may be large, so it is held once and not copied as it grows.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use super::answer_filter::PARAGRAPH;
use crate::json;
use crate::tools;

/// The most bytes by which a message grows.
const PIECE: usize = 64 * 1024;

/// The messages of a turn's answer, in order.
#[derive(Debug, Default)]
pub(super) struct TurnText(Vec<MessageText>);

/// The text of one message.
#[derive(Debug)]
pub(super) struct MessageText {
    number: u32,
    /// The text, in pieces whose buffers never grow: one growing buffer would be copied, and up to half of it unused.
    pieces: Vec<String>,
}

impl TurnText {
    /// Appends to the message of this number, or begins it.
    pub(super) fn push(&mut self, number: u32, text: Cow<'_, str>) {
        match self.0.last_mut() {
            Some(last) if last.number == number => last.append(&text),
            _ => self.0.push(MessageText {
                number,
                pieces: vec![text.into_owned()],
            }),
        }
    }

    /// Removes the messages of these numbers.
    pub(super) fn forget(&mut self, void: &[u32]) {
        self.0.retain(|message| !void.contains(&message.number));
    }

    /// The whole text, with a blank line between messages. It is copied only if it has several pieces.
    pub(super) fn to_text(&self) -> Cow<'_, str> {
        match self.0.as_slice() {
            [] => Cow::Borrowed(""),
            [MessageText { pieces, .. }] if pieces.len() == 1 => Cow::Borrowed(&pieces[0]),
            _ => {
                let mut text = String::with_capacity(self.pieces().map(str::len).sum());
                text.extend(self.pieces());
                Cow::Owned(text)
            }
        }
    }

    /// Whether there are no messages.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of the whole text, with `separator` between messages.
    pub(super) fn digest(&self, separator: &str) -> String {
        let mut digest = tools::TextDigest::default();
        for (index, message) in self.0.iter().enumerate() {
            if index > 0 {
                digest.update(separator);
            }
            for piece in &message.pieces {
                digest.update(piece);
            }
        }
        digest.finish()
    }

    /// The message of this number. None if it has no text.
    pub(super) fn message(&self, number: u32) -> Option<&MessageText> {
        self.0.iter().rfind(|message| message.number == number)
    }

    /// Cuts off the last bytes of the whole text, which becomes one message.
    pub(super) fn cut(&mut self, excess: usize) {
        let mut text = self.to_text().into_owned();
        cut(&mut text, excess);
        let number = self.0.first().map_or(0, |message| message.number);
        self.0 = vec![MessageText {
            number,
            pieces: vec![text],
        }];
    }

    /// Cuts off the last bytes of the last message.
    pub(super) fn cut_last(&mut self, excess: usize) {
        if let Some(last) = self.0.last_mut() {
            let mut text = last.pieces.concat();
            cut(&mut text, excess);
            last.pieces = vec![text];
        }
    }

    /// Bytes of the whole text as a JSON string, or a few more.
    pub(super) fn json_length(&self) -> usize {
        let quotes = json::text_length("");
        let pieces = self.pieces().map(|piece| json::text_length(piece) - quotes);
        quotes + pieces.sum::<usize>()
    }

    /// Appends the whole text as a JSON string.
    pub(super) fn push_json(&self, out: &mut String) {
        out.push('"');
        for piece in self.pieces() {
            json::push_escaped(out, piece);
        }
        out.push('"');
    }

    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.iter().enumerate().flat_map(|(index, message)| {
            let separator = (index > 0).then_some(PARAGRAPH);
            let pieces = message.pieces.iter().map(String::as_str);
            separator.into_iter().chain(pieces)
        })
    }
}

impl MessageText {
    /// Appends the text as a JSON string.
    pub(super) fn push_json(&self, out: &mut String) {
        out.push('"');
        for piece in &self.pieces {
            json::push_escaped(out, piece);
        }
        out.push('"');
    }

    /// Whether it has no text, or has lost it.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.iter().all(String::is_empty)
    }

    /// Bytes of the text as a JSON string, or a few more.
    pub(super) fn json_length(&self) -> usize {
        let lengths = self.pieces.iter().map(|piece| json::text_length(piece));
        lengths.sum::<usize>()
    }

    /// Fills the last piece, and appends the rest as a piece of at least twice its size.
    fn append(&mut self, text: &str) {
        let mut rest = text;
        let mut capacity = 0;
        if let Some(last) = self.pieces.last_mut() {
            let room = last.capacity() - last.len();
            let (fits, beyond) = rest.split_at(rest.floor_char_boundary(room));
            last.push_str(fits);
            rest = beyond;
            capacity = last.capacity().saturating_mul(2).min(PIECE);
        }
        if !rest.is_empty() {
            let mut piece = String::with_capacity(capacity.max(rest.len()));
            piece.push_str(rest);
            self.pieces.push(piece);
        }
    }
}

impl fmt::Display for TurnText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces()
            .try_for_each(|piece| formatter.write_str(piece))
    }
}

impl Serialize for TurnText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Cuts off the last bytes, which begin a character.
fn cut(text: &mut String, excess: usize) {
    let end = text.floor_char_boundary(text.len().saturating_sub(excess));
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn pieces_are_joined_into_one_text() {
        let word = "aé\n\"漢🦀\u{1}";
        for count in [1, 2, 3, 50, 40_000] {
            let mut messages = TurnText::default();
            for _ in 0..count {
                messages.push(4, Cow::Borrowed(word));
            }
            let expected = word.repeat(count);
            assert_eq!(messages.to_text(), expected);
            assert_eq!(messages.digest(PARAGRAPH), tools::text_digest(&expected));
            let line = serde_json::to_string(&messages).unwrap();
            assert_eq!(line, serde_json::to_string(&expected).unwrap());
            assert_eq!(messages.json_length(), line.len());
            let held: usize = messages.0[0].pieces.iter().map(String::capacity).sum();
            assert!(held <= 2 * expected.len().min(PIECE) + expected.len());
        }
    }

    #[test]
    fn messages_are_separated_and_void_ones_removed() {
        let mut messages = TurnText::default();
        assert_eq!(messages.to_text(), "");
        assert!(messages.is_empty());
        for (number, text) in [(0, "a"), (1, "b"), (1, "c"), (2, "d")] {
            messages.push(number, Cow::Borrowed(text));
        }
        assert_eq!(messages.to_text(), "a\n\nbc\n\nd");
        assert_eq!(
            messages.digest(PARAGRAPH),
            tools::text_digest("a\n\nbc\n\nd")
        );
        assert_eq!(messages.digest(""), tools::text_digest("abcd"));
        messages.forget(&[0, 2]);
        assert_eq!(messages.to_text(), "bc");
        messages.push(2, Cow::Owned("e".to_owned()));
        assert_eq!(messages.to_text(), "bc\n\ne");
        assert_eq!(messages.to_string(), "bc\n\ne");
        messages.forget(&[1, 2]);
        assert_eq!(messages.to_text(), "");
        assert!(messages.is_empty());
    }

    #[test]
    fn a_text_is_cut_where_a_stop_sequence_begins() {
        let filled = || {
            let mut text = TurnText::default();
            for (number, piece) in [(3, "aé"), (3, "b"), (4, "c"), (4, "d")] {
                text.push(number, Cow::Borrowed(piece));
            }
            text
        };
        for (excess, expected) in [(8, ""), (5, "aé"), (3, "aéb\n"), (1, "aéb\n\nc")] {
            let mut text = filled();
            text.cut(excess);
            assert_eq!(text.to_text(), expected);
        }
        for (excess, expected) in [(2, "aéb\n\n"), (1, "aéb\n\nc")] {
            let mut text = filled();
            text.cut_last(excess);
            assert_eq!(text.to_text(), expected);
        }
        let mut line = String::new();
        filled().message(3).unwrap().push_json(&mut line);
        assert_eq!(line, r#""aéb""#);
        assert!(filled().message(5).is_none());
    }
}
