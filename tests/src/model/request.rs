//! A request to the scripted model, as Codex sent it.

use anyhow::Result;
use axum::http::HeaderMap;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::soon;

/// Codex's own functions.
const OWN: [&str; 1] = ["request_user_input"];

/// Members of an item that Codex generates for each thread.
const GENERATED: [&str; 3] = ["id", "status", "internal_chat_message_metadata_passthrough"];

/// One request to the model.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The request's body.
    pub body: Value,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) left: CancellationToken,
}

impl ModelRequest {
    /// A header, if it is present and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Waits until Codex closes the connection before the answer ends, as it does on an interrupt.
    pub async fn left(&self) -> Result<()> {
        soon(
            "Codex to close its connection to the model",
            self.left.cancelled(),
        )
        .await
    }

    /// Whether Codex closed the connection before the answer ended.
    pub fn was_left(&self) -> bool {
        self.left.is_cancelled()
    }

    /// Role and text of each message, in order.
    pub fn messages(&self) -> Vec<(String, String)> {
        let items = array_at(&self.body, "input");
        let messages = items.iter().filter(|item| item.get("role").is_some());
        messages
            .map(|item| (text_at(item, "role"), text_of(item)))
            .collect()
    }

    /// The instructions, including those that Codex sends as leading developer messages.
    pub fn instructions(&self) -> String {
        let preamble = self.messages().into_iter();
        let preamble = preamble.take_while(|(role, _)| role == "developer" || role == "system");
        let first = text_at(&self.body, "instructions");
        std::iter::once(first)
            .chain(preamble.map(|(_, text)| text))
            .collect()
    }

    /// The functions, in order, without Codex's own.
    pub fn tools(&self) -> Vec<Value> {
        let offered = array_at(&self.body, "tools").iter().filter(|tool| {
            text_at(tool, "type") == "function" && !OWN.contains(&text_at(tool, "name").as_str())
        });
        offered.cloned().collect()
    }

    /// The names of `tools`.
    pub fn tool_names(&self) -> Vec<String> {
        let tools = self.tools();
        tools.iter().map(|tool| text_at(tool, "name")).collect()
    }

    /// Id, name and arguments of each call in the conversation, in order.
    pub fn calls(&self) -> Vec<(String, String, String)> {
        let calls = self.items_of("function_call");
        calls
            .map(|item| {
                (
                    text_at(item, "call_id"),
                    text_at(item, "name"),
                    text_at(item, "arguments"),
                )
            })
            .collect()
    }

    /// The call's id and the output of each result in the conversation, in order.
    pub fn outputs(&self) -> Vec<(String, Value)> {
        let outputs = self.items_of("function_call_output");
        outputs
            .map(|item| {
                let output = item.get("output").cloned();
                (text_at(item, "call_id"), output.unwrap_or_default())
            })
            .collect()
    }

    /// The number of calls after the user's last message.
    pub(super) fn calls_since_user(&self) -> usize {
        let items = array_at(&self.body, "input").iter().rev();
        let since = items.take_while(|item| text_at(item, "role") != "user");
        since
            .filter(|item| text_at(item, "type") == "function_call")
            .count()
    }

    /// The call's ID and the text of each result at the end of the conversation.
    pub fn brought(&self) -> Vec<(String, String)> {
        let outputs = self.outputs().into_iter();
        let brought = outputs.filter(|(id, _)| self.brings(id));
        brought
            .map(|(id, output)| (id, output_text(&output)))
            .collect()
    }

    /// Whether the conversation ends with results, this call's among them.
    pub fn brings(&self, call: &str) -> bool {
        let items = array_at(&self.body, "input").iter().rev();
        let mut last = items.take_while(|item| text_at(item, "type") == "function_call_output");
        last.any(|item| text_at(item, "call_id") == call)
    }

    /// The conversation without the members that Codex generates for each thread: IDs and metadata.
    pub fn items(&self) -> Vec<Value> {
        let mut items = array_at(&self.body, "input").to_vec();
        for item in &mut items {
            if let Some(members) = item.as_object_mut() {
                for generated in GENERATED {
                    members.remove(generated);
                }
                // A message of the model has a list of them, which is empty here.
                let parts = members.get_mut("content").and_then(Value::as_array_mut);
                for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
                    part.remove("annotations");
                }
            }
        }
        items
    }

    /// The required format of the answer (`text.format`).
    pub fn format(&self) -> Option<&Value> {
        self.body.pointer("/text/format")
    }

    fn items_of(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        let items = array_at(&self.body, "input").iter();
        items.filter(move |item| text_at(item, "type") == kind)
    }

    /// The model's name.
    pub fn model(&self) -> String {
        text_at(&self.body, "model")
    }

    /// The text of the last message of the user.
    pub fn user_text(&self) -> String {
        let message = self
            .messages()
            .into_iter()
            .rev()
            .find(|(role, _)| role == "user");
        message.map(|(_, text)| text).unwrap_or_default()
    }
}

fn text_at(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn array_at<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let array = value.get(key).and_then(Value::as_array);
    array.map(Vec::as_slice).unwrap_or_default()
}

fn text_of(item: &Value) -> String {
    let parts = array_at(item, "content");
    parts.iter().map(|part| text_at(part, "text")).collect()
}

/// The text of an output, which is a string or an array of parts.
fn output_text(output: &Value) -> String {
    match output {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| text_at(part, "text")).collect(),
        _ => String::new(),
    }
}
