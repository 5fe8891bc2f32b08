//! Writes earlier messages as items of the Responses API, each one line of JSON.

use super::message::{ConversationMessage, MessageRole};
use crate::bindings::airlock::policy::types::Phase;
use crate::json;
use crate::prompt::content::ContentPart;
use crate::tools::{FunctionCall, upstream_name};

/// The `detail` that Codex (0.169) gives to the images of a result for which a turn has waited.
const DETAIL: &str = r#","detail":"high""#;

/// The most bytes of an item besides its parts and names.
const ITEM_OVERHEAD: usize = 64;

/// Bytes of a part besides its text, usually: most items are written without growing, and short ones do not reserve
/// far more than they need.
const PART_OVERHEAD: usize = 40;

/// The item of a message.
pub(super) fn message(message: &ConversationMessage<'_>) -> String {
    let (role, kind) = match message.role {
        MessageRole::Developer => ("developer", "input_text"),
        MessageRole::User => ("user", "input_text"),
        MessageRole::Assistant => ("assistant", "output_text"),
    };
    let mut item = sized_for(0, &message.parts);
    item.push_str(r#"{"type":"message","role":""#);
    item.push_str(role);
    item.push_str(r#"","content":"#);
    push_parts(&mut item, &message.parts, kind, "");
    item.push_str(match message.phase {
        None => "}",
        Some(Phase::Commentary) => r#","phase":"commentary"}"#,
        Some(Phase::FinalAnswer) => r#","phase":"final_answer"}"#,
    });
    item
}

/// The item of a call, under this id.
pub(super) fn call(id: &str, call: &FunctionCall<'_>) -> String {
    let name = upstream_name(&call.name);
    let length = json::text_length(&call.arguments) + id.len() + name.len();
    let mut item = String::with_capacity(length + ITEM_OVERHEAD);
    item.push_str(r#"{"type":"function_call","call_id":"#);
    json::push_text(&mut item, id);
    item.push_str(r#","name":"#);
    json::push_text(&mut item, &name);
    item.push_str(r#","arguments":"#);
    json::push_text(&mut item, &call.arguments);
    item.push('}');
    item
}

/// The item of a result: its output is a string, or an array of parts if one string does not suffice.
pub(super) fn result(call: &str, parts: &[ContentPart<'_>]) -> String {
    let mut item = sized_for(call.len(), parts);
    item.push_str(r#"{"type":"function_call_output","call_id":"#);
    json::push_text(&mut item, call);
    item.push_str(r#","output":"#);
    match parts {
        [ContentPart::Text(text) | ContentPart::Refusal(text)] => json::push_text(&mut item, text),
        _ => push_parts(&mut item, parts, "input_text", DETAIL),
    }
    item.push('}');
    item
}

/// An empty buffer with room for a name of this length and for these parts.
fn sized_for(name: usize, parts: &[ContentPart<'_>]) -> String {
    let length: usize = parts
        .iter()
        .map(|part| json::text_length(part.text()))
        .sum();
    String::with_capacity(ITEM_OVERHEAD + name + length + PART_OVERHEAD * parts.len())
}

/// `kind` is the type of a text part, `detail` is appended to an image part.
fn push_parts(item: &mut String, parts: &[ContentPart<'_>], kind: &str, detail: &str) {
    item.push('[');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            item.push(',');
        }
        match part {
            ContentPart::Text(text) | ContentPart::Refusal(text) => {
                item.push_str(r#"{"type":""#);
                item.push_str(kind);
                item.push_str(r#"","text":"#);
                json::push_text(item, text);
                item.push('}');
            }
            ContentPart::Image(number) => {
                item.push_str(r#"{"type":"input_image","image_url":"attachment:"#);
                item.push_str(&number.to_string());
                item.push('"');
                item.push_str(detail);
                item.push('}');
            }
        }
    }
    item.push(']');
}
