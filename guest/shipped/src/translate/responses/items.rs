//! The items of a response's output, as JSON.

use crate::bindings::airlock::policy::types::Phase;
use crate::json;
use crate::translate::collected_answer::{AnswerMessage, AnswerReasoning};
use crate::translate::turn_text::MessageText;

/// The most bytes of a part of a reasoning item besides its text.
const PART_OVERHEAD: usize = 40;

/// A message without content, to which a stream adds its parts.
pub(super) fn push_empty_message(out: &mut String, id: &str, phase: Option<Phase>) {
    push_message_start(out, id, "in_progress");
    push_message_end(out, phase);
}

/// A message with its text.
pub(super) fn push_message(
    out: &mut String,
    id: &str,
    message: &AnswerMessage,
    text: Option<&MessageText>,
    status: &str,
) {
    push_message_start(out, id, status);
    push_text_part(out, text, &message.annotations);
    push_message_end(out, message.phase);
}

fn push_message_start(out: &mut String, id: &str, status: &str) {
    out.push_str(r#"{"id":"#);
    json::push_text(out, id);
    out.extend([
        r#","type":"message","status":""#,
        status,
        r#"","role":"assistant","content":["#,
    ]);
}

fn push_message_end(out: &mut String, phase: Option<Phase>) {
    out.push_str(match phase {
        None => "]}",
        Some(Phase::Commentary) => r#"],"phase":"commentary"}"#,
        Some(Phase::FinalAnswer) => r#"],"phase":"final_answer"}"#,
    });
}

/// The content part with the text of a message.
pub(super) fn push_text_part(out: &mut String, text: Option<&MessageText>, annotations: &[String]) {
    out.push_str(r#"{"type":"output_text","text":"#);
    push_message_text(out, text);
    out.push_str(r#","annotations":["#);
    for (index, annotation) in annotations.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::push_json(out, annotation);
    }
    out.push_str(r#"],"logprobs":[]}"#);
}

/// The text of a message as a string.
pub(super) fn push_message_text(out: &mut String, text: Option<&MessageText>) {
    match text {
        Some(text) => text.push_json(out),
        None => out.push_str("\"\""),
    }
}

/// A reasoning item without its text, to which a stream adds its parts.
pub(super) fn push_empty_reasoning(out: &mut String, id: &str) {
    out.push_str(r#"{"id":"#);
    json::push_text(out, id);
    out.push_str(r#","type":"reasoning","summary":[]}"#);
}

/// A reasoning item with its text, and its encrypted content if the client requested that.
pub(super) fn push_reasoning(
    out: &mut String,
    id: &str,
    reasoning: &AnswerReasoning,
    encrypted: bool,
) {
    out.push_str(r#"{"id":"#);
    json::push_text(out, id);
    out.push_str(r#","type":"reasoning","summary":["#);
    push_parts(out, reasoning, false);
    out.push(']');
    if reasoning.parts.iter().any(|part| part.raw) {
        out.push_str(r#","content":["#);
        push_parts(out, reasoning, true);
        out.push(']');
    }
    if let Some(content) = reasoning.encrypted_content.as_ref().filter(|_| encrypted) {
        out.push_str(r#","encrypted_content":"#);
        json::push_text(out, content);
    }
    out.push('}');
}

/// Bytes of the texts in a reasoning item's JSON, or a few more.
pub(super) fn reasoning_length(reasoning: &AnswerReasoning, encrypted: bool) -> usize {
    let parts = reasoning.parts.iter();
    let parts = parts.map(|part| json::text_length(&part.text) + PART_OVERHEAD);
    let content = reasoning.encrypted_content.as_ref();
    let content = content.filter(|_| encrypted);
    parts.sum::<usize>() + content.map_or(0, |content| json::text_length(content))
}

fn push_parts(out: &mut String, reasoning: &AnswerReasoning, raw: bool) {
    let parts = reasoning.parts.iter().filter(|part| part.raw == raw);
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_reasoning_part(out, raw, &part.text);
    }
}

/// A part of a reasoning item: of its summary, or of the reasoning itself.
pub(super) fn push_reasoning_part(out: &mut String, raw: bool, text: &str) {
    let kind = if raw {
        "reasoning_text"
    } else {
        "summary_text"
    };
    out.extend([r#"{"type":""#, kind, r#"","text":"#]);
    json::push_text(out, text);
    out.push('}');
}
