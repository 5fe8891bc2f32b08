//! The chunks of a stream, written by hand around a heading that is written once: this is the hot path.

use super::{Heading, UsageObject};
use crate::bindings::airlock::policy::types::Usage;
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Everything before the choices.
    heading: String,
    /// Everything after them. Where usage was asked for, every chunk but the last says null.
    tail: &'static str,
}

/// The field of a delta that text goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Content,
    Reasoning,
}

impl Chunks {
    pub(super) fn new(heading: &Heading, include_usage: bool) -> Self {
        let mut text = String::from(r#"{"id":"#);
        json::push_text(&mut text, &heading.id);
        text.push_str(r#","object":"chat.completion.chunk","created":"#);
        text.push_str(&heading.created.to_string());
        text.push_str(r#","model":"#);
        json::push_text(&mut text, &heading.model);
        text.push_str(r#","system_fingerprint":null,"choices":["#);
        Self {
            heading: text,
            tail: if include_usage {
                r#"],"usage":null}"#
            } else {
                "]}"
            },
        }
    }

    /// The first chunk, which says who speaks.
    pub(super) fn role(&self) -> Frame {
        self.choice(
            r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}"#,
        )
    }

    /// A piece of the answer or of its reasoning.
    pub(super) fn delta(&self, field: Field, text: &str) -> Frame {
        let before = match field {
            Field::Content => r#"{"index":0,"delta":{"content":"#,
            Field::Reasoning => r#"{"index":0,"delta":{"reasoning_content":"#,
        };
        let after = r#"},"logprobs":null,"finish_reason":null}"#;
        let length = self.heading.len()
            + before.len()
            + json::text_length(text)
            + after.len()
            + self.tail.len();
        let mut data = String::with_capacity(length);
        data.push_str(&self.heading);
        data.push_str(before);
        json::push_text(&mut data, text);
        data.push_str(after);
        data.push_str(self.tail);
        frame(data)
    }

    /// The last chunk with a choice, which says why the answer ends.
    pub(super) fn finish(&self, reason: &str) -> Frame {
        self.choice(&format!(
            r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}"#
        ))
    }

    /// The chunk after the last choice, for a client that asked for it.
    pub(super) fn usage(&self, usage: Usage) -> Frame {
        let usage = json::to_line(&UsageObject::of(usage));
        frame(format!(r#"{}],"usage":{usage}}}"#, self.heading))
    }

    fn choice(&self, choice: &str) -> Frame {
        frame([self.heading.as_str(), choice, self.tail].concat())
    }
}

/// The frame that ends every stream.
pub(super) fn done() -> Frame {
    frame("[DONE]".to_owned())
}

/// A nameless event: this dialect has no others.
pub(super) fn frame(data: String) -> Frame {
    Frame { event: None, data }
}
