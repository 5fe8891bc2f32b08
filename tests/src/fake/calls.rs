//! The tool calls of one response of the model: emitted, sent to the client, and their results.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::notifier::TurnNotifier;
use super::shapes;
use super::threads::ServerRequests;
use super::tools;
use crate::Journal;

/// Codex's output of a call whose turn ended first.
const CANCELLED: &str = "dynamic tool call was cancelled before receiving a response";

/// A client's result of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    /// The ID of the thread whose turn waited for it.
    pub thread: String,
    /// The call's ID.
    pub call: String,
    /// Whether Codex takes it for a success.
    pub success: bool,
    /// The output for the model: a text, or an array of `input_text` and `input_image`.
    pub output: Value,
}

/// The calls of the current response.
pub(super) struct Calls {
    pub(super) notifier: TurnNotifier,
    pub(super) server_requests: ServerRequests,
    /// Names of the thread's tools.
    pub(super) tools: Vec<String>,
    pub(super) results: Journal<CallResult>,
    pub(super) calls: Vec<PendingCall>,
}

pub(super) struct PendingCall {
    id: String,
    name: String,
    arguments: String,
    /// When the call was sent to the client, in Unix milliseconds.
    started: u64,
    state: CallState,
}

enum CallState {
    /// Emitted by the model, and not sent to the client yet.
    Made,
    /// Sent to the client. The receiver of the response is `None` once it is awaited.
    Waiting(Option<oneshot::Receiver<Value>>),
    /// This output is not in the conversation yet.
    Settled(Value),
    /// The output is in the conversation.
    Recorded,
}

impl PendingCall {
    fn shape(&self, status: &str, success: Option<bool>, content: &Value) -> Value {
        let arguments: Value = serde_json::from_str(&self.arguments).unwrap_or_default();
        let ended = success.map(|_| shapes::now());
        json!({
            "type": "dynamicToolCall", "id": self.id, "namespace": null, "tool": self.name,
            "arguments": arguments, "status": status, "contentItems": content, "success": success,
            "durationMs": ended.map(|ended| ended.saturating_sub(self.started)),
            "startedAtMs": self.started, "completedAtMs": ended,
        })
    }
}

impl Calls {
    pub(super) fn count(&self) -> usize {
        self.calls.len()
    }

    /// Emits a call of the model, after sending the call before it to the client.
    pub(super) async fn call(&mut self, id: &str, name: &str, arguments: &str) {
        self.dispatch().await;
        let item = shapes::raw_call(id, name, arguments);
        self.notifier.raw_item(item, json!({})).await;
        self.calls.push(PendingCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            started: shapes::now(),
            state: CallState::Made,
        });
    }

    /// Sends the last call to the client. A call of anything but the client's tools gets its output at once.
    pub(super) async fn dispatch(&mut self) {
        let Some(call) = self.calls.last_mut() else {
            return;
        };
        if !matches!(call.state, CallState::Made) {
            return;
        }
        if let Some(message) = tools::refusal(&self.tools, &call.name) {
            call.state = CallState::Settled(json!(message));
            return;
        }
        let arguments: Value = match serde_json::from_str(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                let message = format!("failed to parse function arguments: {error}");
                call.state = CallState::Settled(json!(message));
                return;
            }
        };
        call.started = shapes::now();
        let (id, answered) = self.server_requests.register();
        call.state = CallState::Waiting(Some(answered));
        let item = call.shape("inProgress", None, &Value::Null);
        let params = json!({"callId": call.id, "namespace": null, "tool": call.name, "arguments": arguments});
        self.notifier.item_started(item).await;
        self.notifier.request(id, "item/tool/call", params).await;
    }

    /// Waits for the responses to all calls, and emits their outputs.
    pub(super) async fn settle(&mut self) {
        self.dispatch().await;
        self.record().await;
        let mut waiting: FuturesUnordered<_> = self
            .calls
            .iter_mut()
            .enumerate()
            .filter_map(|(index, call)| match &mut call.state {
                CallState::Waiting(answered) => answered.take().map(|answered| (index, answered)),
                _ => None,
            })
            .map(|(index, answered)| async move {
                match answered.await {
                    Ok(answer) => (index, answer),
                    // The process is ending.
                    Err(_) => std::future::pending().await,
                }
            })
            .collect();
        while let Some((index, answer)) = waiting.next().await {
            self.answer(index, &answer).await;
            self.record().await;
        }
        self.calls.clear();
    }

    /// Cancels the calls of a turn that ends before their responses.
    pub(super) async fn cancel(&mut self) {
        for call in self.calls.iter_mut().rev() {
            if matches!(call.state, CallState::Waiting(_)) {
                let item = call.shape("failed", Some(false), &json!([]));
                self.notifier.item_completed(item).await;
            }
            if matches!(call.state, CallState::Waiting(_) | CallState::Made) {
                call.state = CallState::Settled(json!(CANCELLED));
            }
        }
        self.record().await;
        self.calls.clear();
    }

    async fn answer(&mut self, index: usize, answer: &Value) {
        let Some(call) = self.calls.get_mut(index) else {
            return;
        };
        let (success, content) = parse_response(answer);
        let status = if success { "completed" } else { "failed" };
        let item = call.shape(status, Some(success), &json!(content));
        let output = output(&content);
        self.results.record(CallResult {
            thread: self.notifier.thread.clone(),
            call: call.id.clone(),
            success,
            output: output.clone(),
        });
        call.state = CallState::Settled(output);
        self.notifier.item_completed(item).await;
    }

    /// Emits the outputs that are due: they enter the conversation in the order of the calls.
    async fn record(&mut self) {
        for call in &mut self.calls {
            match std::mem::replace(&mut call.state, CallState::Recorded) {
                CallState::Recorded => {}
                CallState::Settled(output) => {
                    let passed = json!({"create_time": shapes::seconds()});
                    let item = shapes::raw_output(&call.id, &output);
                    self.notifier.raw_item(item, passed).await;
                }
                waits => {
                    call.state = waits;
                    return;
                }
            }
        }
    }
}

/// Parses a response as Codex does: whether it is a success, and its content.
fn parse_response(answer: &Value) -> (bool, Vec<Value>) {
    let text_item = |message: &str| vec![json!({"type": "inputText", "text": message})];
    let Some(result) = answer.get("result") else {
        return (false, text_item("dynamic tool request failed"));
    };
    let known = |item: &Value| match item.get("type").and_then(Value::as_str) {
        Some("inputText") => item.get("text").is_some_and(Value::is_string),
        Some("inputImage") => item.get("imageUrl").is_some_and(Value::is_string),
        _ => false,
    };
    let success = result.get("success").and_then(Value::as_bool);
    let content = result.get("contentItems").and_then(Value::as_array);
    match (success, content) {
        (Some(success), Some(content)) if content.iter().all(known) => (success, content.clone()),
        _ => (false, text_item("dynamic tool response was invalid")),
    }
}

/// The content as the model's API has it. A single text is a string.
fn output(content: &[Value]) -> Value {
    if let [only] = content
        && let Some(text) = only.get("text")
    {
        return text.clone();
    }
    let parts = content.iter().map(|item| match item.get("text") {
        Some(text) => json!({"type": "input_text", "text": text}),
        None => {
            json!({"type": "input_image", "image_url": item.get("imageUrl"), "detail": "original"})
        }
    });
    parts.collect()
}
