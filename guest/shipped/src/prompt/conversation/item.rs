//! Items of the Responses API, each one line of JSON: how Codex is told of what was said earlier.

use super::chat_message::{ChatMessage, MessageRole};
use crate::json;
use crate::prompt::content::ContentPart;
use crate::tools::{FunctionCall, seen_name};

/// What Codex (0.169) says of the images in a result that a turn has waited for.
const DETAIL: &str = r#","detail":"high""#;

/// Bytes of an item besides its parts and names, at most.
const ITEM_OVERHEAD: usize = 64;

/// Bytes of a part besides its text, as a rule: what is short is not to take far more room than it needs, and most
/// items are to be written without growing.
const PART_OVERHEAD: usize = 40;

/// A message.
pub(super) fn message(message: &ChatMessage<'_>) -> String {
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
    item.push('}');
    item
}

/// A call that the model made, under this id.
pub(super) fn call(id: &str, call: &FunctionCall<'_>) -> String {
    let name = seen_name(&call.name);
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

/// What came of the call of this id: a text, or parts where one text does not say it.
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

/// An empty line with room for a name of this length and for these parts.
fn sized_for(name: usize, parts: &[ContentPart<'_>]) -> String {
    let length: usize = parts
        .iter()
        .map(|part| json::text_length(part.text()))
        .sum();
    String::with_capacity(ITEM_OVERHEAD + name + length + PART_OVERHEAD * parts.len())
}

/// `kind` is the type of a part that is text, `detail` what is said of an image besides.
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
