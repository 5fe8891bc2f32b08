//! A reply as one JSON body.

use std::borrow::Cow;

use serde::Serialize;

use super::airlock_object::AirlockObject;
use super::answer_filter::AnswerFilter;
use super::calls::FunctionCalls;
use super::candidates::Candidates;
use super::ending::finish_reason;
use super::heading::{ANSWER, Heading};
use super::messages::Messages;
use super::usage::UsageObject;
use crate::bindings::airlock::policy::types::{Ending, Event, EventKind, Problem, Usage};
use crate::bindings::exports::airlock::policy::translate::Handoff;
use crate::json;
use crate::notes::{PlanNotes, Structure};
use crate::tools::FunctionCall;

/// The least bytes of a completion besides its texts.
const BODY_OVERHEAD: usize = 1024;

/// The most bytes of a call besides its texts.
const CALL_OVERHEAD: usize = 80;

/// The reply so far.
#[derive(Debug)]
pub(super) struct CollectedReply {
    notes: PlanNotes,
    heading: Heading,
    filter: AnswerFilter,
    /// The answer's messages.
    messages: Messages,
    reasoning: String,
    usage: Option<Usage>,
    calls: FunctionCalls,
    /// The turns of a fan-out besides the answer's.
    candidates: Option<Candidates>,
}

impl CollectedReply {
    pub(super) fn new(heading: Heading, mut notes: PlanNotes) -> Self {
        Self {
            calls: FunctionCalls::of(&heading, &mut notes),
            candidates: Candidates::of(&mut notes, true),
            notes,
            heading,
            filter: AnswerFilter::default(),
            messages: Messages::default(),
            reasoning: String::new(),
            usage: None,
        }
    }

    pub(super) fn feed(&mut self, events: Vec<Event>) -> Option<Handoff> {
        for event in events {
            if self.calls.are_complete() {
                break;
            }
            if event.source == ANSWER {
                let handoff = self.receive_answer(event.kind);
                if handoff.is_some() {
                    return handoff;
                }
            } else if let Some(candidates) = &mut self.candidates {
                candidates.receive(event, &self.notes);
            }
        }
        None
    }

    fn receive_answer(&mut self, kind: EventKind) -> Option<Handoff> {
        match kind {
            EventKind::Text(text) => {
                // Separators are written at the end, when it is known which messages are valid.
                if self.filter.admit_text(&text, &self.notes).is_some() {
                    self.messages.push(text.message, Cow::Owned(text.text));
                }
            }
            EventKind::Reasoning(reasoning) => {
                if let Some(separator) = self.filter.admit_reasoning(&reasoning, &self.notes) {
                    self.reasoning.push_str(separator);
                    self.reasoning.push_str(&reasoning.text);
                }
            }
            EventKind::Usage(usage) => self.usage = Some(usage),
            EventKind::Restarted(void) => self.messages.forget(&void),
            EventKind::Settled(_) => self.restart_answer(),
            EventKind::Picked(choice) => {
                if let Some(candidates) = &mut self.candidates {
                    candidates.pick(choice);
                }
            }
            EventKind::Other(notification) => {
                if self.calls.receive(&notification) {
                    return Some(self.calls.hand_off(Some(self.messages.digest())));
                }
            }
            EventKind::Opened(_) => {}
        }
        None
    }

    /// Records that the answer failed, and that another one follows.
    fn restart_answer(&mut self) {
        if let Some(candidates) = &mut self.candidates {
            candidates.add_void(self.usage.take());
            self.filter = AnswerFilter::default();
            self.messages = Messages::default();
            self.reasoning = String::new();
        }
    }

    pub(super) fn finish(self, ending: &Ending) -> Result<String, Problem> {
        let finish_reason = self.calls.conclude(ending, finish_reason(ending)?)?;
        let calls = self.calls.to_send();
        let content = &self.messages;
        if *ending == Ending::Completed
            && calls.is_empty()
            && self.notes.structure == Structure::Object
        {
            self.notes.structure.check(&content.to_text())?;
        }
        let candidates = self.candidates.as_ref();
        let airlock = candidates.map(|candidates| {
            AirlockObject::of(candidates, self.usage).with_candidates(candidates, content)
        });
        let usage = match candidates {
            None => self.usage,
            Some(candidates) => candidates.usage(self.usage),
        };
        let size = content.json_length()
            + json::text_length(&self.reasoning)
            + airlock.as_ref().map_or(0, AirlockObject::json_length)
            + calls.iter().map(json_length).sum::<usize>()
            + BODY_OVERHEAD;
        let completion = CompletionObject {
            id: &self.heading.id,
            object: "chat.completion",
            created: self.heading.created,
            model: &self.heading.model,
            system_fingerprint: None,
            choices: [ChoiceObject {
                index: 0,
                message: MessageObject {
                    role: "assistant",
                    content: (calls.is_empty() || !content.is_empty()).then_some(content),
                    reasoning_content: (!self.reasoning.is_empty())
                        .then_some(self.reasoning.as_str()),
                    refusal: None,
                    annotations: [],
                    tool_calls: calls.iter().map(ToolCallObject::of).collect(),
                },
                logprobs: None,
                finish_reason,
            }],
            usage: usage.map(UsageObject::of),
            airlock,
        };
        Ok(json::to_line_sized(&completion, size))
    }
}

#[derive(Serialize)]
struct CompletionObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: [ChoiceObject<'a>; 1],
    /// Absent if Codex reported none: clients must not take it for zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageObject>,
    /// Only for a fan-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    airlock: Option<AirlockObject<'a>>,
}

#[derive(Serialize)]
struct ChoiceObject<'a> {
    index: u32,
    message: MessageObject<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct MessageObject<'a> {
    role: &'static str,
    /// None if the answer consists of calls alone.
    content: Option<&'a Messages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCallObject<'a>>,
}

#[derive(Serialize)]
struct ToolCallObject<'a> {
    id: &'a str,
    r#type: &'static str,
    function: FunctionObject<'a>,
}

#[derive(Serialize)]
struct FunctionObject<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> ToolCallObject<'a> {
    fn of(call: &'a FunctionCall<'_>) -> Self {
        Self {
            id: &call.id,
            r#type: "function",
            function: FunctionObject {
                name: &call.name,
                arguments: &call.arguments,
            },
        }
    }
}

/// Bytes of a call as JSON, or a few more.
fn json_length(call: &FunctionCall<'_>) -> usize {
    let texts = [&call.id, &call.name, &call.arguments];
    CALL_OVERHEAD
        + texts
            .map(|text| json::text_length(text))
            .iter()
            .sum::<usize>()
}
