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
pub(super) struct Messages(Vec<MessageText>);

#[derive(Debug)]
struct MessageText {
    number: u32,
    /// The text, in pieces whose buffers never grow: one growing buffer would be copied, and up to half of it unused.
    pieces: Vec<String>,
}

impl Messages {
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

    /// The digest of the whole text, with a blank line between messages.
    pub(super) fn digest(&self) -> String {
        let mut digest = tools::TextDigest::default();
        for piece in self.pieces() {
            digest.update(piece);
        }
        digest.finish()
    }

    /// Bytes of the whole text as a JSON string, or a few more.
    pub(super) fn json_length(&self) -> usize {
        let quotes = json::text_length("");
        let pieces = self.pieces().map(|piece| json::text_length(piece) - quotes);
        quotes + pieces.sum::<usize>()
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

impl fmt::Display for Messages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces()
            .try_for_each(|piece| formatter.write_str(piece))
    }
}

impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn pieces_are_joined_into_one_text() {
        let word = "aé\n\"漢🦀\u{1}";
        for count in [1, 2, 3, 50, 40_000] {
            let mut messages = Messages::default();
            for _ in 0..count {
                messages.push(4, Cow::Borrowed(word));
            }
            let expected = word.repeat(count);
            assert_eq!(messages.to_text(), expected);
            assert_eq!(messages.digest(), tools::text_digest(&expected));
            let line = serde_json::to_string(&messages).unwrap();
            assert_eq!(line, serde_json::to_string(&expected).unwrap());
            assert_eq!(messages.json_length(), line.len());
            let held: usize = messages.0[0].pieces.iter().map(String::capacity).sum();
            assert!(held <= 2 * expected.len().min(PIECE) + expected.len());
        }
    }

    #[test]
    fn messages_are_separated_and_void_ones_removed() {
        let mut messages = Messages::default();
        assert_eq!(messages.to_text(), "");
        assert!(messages.is_empty());
        for (number, text) in [(0, "a"), (1, "b"), (1, "c"), (2, "d")] {
            messages.push(number, Cow::Borrowed(text));
        }
        assert_eq!(messages.to_text(), "a\n\nbc\n\nd");
        assert_eq!(messages.digest(), tools::text_digest("a\n\nbc\n\nd"));
        messages.forget(&[0, 2]);
        assert_eq!(messages.to_text(), "bc");
        messages.push(2, Cow::Owned("e".to_owned()));
        assert_eq!(messages.to_text(), "bc\n\ne");
        assert_eq!(messages.to_string(), "bc\n\ne");
        messages.forget(&[1, 2]);
        assert_eq!(messages.to_text(), "");
        assert!(messages.is_empty());
    }
}
