//! `thread/inject_items`: items are checked as Codex checks them, and echoed to a client that wants raw events.

use serde_json::{Value, json};

use super::notifier::TurnNotifier;

/// The turn ID that Codex gives to injected items.
pub(super) const INJECTED: &str = "auto-compact-0";

/// Checks the items. The error is Codex's message.
pub(super) fn check(items: &[Value]) -> Result<(), String> {
    if items.is_empty() {
        return Err("items must not be empty".to_owned());
    }
    for (number, item) in items.iter().enumerate() {
        if let Err(reason) = check_item(item) {
            return Err(format!(
                "items[{number}] is not a valid response item: {reason}"
            ));
        }
    }
    Ok(())
}

fn check_item(item: &Value) -> Result<(), String> {
    let kind = match item.get("type") {
        None => return Err("missing field `type`".to_owned()),
        Some(kind) => kind.as_str().unwrap_or_default(),
    };
    if item
        .get("content")
        .is_some_and(|content| !content.is_array())
    {
        return Err("invalid type, expected a sequence".to_owned());
    }
    let members: &[&str] = match kind {
        "function_call" => &["name", "arguments", "call_id"],
        "function_call_output" => &["call_id"],
        _ => &[],
    };
    for member in members {
        match item.get(*member) {
            Some(Value::String(_)) => {}
            Some(_) => return Err("invalid type, expected a string".to_owned()),
            None => return Err(format!("missing field `{member}`")),
        }
    }
    if kind == "function_call_output" && !item.get("output").is_some_and(is_output) {
        let message = "data did not match any variant of untagged enum FunctionCallOutputBody";
        return Err(message.to_owned());
    }
    Ok(())
}

fn is_output(output: &Value) -> bool {
    let known = |part: &Value| {
        matches!(
            part.get("type").and_then(Value::as_str),
            Some("input_text" | "input_image")
        )
    };
    match output {
        Value::String(_) => true,
        Value::Array(parts) => parts.iter().all(known),
        _ => false,
    }
}

/// Emits injected items as raw events, as Codex does before it responds.
pub(super) async fn echo(notifier: &TurnNotifier, items: &[Value]) {
    for item in items {
        notifier.raw_item(item.clone(), json!({})).await;
    }
}

/// The text of input items or content parts.
pub(super) fn user_text(parts: Option<&Value>) -> String {
    let parts = parts
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    parts
        .iter()
        .filter_map(|part| part.get("text")?.as_str())
        .collect()
}
