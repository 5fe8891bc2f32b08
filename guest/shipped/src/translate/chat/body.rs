//! A chat completion as one JSON body.

use serde::Serialize;

use super::{completion_id, finish_reason};
use crate::json;
use crate::tools::FunctionCall;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::answer_filter::PARAGRAPH;
use crate::translate::collected_answer::CollectedAnswer;
use crate::translate::ending::ReplyEnd;
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
        choices: [ChoiceObject {
            index: 0,
            message: MessageObject {
                role: "assistant",
                content: (calls.is_empty() || !content.is_empty()).then_some(content),
                reasoning_content: (!reasoning.is_empty()).then_some(reasoning.as_str()),
                refusal: None,
                annotations: [],
                tool_calls: calls.iter().map(ToolCallObject::of).collect(),
            },
            logprobs: None,
            finish_reason: finish_reason(end.reason),
        }],
        usage: end.usage.map(UsageObject::of),
        airlock: end.airlock.as_ref(),
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
    choices: [ChoiceObject<'a>; 1],
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
}

#[derive(Serialize)]
struct MessageObject<'a> {
    role: &'static str,
    /// None if the answer consists of calls alone.
    content: Option<&'a TurnText>,
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
