//! A message as one JSON body.

use super::usage::{MessageTokens, MessageUsage};
use super::{input, message_id, push_stop};
use crate::json;
use crate::notes::{MessagesNotes, ThinkingDisplay};
use crate::reasoning_signature::ReasoningSignature;
use crate::tools::FunctionCall;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::answer_filter::PARAGRAPH;
use crate::translate::collected_answer::{AnswerItem, AnswerReasoning, CollectedAnswer};
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;

/// The least bytes of a message besides its texts.
const BODY_OVERHEAD: usize = 1024;

/// The message with this answer and these calls.
pub(in crate::translate) fn body(
    heading: &Heading,
    notes: &MessagesNotes,
    answer: &CollectedAnswer,
    calls: &[FunctionCall<'static>],
    end: &ReplyEnd<'_>,
) -> String {
    let airlock = end.airlock.as_ref().map_or(0, AirlockObject::json_length);
    let mut out = String::with_capacity(answer.text.json_length() + airlock + BODY_OVERHEAD);
    out.push_str(r#"{"id":"#);
    json::push_text(&mut out, &message_id(heading));
    out.push_str(r#","type":"message","role":"assistant","model":"#);
    json::push_text(&mut out, &heading.model);
    out.push_str(r#","content":["#);
    let start = out.len();
    for item in &answer.items {
        push_item(&mut out, start, item, notes, answer);
    }
    for call in calls {
        push_comma(&mut out, start);
        out.push_str(r#"{"type":"tool_use","id":"#);
        json::push_text(&mut out, &call.id);
        out.push_str(r#","name":"#);
        json::push_text(&mut out, &call.name);
        out.push_str(r#","input":"#);
        json::push_json(&mut out, &input(&call.arguments));
        out.push('}');
    }
    out.push_str("],");
    push_stop(&mut out, end);
    out.push_str(r#","usage":"#);
    let usage = MessageUsage::of(MessageTokens::of(end.usage, notes.input_tokens));
    out.push_str(&json::to_line(&usage));
    if let Some(airlock) = &end.airlock {
        out.push_str(r#","airlock":"#);
        out.push_str(&json::to_line(airlock));
    }
    out.push('}');
    out
}

/// Appends the block of an item, if it has one. The blocks begin at `start`.
fn push_item(
    out: &mut String,
    start: usize,
    item: &AnswerItem,
    notes: &MessagesNotes,
    answer: &CollectedAnswer,
) {
    match item {
        AnswerItem::Message(message) => {
            let text = answer.text.message(message.number);
            // An API that refuses empty text blocks must not send them.
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                push_comma(out, start);
                out.push_str(r#"{"type":"text","text":"#);
                text.push_json(out);
                out.push('}');
            }
        }
        AnswerItem::Reasoning(reasoning) => {
            if notes.thinking != ThinkingDisplay::Disabled {
                push_comma(out, start);
                push_thinking(out, reasoning);
            }
        }
    }
}

fn push_thinking(out: &mut String, reasoning: &AnswerReasoning) {
    let parts: Vec<&str> = reasoning
        .parts
        .iter()
        .map(|part| part.text.as_str())
        .collect();
    out.push_str(r#"{"type":"thinking","thinking":"#);
    json::push_text(out, &parts.join(PARAGRAPH));
    out.push_str(r#","signature":"#);
    let encrypted_content = reasoning.encrypted_content.as_deref();
    let signature = ReasoningSignature::of(reasoning.id.as_deref(), encrypted_content);
    let is_known = !signature.id.is_empty() || signature.encrypted_content.is_some();
    let signature = is_known.then(|| signature.encode());
    json::push_text(out, &signature.unwrap_or_default());
    out.push('}');
}

fn push_comma(out: &mut String, start: usize) {
    if out.len() > start {
        out.push(',');
    }
}
