//! Writes the chunks of a stream by hand, around a heading that is written once: this is the hot path.

use super::{ChoiceFailure, FAILED, completion_id};
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

/// The JSON of a choice's end, before its reason.
const FINISH: &str = r#"},"logprobs":null,"finish_reason":""#;

/// The JSON before an event about a candidate. Clients that do not know `_toolEvent` skip the chunk, whose delta is
/// empty.
const EVENT: &str = r#"},"logprobs":null,"finish_reason":null}],"_toolEvent":"#;

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
    /// Whether it is one choice of several, whose stream ends with the last of them.
    is_choice: bool,
}

/// Writes the chunks of one stream.
#[derive(Debug)]
struct Chunks {
    /// The JSON before a delta's members.
    heading: String,
    /// Where the choice begins in it.
    choice: usize,
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
            Self::Content => r#""content":"#,
            Self::Reasoning => r#""reasoning_content":"#,
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
            is_choice: heading.choice.is_some(),
        }
    }

    fn send_role(&mut self, frames: &mut Vec<Frame>) {
        if !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role());
        }
    }

    fn send_role_without_content(&mut self, frames: &mut Vec<Frame>) {
        if !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role_without_content());
        }
    }

    /// Ends the stream.
    pub(in crate::translate) fn end(&self, usage: Option<Usage>, frames: &mut Vec<Frame>) {
        // Clients cannot rely on this chunk, since a stream may break: it is left out if the usage is unknown.
        if let Some(usage) = usage.filter(|_| self.include_usage) {
            frames.push(self.chunks.usage(usage));
        }
        frames.push(done());
    }
}

/// The frames that end a stream that failed.
pub(in crate::translate) fn failure(problem: &Problem) -> [Frame; 2] {
    [frame(problem::envelope(problem)), done()]
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
        if !calls.is_empty() {
            self.send_role_without_content(frames);
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
        if !self.is_choice {
            self.end(end.usage, frames);
        }
    }

    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>) {
        if !self.is_choice {
            frames.extend(failure(problem));
            return;
        }
        self.send_role_without_content(frames);
        frames.push(self.chunks.failed(&ChoiceFailure::of(problem)));
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
        let choice = text.len();
        let index = heading.choice.unwrap_or_default();
        text.push_str(&format!(r#"{{"index":{index},"delta":{{"#));
        Self {
            heading: text,
            choice,
            tail: if include_usage {
                r#","usage":null}"#
            } else {
                "}"
            },
        }
    }

    /// The first chunk, with the role.
    fn role(&self) -> Frame {
        self.chunk(&[r#""role":"assistant","content":"","refusal":null"#, AFTER])
    }

    /// As `role`, for an answer without text: its content is null, as with OpenAI.
    fn role_without_content(&self) -> Frame {
        self.chunk(&[r#""role":"assistant","content":null,"refusal":null"#, AFTER])
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
        const BEFORE: &str = r#""tool_calls":[{"index":"#;
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
        match airlock {
            None => self.chunk(&[FINISH, reason, "\"}]"]),
            Some(airlock) => {
                self.chunk(&[FINISH, reason, "\"}],\"airlock\":", &json::to_line(airlock)])
            }
        }
    }

    /// The last chunk of a choice that failed while others may succeed.
    fn failed(&self, failure: &ChoiceFailure<'_>) -> Frame {
        let failure = json::to_line(failure);
        self.chunk(&[FINISH, FAILED, "\",\"airlock\":", &failure, "}]"])
    }

    /// The usage chunk, after the last choice, for clients that request it.
    fn usage(&self, usage: Usage) -> Frame {
        let usage = json::to_line(&UsageObject::of(usage));
        let heading = self.heading.get(..self.choice).unwrap_or_default();
        frame(format!(r#"{heading}],"usage":{usage}}}"#))
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
