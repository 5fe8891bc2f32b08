//! The calls of one response of the model: told, put to the client, and what came of them.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::shapes;
use super::teller::Teller;
use super::threads::Asked;
use super::tools;
use crate::Journal;

/// What Codex says of a call that its turn did not outlive.
const CANCELLED: &str = "dynamic tool call was cancelled before receiving a response";

/// What a client said came of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    /// The thread whose turn waited for it.
    pub thread: String,
    /// The call's id.
    pub call: String,
    /// Whether it is what Codex takes for a success.
    pub success: bool,
    /// What the model is told: a text, or an array of `input_text` and `input_image`.
    pub output: Value,
}

/// The calls of the response that is being told.
pub(super) struct Calls {
    pub(super) teller: Teller,
    pub(super) asked: Asked,
    /// Names of the thread's tools.
    pub(super) tools: Vec<String>,
    pub(super) results: Journal<CallResult>,
    pub(super) calls: Vec<Call>,
}

pub(super) struct Call {
    id: String,
    name: String,
    arguments: String,
    /// Unix milliseconds at which the client was asked.
    started: u64,
    state: State,
}

enum State {
    /// The model has made it, and nothing came of it yet.
    Told,
    /// The client is asked. The answer comes here, unless somebody waits for it already.
    Asked(Option<oneshot::Receiver<Value>>),
    /// This is what the model will be told.
    Settled(Value),
    /// This is in the conversation.
    Recorded,
}

impl Call {
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

    /// The model makes a call. By now the client is asked about the one before.
    pub(super) async fn call(&mut self, id: &str, name: &str, arguments: &str) {
        self.ask().await;
        let item = shapes::raw_call(id, name, arguments);
        self.teller.raw_item(item, json!({})).await;
        self.calls.push(Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            started: shapes::now(),
            state: State::Told,
        });
    }

    /// Puts the last call to the client. What is no call of a tool of its own is answered at once.
    pub(super) async fn ask(&mut self) {
        let Some(call) = self.calls.last_mut() else {
            return;
        };
        if !matches!(call.state, State::Told) {
            return;
        }
        if let Some(words) = tools::refusal(&self.tools, &call.name) {
            call.state = State::Settled(json!(words));
            return;
        }
        let arguments: Value = match serde_json::from_str(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                let words = format!("failed to parse function arguments: {error}");
                call.state = State::Settled(json!(words));
                return;
            }
        };
        call.started = shapes::now();
        let (id, answered) = self.asked.open();
        call.state = State::Asked(Some(answered));
        let item = call.shape("inProgress", None, &Value::Null);
        let params = json!({"callId": call.id, "namespace": null, "tool": call.name, "arguments": arguments});
        self.teller.item_started(item).await;
        self.teller.request(id, "item/tool/call", params).await;
    }

    /// Waits for the answers to all calls, and tells them.
    pub(super) async fn settle(&mut self) {
        self.ask().await;
        self.record().await;
        let mut waiting: FuturesUnordered<_> = self
            .calls
            .iter_mut()
            .enumerate()
            .filter_map(|(index, call)| match &mut call.state {
                State::Asked(answered) => answered.take().map(|answered| (index, answered)),
                _ => None,
            })
            .map(|(index, answered)| async move {
                match answered.await {
                    Ok(answer) => (index, answer),
                    // Nobody is left who could answer.
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

    /// The turn ends before the answers.
    pub(super) async fn cancel(&mut self) {
        for call in self.calls.iter_mut().rev() {
            if matches!(call.state, State::Asked(_)) {
                let item = call.shape("failed", Some(false), &json!([]));
                self.teller.item_completed(item).await;
            }
            if matches!(call.state, State::Asked(_) | State::Told) {
                call.state = State::Settled(json!(CANCELLED));
            }
        }
        self.record().await;
        self.calls.clear();
    }

    async fn answer(&mut self, index: usize, answer: &Value) {
        let Some(call) = self.calls.get_mut(index) else {
            return;
        };
        let (success, content) = read(answer);
        let status = if success { "completed" } else { "failed" };
        let item = call.shape(status, Some(success), &json!(content));
        let output = output(&content);
        self.results.record(CallResult {
            thread: self.teller.thread.clone(),
            call: call.id.clone(),
            success,
            output: output.clone(),
        });
        call.state = State::Settled(output);
        self.teller.item_completed(item).await;
    }

    /// Outputs enter the conversation in the order of the calls.
    async fn record(&mut self) {
        for call in &mut self.calls {
            match std::mem::replace(&mut call.state, State::Recorded) {
                State::Recorded => {}
                State::Settled(output) => {
                    let passed = json!({"create_time": shapes::seconds()});
                    let item = shapes::raw_output(&call.id, &output);
                    self.teller.raw_item(item, passed).await;
                }
                waits => {
                    call.state = waits;
                    return;
                }
            }
        }
    }
}

/// What Codex reads in an answer: whether it is a success, and the content.
fn read(answer: &Value) -> (bool, Vec<Value>) {
    let said = |words: &str| vec![json!({"type": "inputText", "text": words})];
    let Some(result) = answer.get("result") else {
        return (false, said("dynamic tool request failed"));
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
        _ => (false, said("dynamic tool response was invalid")),
    }
}

/// The same for the model: a single text is told as such.
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
