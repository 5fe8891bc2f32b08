//! Estimates the tokens of a request's input. Codex cannot count them, and the models' tokenizers are too large for a
//! policy, so the estimate is made of the text's bytes.
//!
//! In quarters of a token: one for each ASCII letter or whitespace (English prose has about four bytes per token), two for each
//! digit, punctuation mark and control character (code and JSON have about two), two for each character of two bytes in UTF-8
//! (Latin with accents, Greek, Cyrillic, Hebrew, Arabic), and four for any other character (Chinese, Japanese, Korean, emoji).
//! An image counts as [`IMAGE`] tokens whatever its size, and each message, call, result or tool as [`ITEM`] more. More input
//! never gives a smaller estimate, and the estimate is at least 1.

use super::content::ContentPart;
use super::conversation::ConversationBuilder;
use super::request::AnswerFormat;
use super::tools::FunctionTool;

/// The tokens of an image: about what a photograph of 1024 × 1024 pixels takes.
const IMAGE: u64 = 1_200;

/// The tokens of an item besides its texts: its role, type and separators.
const ITEM: u64 = 4;

/// The estimate so far.
#[derive(Debug, Default)]
pub(super) struct TokenEstimate {
    /// Quarters of a token.
    quarters: u64,
}

impl TokenEstimate {
    /// Adds a message, call, result or tool, without its texts.
    pub(super) fn add_item(&mut self) {
        self.quarters += 4 * ITEM;
    }

    pub(super) fn add_text(&mut self, text: &str) {
        let quarters = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'\t' | b'\n' | b'\r' => 1,
            // The other bytes of a character count nothing.
            0x80..=0xbf => 0,
            0x00..=0x7f | 0xc0..=0xdf => 2,
            0xe0..=0xff => 4,
        };
        self.quarters += text.bytes().map(quarters).sum::<u64>();
    }

    pub(super) fn add_parts(&mut self, parts: &[ContentPart<'_>]) {
        for part in parts {
            match part {
                ContentPart::Text(text) | ContentPart::Refusal(text) => self.add_text(text),
                ContentPart::Image(_) => self.quarters += 4 * IMAGE,
            }
        }
    }

    /// The tokens, at least 1.
    fn tokens(&self) -> u64 {
        self.quarters.div_ceil(4).max(1)
    }
}

/// The estimated tokens of a request's input. `instructions` are those beside the conversation.
pub(super) fn input_tokens(
    conversation: &ConversationBuilder<'_>,
    instructions: &str,
    tools: &[FunctionTool<'_>],
    format: &AnswerFormat,
) -> u64 {
    let mut estimate = TokenEstimate::default();
    estimate.add_text(instructions);
    conversation.estimate(&mut estimate);
    for tool in tools {
        estimate.add_item();
        for text in [&*tool.name, &*tool.description, &*tool.parameters] {
            estimate.add_text(text);
        }
    }
    if let AnswerFormat::JsonSchema(schema) = format {
        estimate.add_text(schema);
    }
    estimate.tokens()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut estimate = TokenEstimate::default();
        estimate.add_text(text);
        estimate.tokens()
    }

    #[test]
    fn the_estimate_depends_on_the_kind_of_text() {
        for (text, expected) in [
            ("", 1),
            ("word", 1),
            ("The quick brown fox jumps over the lazy dog.", 12),
            (r#"{"a":[1,2]}"#, 6),
            ("Größe", 2),
            ("今日は", 3),
            ("\u{1f600}", 1),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn more_text_is_never_fewer_tokens(one in ".{0,40}", more in ".{0,40}") {
            let both = [one.as_str(), &more].concat();
            prop_assert!(tokens(&both) >= tokens(&one).max(tokens(&more)));
            prop_assert!(tokens(&both) <= tokens(&one) + tokens(&more));
            prop_assert!(tokens(&one) >= 1);
        }
    }
}
