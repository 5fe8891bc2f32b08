//! Writes the chunks of a stream by hand, around a heading that is written once: this is the hot path.

use super::completion_id;
use crate::bindings::airlock::policy::types::{EventKind, Problem, Usage};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;
use crate::notes::PlanNotes;
use crate::problem;
use crate::tools::FunctionCall;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;
use crate::translate::model_item::ModelItem;
use crate::translate::usage::UsageObject;
use crate::translate::writer::{StreamWriter, TabUpdate, TargetedText, TextTarget};

/// The JSON after a delta.
const AFTER: &str = r#"},"logprobs":null,"finish_reason":null}]"#;

/// The JSON before an event about a candidate. Clients that do not know `_toolEvent` skip the chunk, whose delta is
/// empty.
const EVENT: &str = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":null}],"_toolEvent":"#;

/// The most bytes of such an event besides its text.
const EVENT_OVERHEAD: usize = 400;

/// The stream of a chat completion.
#[derive(Debug)]
pub(in crate::translate) struct ChatStream {
    chunks: Chunks,
    /// Whether the first chunk has been sent.
    role_sent: bool,
    /// Whether the client requested the usage.
    include_usage: bool,
    /// Whether candidates of a fan-out are sent to the client.
    shown: bool,
}

/// Writes the chunks of one stream.
#[derive(Debug)]
struct Chunks {
    /// The JSON before the choices.
    heading: String,
    /// The JSON at the end of a chunk. If usage was requested, every chunk but the last has `"usage":null`.
    tail: &'static str,
}

/// The field of a delta that contains text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeltaField {
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

impl ChatStream {
    pub(in crate::translate) fn new(heading: &Heading, notes: &PlanNotes) -> Self {
        Self {
            chunks: Chunks::new(heading, notes.include_usage),
            role_sent: false,
            include_usage: notes.include_usage,
            shown: notes.fan_out.as_ref().is_some_and(|fan_out| fan_out.shown),
        }
    }

    fn send_role(&mut self, frames: &mut Vec<Frame>) {
        if !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role());
        }
    }
}

impl StreamWriter for ChatStream {
    fn text(&mut self, piece: TargetedText, frames: &mut Vec<Frame>) {
        self.send_role(frames);
        match piece.target {
            TextTarget::Candidate(tab) => {
                self.tab(tab, &TabUpdate::Text(&piece.text), frames);
            }
            TextTarget::Message(_) if self.shown => frames.extend(self.chunks.gather(&piece.text)),
            TextTarget::Message(_) => {
                frames.push(self.chunks.delta(DeltaField::Content, &piece.text));
            }
            TextTarget::Reasoning { .. } => {
                frames.push(self.chunks.delta(DeltaField::Reasoning, &piece.text));
            }
        }
    }

    /// This dialect has no place for it.
    fn model_item(&mut self, _item: &ModelItem, _frames: &mut Vec<Frame>) {}

    fn calls(&mut self, calls: &[FunctionCall<'static>], frames: &mut Vec<Frame>) {
        if !calls.is_empty() && !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role_without_content());
        }
        for (index, call) in calls.iter().enumerate() {
            frames.extend(self.chunks.call(index, call));
        }
    }

    fn tab(&mut self, tab: u32, update: &TabUpdate<'_>, frames: &mut Vec<Frame>) {
        self.send_role(frames);
        frames.push(self.chunks.tab(tab, update));
    }

    fn pattern(&self, target: TextTarget) -> Option<Pattern> {
        let field = match target {
            // It is sent twice.
            TextTarget::Message(_) if self.shown => return None,
            TextTarget::Message(_) => DeltaField::Content,
            TextTarget::Reasoning { .. } => DeltaField::Reasoning,
            TextTarget::Candidate(_) => return None,
        };
        let (before, after) = self.chunks.pattern(field);
        Some(Pattern {
            event: None,
            before,
            after,
            report: false,
            number: None,
        })
    }

    fn relayed(&mut self, _kind: EventKind) {}

    /// None: the host's comment suffices.
    fn keep_alive(&mut self) -> Vec<Frame> {
        Vec::new()
    }

    fn finish(&mut self, end: &ReplyEnd<'_>, frames: &mut Vec<Frame>) {
        self.send_role(frames);
        let reason = super::finish_reason(end.reason);
        frames.push(self.chunks.finish(reason, end.airlock.as_ref()));
        // Clients cannot rely on this chunk, since a stream may break: it is left out if the usage is unknown.
        if let Some(usage) = end.usage.filter(|_| self.include_usage) {
            frames.push(self.chunks.usage(usage));
        }
        frames.push(done());
    }

    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>) {
        frames.push(frame(problem::envelope(problem)));
        frames.push(done());
    }
}

impl Chunks {
    fn new(heading: &Heading, include_usage: bool) -> Self {
        let mut text = String::from(r#"{"id":"#);
        json::push_text(&mut text, &completion_id(heading));
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
    fn role(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// As `role`, for an answer without text: its content is null, as with OpenAI.
    fn role_without_content(&self) -> Frame {
        self.chunk(&[
            r#"{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}]"#,
        ])
    }

    /// A piece of the answer or its reasoning.
    fn delta(&self, field: DeltaField, text: &str) -> Frame {
        self.text(&[field.before()], text, &[AFTER])
    }

    /// The JSON before and after a piece of the answer or its reasoning.
    fn pattern(&self, field: DeltaField) -> (String, String) {
        let before = [&self.heading, field.before()].concat();
        (before, [AFTER, self.tail].concat())
    }

    /// A piece of a fan-out's answer: an event, and then an ordinary delta.
    fn gather(&self, text: &str) -> [Frame; 2] {
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
    fn call(&self, index: usize, call: &FunctionCall<'_>) -> impl Iterator<Item = Frame> {
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

    /// An update of a candidate, as an event.
    fn tab(&self, tab: u32, update: &TabUpdate<'_>) -> Frame {
        let name = match update {
            TabUpdate::Text(_) => "chunk",
            update => update.name(),
        };
        let length = self.heading.len()
            + EVENT.len()
            + update.json_length()
            + EVENT_OVERHEAD
            + self.tail.len();
        let mut data = String::with_capacity(length);
        data.push_str(&self.heading);
        data.push_str(EVENT);
        data.extend([r#"{"type":"codex_tab_"#, name, "\","]);
        update.push_members(tab, &mut data);
        data.push('}');
        data.push_str(self.tail);
        frame(data)
    }

    /// The last chunk with a choice: its `finish_reason`, and for a fan-out the `airlock` object.
    fn finish(&self, reason: &str, airlock: Option<&AirlockObject<'_>>) -> Frame {
        let choice =
            format!(r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}]"#);
        match airlock {
            None => self.chunk(&[&choice]),
            Some(airlock) => self.chunk(&[&choice, r#","airlock":"#, &json::to_line(airlock)]),
        }
    }

    /// The usage chunk, after the last choice, for clients that request it.
    fn usage(&self, usage: Usage) -> Frame {
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
}

fn total(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The frame that ends every stream.
fn done() -> Frame {
    frame("[DONE]".to_owned())
}

/// A server-sent event without a name: this dialect names none.
fn frame(data: String) -> Frame {
    Frame {
        event: None,
        data,
        number: None,
    }
}
