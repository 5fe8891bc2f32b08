//! An answer as an event stream of the Responses API.

mod call; // tool calls
mod reasoning; // reasoning items
mod refusal; // refusal parts

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ModelRequest;
use super::answer::{AnswerEnding, AnswerStep, ModelAnswer};
use crate::fake::Usage;

/// Events in the queue of a response.
const EVENTS: usize = 64;

/// Responses so far, for unique IDs.
static RESPONSES: AtomicU64 = AtomicU64::new(0);

/// Starts streaming `answer`, and returns the response.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    answer: ModelAnswer,
    request: ModelRequest,
) -> Result<Response<Body>> {
    let (events, chunks) = mpsc::channel(EVENTS);
    let receiver = events.clone();
    let mut writer = ResponseStream {
        events,
        id: format!("resp_{}", RESPONSES.fetch_add(1, Ordering::Relaxed)),
        model: request.body.get("model").cloned().unwrap_or_default(),
        sequence: 0,
        output: Vec::new(),
        open: None,
    };
    tasks.spawn(async move {
        tokio::select! {
            biased;
            // The receiver is dropped with the body when Codex closes the connection.
            () = receiver.closed() => request.left.cancel(),
            () = writer.run(&answer) => {}
        }
    });
    let body = stream::unfold(chunks, |mut chunks| async move {
        Some((chunks.recv().await?, chunks))
    });
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-cache");
    Ok(response.body(Body::from_stream(body))?)
}

struct ResponseStream {
    events: mpsc::Sender<io::Result<Bytes>>,
    id: String,
    model: Value,
    sequence: u64,
    output: Vec<Value>,
    open: Option<OpenOutput>,
}

/// The output item that is being streamed.
enum OpenOutput {
    Message {
        item: Value,
        text: String,
        refusal: Option<String>,
    },
    Reasoning {
        id: String,
        summary: String,
        raw: String,
        encrypted: Option<String>,
    },
}

impl ResponseStream {
    async fn run(&mut self, answer: &ModelAnswer) {
        let begun = self.response("in_progress", json!({}));
        self.event("response.created", json!({"response": &begun}))
            .await;
        self.event("response.in_progress", json!({"response": begun}))
            .await;
        for step in &answer.steps {
            match step {
                AnswerStep::Text(delta) => self.text(delta).await,
                AnswerStep::Message(phase) => self.message(*phase).await,
                AnswerStep::Whole(text) => self.whole(text).await,
                AnswerStep::Refusal { text, streamed } => self.refusal(text, *streamed).await,
                AnswerStep::Item(item) => self.item(item.clone()).await,
                AnswerStep::Paced { count, interval } => self.paced(*count, *interval).await,
                AnswerStep::Reasoning { text, raw } => self.reasoning(text, *raw).await,
                AnswerStep::Encrypted(content) => self.encrypted(content),
                AnswerStep::Call {
                    id,
                    name,
                    arguments,
                } => self.call(id, name, arguments).await,
                AnswerStep::Hold(gate) => gate.pass().await,
                AnswerStep::Hang => std::future::pending().await,
            }
        }
        self.end(answer).await;
    }

    async fn end(&mut self, answer: &ModelAnswer) {
        let usage = answer.usage.map(usage);
        match &answer.ending {
            AnswerEnding::Completed => {
                self.close().await;
                let response = self.response("completed", json!({"usage": usage, "error": null}));
                self.event("response.completed", json!({"response": response}))
                    .await;
            }
            AnswerEnding::Incomplete { reason } => {
                self.close().await;
                let details = json!({"usage": usage, "incomplete_details": {"reason": reason}});
                let response = self.response("incomplete", details);
                self.event("response.incomplete", json!({"response": response}))
                    .await;
            }
            AnswerEnding::Failed { code } => {
                let error = json!({"error": {"code": code, "message": "scripted failure"}});
                let response = self.response("failed", error);
                self.event("response.failed", json!({"response": response}))
                    .await;
            }
            AnswerEnding::ErrorEvent { code } => {
                self.event(
                    "error",
                    json!({"code": code, "message": "scripted failure"}),
                )
                .await;
            }
            AnswerEnding::Disconnect => {
                // An error in the body makes the server cut the connection.
                let _ = self
                    .events
                    .send(Err(io::Error::other("scripted disconnect")))
                    .await;
            }
            AnswerEnding::Eof => {}
        }
    }

