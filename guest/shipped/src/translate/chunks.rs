//! Writes the chunks of a stream by hand, around a heading that is written once: this is the hot path.

use serde::Serialize;

use super::airlock_object::AirlockObject;
use super::candidates::CandidateError;
use super::heading::Heading;
use super::messages::Messages;
use super::usage::UsageObject;
use crate::bindings::airlock::policy::types::Usage;
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;
use crate::tools::FunctionCall;

/// The JSON after a delta.
const AFTER: &str = r#"},"logprobs":null,"finish_reason":null}]"#;

/// The JSON before an event about a candidate. Clients that do not know `_toolEvent` skip the chunk, whose delta is
/// empty.
const EVENT: &str = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":null}],"_toolEvent":"#;

/// The most bytes of such an event besides its text.
const EVENT_OVERHEAD: usize = 400;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// The JSON before the choices.
    heading: String,
    /// The JSON at the end of a chunk. If usage was requested, every chunk but the last has `"usage":null`.
    tail: &'static str,
}

/// The field of a delta that contains text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeltaField {
    Content,
    Reasoning,
}

impl DeltaField {
    /// The JSON before the text.
    fn before(self) -> &'static str {
        match self {
            Self::Content => r#"{"index":0,"delta":{"content":"#,
            Self::Reasoning => r#"{"index":0,"delta":{"reasoning_content":"#,
        }
    }
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
                r#","usage":null}"#
            } else {
                "}"
            },
        }
    }

    /// The first chunk, with the role.
    pub(super) fn role(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// As `role`, for an answer without text: its content is null, as with OpenAI.
    pub(super) fn role_without_content(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// A piece of the answer or its reasoning.
    pub(super) fn delta(&self, field: DeltaField, text: &str) -> Frame {
        self.text(&[field.before()], text, &[AFTER])
    }

    /// The JSON before and after a piece of the answer or its reasoning.
    pub(super) fn pattern(&self, field: DeltaField) -> (String, String) {
        let before = [&self.heading, field.before()].concat();
        (before, [AFTER, self.tail].concat())
    }

    /// A piece of a fan-out's answer: an event, and then an ordinary delta.
    pub(super) fn gather(&self, text: &str) -> [Frame; 2] {
        const BEFORE: &str = r#"{"type":"codex_gather","text":"#;
        let frame = self.text(&[EVENT, BEFORE], text, &["}"]);
        // The escaped text is copied from the first frame.
        let start = self.heading.len() + EVENT.len() + BEFORE.len();
        let end = frame.data.len() - self.tail.len() - 1;
        let delta = self.chunk(&[DeltaField::Content.before(), &frame.data[start..end], AFTER]);
        [frame, delta]
    }

    /// The call of this index: one chunk with its id and name, and one with its arguments unless they are empty.
    /// Clients concatenate the arguments of all chunks.
    pub(super) fn call(
        &self,
        index: usize,
        call: &FunctionCall<'_>,
    ) -> impl Iterator<Item = Frame> {
        const BEFORE: &str = r#"{"index":0,"delta":{"tool_calls":[{"index":"#;
        let index = index.to_string();
        let mut named = String::from(r#","id":"#);
        json::push_text(&mut named, &call.id);
        named.push_str(r#","type":"function","function":{"name":"#);
        json::push_text(&mut named, &call.name);
        named.push_str(r#","arguments":""}}]"#);
        let called = self.chunk(&[BEFORE, &index, &named, AFTER]);
        let with = (!call.arguments.is_empty()).then(|| {
            let before = [BEFORE, &index, r#","function":{"arguments":"#];
            self.text(&before, &call.arguments, &["}}]", AFTER])
        });
        [Some(called), with].into_iter().flatten()
    }

    /// A candidate was started.
    pub(super) fn tab_open(&self, tab: u32, total: u32, model: &str) -> Frame {
        let event = Tab::Open { tab, total, model };
        self.tool_event(&event, json::text_length(model))
    }

    /// A piece of a candidate's text.
    pub(super) fn tab_chunk(&self, tab: u32, text: &str) -> Frame {
        let before = r#"{"type":"codex_tab_chunk","tab":"#;
        let tab = tab.to_string();
        self.text(&[EVENT, before, &tab, r#","text":"#], text, &["}"])
    }

    /// A candidate has answered.
    pub(super) fn tab_close(&self, tab: u32, text: &Messages, usage: Option<Usage>) -> Frame {
        let usage = usage.map(UsageObject::of);
        let event = Tab::Close { tab, text, usage };
        self.tool_event(&event, text.json_length())
    }

    /// A candidate ended without an answer.
    pub(super) fn tab_error(&self, tab: u32, error: CandidateError) -> Frame {
        self.tool_event(&Tab::Error { tab, error }, 0)
    }

    /// The last chunk with a choice: its `finish_reason`, and for a fan-out the `airlock` object.
    pub(super) fn finish(&self, reason: &str, airlock: Option<&AirlockObject<'_>>) -> Frame {
        let choice =
            format!(r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}]"#);
        match airlock {
            None => self.chunk(&[&choice]),
            Some(airlock) => self.chunk(&[&choice, r#","airlock":"#, &json::to_line(airlock)]),
        }
    }

    /// The usage chunk, after the last choice, for clients that request it.
    pub(super) fn usage(&self, usage: Usage) -> Frame {
        let usage = json::to_line(&UsageObject::of(usage));
        frame(format!(r#"{}],"usage":{usage}}}"#, self.heading))
    }

    /// A chunk of these parts.
    fn chunk(&self, parts: &[&str]) -> Frame {
        let length = self.heading.len() + total(parts) + self.tail.len();
        let mut data = String::with_capacity(length);
        data.push_str(&self.heading);
        data.extend(parts.iter().copied());
        data.push_str(self.tail);
        frame(data)
    }

    /// A chunk with a text in it.
    fn text(&self, before: &[&str], text: &str, after: &[&str]) -> Frame {
        let length = self.heading.len()
            + total(before)
            + json::text_length(text)
            + total(after)
            + self.tail.len();
        let mut data = String::with_capacity(length);
        data.push_str(&self.heading);
        data.extend(before.iter().copied());
        json::push_text(&mut data, text);
        data.extend(after.iter().copied());
        data.push_str(self.tail);
        frame(data)
    }

    /// A chunk with an event about a candidate. `length` is that of the event's texts as JSON.
    fn tool_event(&self, event: &Tab<'_>, length: usize) -> Frame {
        let length = self.heading.len() + EVENT.len() + length + EVENT_OVERHEAD + self.tail.len();
        let mut data = Vec::with_capacity(length);
        data.extend_from_slice(self.heading.as_bytes());
        data.extend_from_slice(EVENT.as_bytes());
        json::append(&mut data, event);
        data.extend_from_slice(self.tail.as_bytes());
        frame(String::from_utf8(data).unwrap_or_default())
    }
}

/// An event about a candidate.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Tab<'a> {
    #[serde(rename = "codex_tab_open")]
    Open {
        tab: u32,
        total: u32,
        model: &'a str,
    },
    #[serde(rename = "codex_tab_close")]
    Close {
        tab: u32,
        text: &'a Messages,
        usage: Option<UsageObject>,
    },
    #[serde(rename = "codex_tab_error")]
    Error {
        tab: u32,
        #[serde(flatten)]
        error: CandidateError,
    },
}

fn total(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The frame that ends every stream.
pub(super) fn done() -> Frame {
    frame("[DONE]".to_owned())
}

/// A server-sent event without a name: this dialect names none.
pub(super) fn frame(data: String) -> Frame {
    Frame {
        event: None,
        data,
        number: None,
    }
}
