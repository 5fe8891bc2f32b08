//! A chat completion as one JSON body.

use serde::Serialize;

use super::{ChoiceFailure, FAILED, completion_id, finish_reason};
use crate::bindings::airlock::policy::types::{Problem, Usage};
use crate::json;
use crate::tools::FunctionCall;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::answer_filter::PARAGRAPH;
use crate::translate::collected_answer::CollectedAnswer;
use crate::translate::ending::{FinishReason, ReplyEnd};
use crate::translate::heading::Heading;
use crate::translate::turn_text::TurnText;
use crate::translate::usage::UsageObject;

/// The least bytes of a completion besides its texts.
const BODY_OVERHEAD: usize = 1024;

/// The most bytes of a call besides its texts.
const CALL_OVERHEAD: usize = 80;

/// The chat completion with this answer and these calls.
pub(in crate::translate) fn body(
    heading: &Heading,
    answer: &CollectedAnswer,
    calls: &[FunctionCall<'static>],
    end: &ReplyEnd<'_>,
) -> String {
    let content = &answer.text;
    let reasoning = reasoning(answer);
    let size = content.json_length()
        + json::text_length(&reasoning)
        + end.airlock.as_ref().map_or(0, AirlockObject::json_length)
        + calls.iter().map(json_length).sum::<usize>()
        + BODY_OVERHEAD;
    let completion = CompletionObject {
        id: &completion_id(heading),
        object: "chat.completion",
        created: heading.created,
        model: &heading.model,
        system_fingerprint: None,
        choices: &[ChoiceObject {
            index: 0,
            message: MessageObject {
                content: (calls.is_empty() || !content.is_empty()).then_some(content),
                reasoning_content: Some(reasoning).filter(|reasoning| !reasoning.is_empty()),
                tool_calls: calls.iter().map(ToolCallObject::of).collect(),
                ..MessageObject::default()
            },
            logprobs: None,
            finish_reason: finish_reason(end.reason),
            airlock: None,
        }],
        usage: end.usage.map(UsageObject::of),
        airlock: end.airlock.as_ref(),
    };
    json::to_line_sized(&completion, size)
}

/// The content of one choice of several.
pub(super) enum ChoiceContent<'a> {
    Answer(&'a CollectedAnswer, FinishReason),
    Failure(&'a Problem),
}

/// The chat completion with these choices, and the usage of all their turns.
pub(super) fn body_of_choices(
    heading: &Heading,
    choices: &[ChoiceContent<'_>],
    usage: Option<Usage>,
) -> String {
    let choices = (0..).zip(choices);
    let choices: Vec<ChoiceObject<'_>> = choices
        .map(|(index, content)| ChoiceObject::of(index, content))
        .collect();
    let sizes = choices.iter().map(|choice| choice.message.json_length());
    let size = sizes.sum::<usize>() + BODY_OVERHEAD * choices.len();
    let completion = CompletionObject {
        id: &completion_id(heading),
        object: "chat.completion",
        created: heading.created,
        model: &heading.model,
        system_fingerprint: None,
        choices: &choices,
        usage: usage.map(UsageObject::of),
        airlock: None,
    };
    json::to_line_sized(&completion, size)
}

/// The whole reasoning, with a blank line between its parts.
fn reasoning(answer: &CollectedAnswer) -> String {
    let mut text = String::new();
    let mut last = None;
    for part in answer.reasoning() {
        if last
            .replace(part.number)
            .is_some_and(|last| last != part.number)
        {
            text.push_str(PARAGRAPH);
        }
        text.push_str(&part.text);
    }
    text
}

#[derive(Serialize)]
struct CompletionObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: &'a [ChoiceObject<'a>],
    /// Absent if Codex reported none: clients must not take it for zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageObject>,
    /// Only for a fan-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    airlock: Option<&'a AirlockObject<'a>>,
}

#[derive(Serialize)]
struct ChoiceObject<'a> {
    index: u32,
    message: MessageObject<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
    /// Only if it failed, and others succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    airlock: Option<ChoiceFailure<'a>>,
}

#[derive(Serialize)]
struct MessageObject<'a> {
    role: &'static str,
    /// None if the answer consists of calls alone, or failed.
    content: Option<&'a TurnText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
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

impl<'a> ChoiceObject<'a> {
    fn of(index: u32, content: &'a ChoiceContent<'_>) -> Self {
        let (message, finish_reason, airlock) = match content {
            ChoiceContent::Answer(answer, reason) => {
                let reasoning = reasoning(answer);
                let message = MessageObject {
                    content: Some(&answer.text),
                    reasoning_content: Some(reasoning).filter(|reasoning| !reasoning.is_empty()),
                    ..MessageObject::default()
                };
                (message, finish_reason(*reason), None)
            }
            ChoiceContent::Failure(problem) => {
                let failure = ChoiceFailure::of(problem);
                (MessageObject::default(), FAILED, Some(failure))
            }
        };
        Self {
            index,
            message,
            logprobs: None,
            finish_reason,
            airlock,
        }
    }
}

impl Default for MessageObject<'_> {
    fn default() -> Self {
        Self {
            role: "assistant",
            content: None,
            reasoning_content: None,
            refusal: None,
            annotations: [],
            tool_calls: Vec::new(),
        }
    }
}

impl MessageObject<'_> {
    /// Bytes of its texts as JSON, or a few more.
    fn json_length(&self) -> usize {
        let reasoning = self.reasoning_content.as_deref().map(json::text_length);
        self.content.map_or(0, TurnText::json_length) + reasoning.unwrap_or_default()
    }
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