    async fn message(&mut self, phase: Option<&str>) {
        self.close().await;
        let id = self.item_id("msg");
        let mut item = json!({"id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []});
        if let (Some(phase), Some(members)) = (phase, item.as_object_mut()) {
            members.insert("phase".to_owned(), json!(phase));
        }
        let index = self.output.len();
        self.event(
            "response.output_item.added",
            json!({"output_index": index, "item": &item}),
        )
        .await;
        let part = json!({"type": "output_text", "text": "", "annotations": []});
        self.part(
            "response.content_part.added",
            &id,
            json!({"content_index": 0, "part": part}),
        )
        .await;
        self.open = Some(OpenOutput::Message {
            item,
            text: String::new(),
            refusal: None,
        });
    }

    async fn text(&mut self, delta: &str) {
        if !matches!(&self.open, Some(OpenOutput::Message { .. })) {
            self.message(None).await;
        }
        let Some(OpenOutput::Message { item, text, .. }) = &mut self.open else {
            return;
        };
        text.push_str(delta);
        let id = item
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.part(
            "response.output_text.delta",
            &id,
            json!({"content_index": 0, "delta": delta}),
        )
        .await;
    }

    /// Deltas on a schedule: a late one does not delay the next.
    async fn paced(&mut self, count: usize, interval: Duration) {
        let mut schedule = tokio::time::interval(interval);
        // The first tick completes at once.
        schedule.tick().await;
        for _ in 0..count {
            schedule.tick().await;
            self.text("word ").await;
        }
    }

    /// A message without deltas, as some upstreams send it.
    async fn whole(&mut self, text: &str) {
        self.close().await;
        let part = json!({"type": "output_text", "text": text, "annotations": []});
        let item = json!({"id": self.item_id("msg"), "type": "message", "role": "assistant",
            "status": "completed", "content": [part]});
        self.item(item).await;
    }

    /// An item without deltas.
    async fn item(&mut self, item: Value) {
        self.close().await;
        let index = self.output.len();
        self.event(
            "response.output_item.added",
            json!({"output_index": index, "item": &item}),
        )
        .await;
        self.event(
            "response.output_item.done",
            json!({"output_index": index, "item": &item}),
        )
        .await;
        self.output.push(item);
    }

    /// Completes the open item, if any.
    async fn close(&mut self) {
        let item = match self.open.take() {
            None => return,
            Some(OpenOutput::Message {
                mut item,
                text,
                refusal,
            }) => {
                let id = item
                    .get("id")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let part = json!({"type": "output_text", "text": &text, "annotations": []});
                self.part(
                    "response.output_text.done",
                    &id,
                    json!({"content_index": 0, "text": &text}),
                )
                .await;
                self.part(
                    "response.content_part.done",
                    &id,
                    json!({"content_index": 0, "part": &part}),
                )
                .await;
                if let Some(members) = item.as_object_mut() {
                    members.insert("status".to_owned(), json!("completed"));
                    let refused = refusal.map(|text| json!({"type": "refusal", "refusal": text}));
                    let part = Some(part).filter(|_| refused.is_none() || !text.is_empty());
                    let parts: Vec<_> = part.into_iter().chain(refused).collect();
                    members.insert("content".to_owned(), json!(parts));
                }
                item
            }
            Some(OpenOutput::Reasoning {
                id,
                summary,
                raw,
                encrypted,
            }) => {
                let mut item = self.reasoned(&id, &summary, &raw).await;
                if let (Some(content), Some(members)) = (encrypted, item.as_object_mut()) {
                    members.insert("encrypted_content".to_owned(), json!(content));
                }
                item
            }
        };
        let index = self.output.len();
        self.event(
            "response.output_item.done",
            json!({"output_index": index, "item": &item}),
        )
        .await;
        self.output.push(item);
    }

    /// An event of a part of the open item.
    async fn part(&mut self, kind: &str, item: &str, mut members: Value) {
        if let Some(members) = members.as_object_mut() {
            members.insert("item_id".to_owned(), json!(item));
            members.insert("output_index".to_owned(), json!(self.output.len()));
        }
        self.event(kind, members).await;
    }

    async fn event(&mut self, kind: &str, mut members: Value) {
        if let Some(members) = members.as_object_mut() {
            members.insert("type".to_owned(), json!(kind));
            members.insert("sequence_number".to_owned(), json!(self.sequence));
        }
        self.sequence += 1;
        // The task that runs this is stopped when the receiver is dropped.
        let _ = self
            .events
            .send(Ok(Bytes::from(format!(
                "event: {kind}\ndata: {members}\n\n"
            ))))
            .await;
    }

    fn response(&self, status: &str, more: Value) -> Value {
        let mut response = json!({
            "id": self.id, "object": "response", "created_at": 1_795_000_000, "status": status,
            "model": self.model, "output": self.output,
        });
        if let (Some(response), Value::Object(more)) = (response.as_object_mut(), more) {
            response.extend(more);
        }
        response
    }

    fn item_id(&self, kind: &str) -> String {
        format!("{kind}_{}_{}", self.id, self.output.len())
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}
