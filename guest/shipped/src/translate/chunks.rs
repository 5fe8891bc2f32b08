//! The chunks of a stream, written by hand around a heading that is written once: this is the hot path.

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

/// The end of a delta.
const AFTER: &str = r#"},"logprobs":null,"finish_reason":null}]"#;

/// The choice of a chunk that tells of a candidate, up to what is told: a client that does not know it skips it.
const EVENT: &str = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":null}],"_toolEvent":"#;

/// Bytes of what is told of a candidate besides its text, at most.
const EVENT_OVERHEAD: usize = 400;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Everything before the choices.
    heading: String,
    /// Everything after them and what is particular to a chunk. Where usage was asked for, every chunk but the last
    /// says null.
    tail: &'static str,
}

/// The field of a delta that text goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeltaField {
    Content,
    Reasoning,
}

impl DeltaField {
    /// The beginning of a delta.
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

    /// The first chunk, which says who speaks.
    pub(super) fn role(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// As `role`, of an answer without words: clients then have a message whose content is null, as with OpenAI.
    pub(super) fn wordless(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// A piece of the answer or of its reasoning.
    pub(super) fn delta(&self, field: DeltaField, text: &str) -> Frame {
        self.text(&[field.before()], text, &[AFTER])
    }

    /// What stands around a piece of the answer or of its reasoning.
    pub(super) fn around(&self, field: DeltaField) -> (String, String) {
        let before = [&self.heading, field.before()].concat();
        (before, [AFTER, self.tail].concat())
    }

    /// A piece of a fan-out's answer: told as such, and then as any answer is.
    pub(super) fn gather(&self, text: &str) -> [Frame; 2] {
        const BEFORE: &str = r#"{"type":"codex_gather","text":"#;
        let frame = self.text(&[EVENT, BEFORE], text, &["}"]);
        // What was escaped once is copied.
        let start = self.heading.len() + EVENT.len() + BEFORE.len();
        let end = frame.data.len() - self.tail.len() - 1;
        let delta = self.chunk(&[DeltaField::Content.before(), &frame.data[start..end], AFTER]);
        [frame, delta]
    }

    /// A call, the `index`th of the answer: who is called, and then with what, unless that is nothing. Clients put the
    /// arguments together from all its chunks.
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

    /// A candidate was asked for.
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
    pub(super) fn tab_error(&self, tab: u32, fault: CandidateError) -> Frame {
        self.tool_event(&Tab::Error { tab, fault }, 0)
    }

    /// The last chunk with a choice, which says why the answer ends, and of a fan-out how it was found.
    pub(super) fn finish(&self, reason: &str, airlock: Option<&AirlockObject<'_>>) -> Frame {
        let choice =
            format!(r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}]"#);
        match airlock {
            None => self.chunk(&[&choice]),
            Some(airlock) => self.chunk(&[&choice, r#","airlock":"#, &json::to_line(airlock)]),
        }
    }

    /// The chunk after the last choice, for a client that asked for it.
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

    /// A chunk that tells of a candidate. `length` is that of the texts in it, as JSON.
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

/// What is told of a candidate, once each.
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
        fault: CandidateError,
    },
}

fn total(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The frame that ends every stream.
pub(super) fn done() -> Frame {
    frame("[DONE]".to_owned())
}

/// A nameless event: this dialect has no others.
pub(super) fn frame(data: String) -> Frame {
    Frame { event: None, data }
}
