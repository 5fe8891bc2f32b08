//! A reply as one JSON body.

use serde::Serialize;

use super::transcript::Transcript;
use super::{Heading, UsageObject, check_object, finish_reason};
use crate::bindings::airlock::policy::types::{Ending, Event, EventKind, Problem, Usage};
use crate::json;
use crate::notes::{Notes, Structure};

/// Bytes of a completion besides its texts, at least.
const BODY_OVERHEAD: usize = 1024;

/// What the turn has said so far.
#[derive(Debug)]
pub(super) struct Collected {
    notes: Notes,
    heading: Heading,
    transcript: Transcript,
    /// The answer's messages, by their numbers within the turn.
    messages: Vec<(u32, String)>,
    reasoning: String,
    usage: Option<Usage>,
}

impl Collected {
    pub(super) fn new(heading: Heading, notes: Notes) -> Self {
        Self {
            notes,
            heading,
            transcript: Transcript::default(),
            messages: Vec::new(),
            reasoning: String::new(),
            usage: None,
        }
    }

    pub(super) fn feed(&mut self, events: impl Iterator<Item = Event>) {
        for event in events {
            match event.kind {
                EventKind::Text(text) => {
                    // What separates messages is written at the end, when it is known which of them stand.
                    if self.transcript.admit_text(&text, self.notes).is_none() {
                        continue;
                    }
                    match self.messages.last_mut() {
                        Some((number, told)) if *number == text.message => {
                            told.push_str(&text.text);
                        }
                        _ => self.messages.push((text.message, text.text)),
                    }
                }
                EventKind::Reasoning(reasoning) => {
                    if let Some(separator) = self.transcript.admit_reasoning(&reasoning, self.notes)
                    {
                        self.reasoning.push_str(separator);
                        self.reasoning.push_str(&reasoning.text);
                    }
                }
                EventKind::Usage(usage) => self.usage = Some(usage),
                EventKind::Restarted(void) => {
                    self.messages.retain(|(number, _)| !void.contains(number));
                }
                EventKind::Other(_) => {}
            }
        }
    }

    pub(super) fn finish(self, ending: Ending) -> Result<String, Problem> {
        let completed = ending == Ending::Completed;
        let finish_reason = finish_reason(ending)?;
        let content = join(self.messages);
        if completed && self.notes.structure == Structure::Object {
            check_object(&content)?;
        }
        let size = json::text_length(&content) + json::text_length(&self.reasoning) + BODY_OVERHEAD;
        let completion = Completion {
            id: &self.heading.id,
            object: "chat.completion",
            created: self.heading.created,
            model: &self.heading.model,
            system_fingerprint: None,
            choices: [Choice {
                index: 0,
                message: Message {
                    role: "assistant",
                    content: &content,
                    reasoning_content: (!self.reasoning.is_empty())
                        .then_some(self.reasoning.as_str()),
                    refusal: None,
                    annotations: [],
                },
                logprobs: None,
                finish_reason,
            }],
            usage: self.usage.map(UsageObject::of),
        };
        Ok(json::to_line_sized(&completion, size))
    }
}

/// The messages in order, a blank line between them.
fn join(mut messages: Vec<(u32, String)>) -> String {
    if messages.len() == 1 {
        // The usual answer, which may be large, is not copied.
        return messages.pop().map(|(_, text)| text).unwrap_or_default();
    }
    let texts: Vec<&str> = messages.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("\n\n")
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: [Choice<'a>; 1],
    /// Absent when nobody told: a client must not take it for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageObject>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
}
