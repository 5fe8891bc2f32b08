//! The player: runs one scripted turn, with notifications in Codex's order.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::items::Items;
use super::notifier::TurnNotifier;
use super::plan::{TurnEnding, TurnPlan, TurnStep, Usage, UsageReport};
use super::shapes;
use super::threads::{ServerRequests, Threads};
use crate::Journal;

/// Tool calls so far, for unique IDs.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// A running turn.
pub(super) struct Player {
    pub(super) notifier: TurnNotifier,
    /// The ID of the `turn/start` request.
    pub(super) request: Value,
    pub(super) threads: Threads,
    pub(super) server_requests: ServerRequests,
    pub(super) items: Items,
    pub(super) calls: Calls,
    pub(super) response: ModelResponse,
    /// The journal of turn endings.
    pub(super) endings: Journal<&'static str>,
    /// When the turn started, in Unix milliseconds.
    pub(super) started: u64,
}

/// The current response of the model.
#[derive(Debug, Default)]
pub(super) struct ModelResponse {
    /// The number of earlier responses.
    number: usize,
    /// Whether it has any output.
    begun: bool,
    /// Text deltas of the earlier responses.
    deltas: u64,
    usage: Option<Usage>,
}

impl Player {
    pub(super) async fn run(
        mut self,
        plan: TurnPlan,
        input: Vec<Value>,
        cancel: CancellationToken,
    ) {
        if !plan.late_response {
            self.respond().await;
        }
        if let Some(gate) = &plan.start {
            gate.pass().await;
        }
        self.threads
            .running(&self.notifier.thread, |running| running.started = true);
        self.status(json!({"type": "active", "activeFlags": []}))
            .await;
        let turn = self.shape("inProgress", &Value::Null, &[], 0);
        self.notifier
            .output
            .notify(
                "turn/started",
                json!({"threadId": self.notifier.thread, "turn": turn}),
            )
            .await;
        if !input.is_empty() {
            self.items.user_message(&input).await;
        }
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => false,
            () = self.play(&plan) => true,
        };
        if !ended {
            self.cancel().await;
        }
        self.end(if ended { Some(&plan.ending) } else { None })
            .await;
        if let Some(code) = plan.exit {
            self.notifier.output.exit(code).await;
        }
    }

    async fn play(&mut self, plan: &TurnPlan) {
        for step in &plan.steps {
            self.step(step, plan.usage).await;
        }
        self.items.close().await;
        if matches!(plan.ending, TurnEnding::Failed { .. }) {
            // A failure waits for the results of earlier calls.
            self.calls.settle().await;
            self.rate_limits().await;
            return;
        }
        if self.calls.count() > 0 {
            self.end_response(plan.usage).await;
            // With the results the model makes another response, which may be empty.
            self.response.begun = true;
        }
        if self.response.begun || self.response.number == 0 {
            self.end_response(plan.usage).await;
        } else {
            self.rate_limits().await;
        }
    }

    async fn step(&mut self, step: &TurnStep, report: UsageReport) {
        let begins = matches!(
            step,
            TurnStep::Text(_)
                | TurnStep::Message(_)
                | TurnStep::Whole(..)
                | TurnStep::Reasoning { .. }
                | TurnStep::Burst { .. }
        );
        if begins && self.calls.count() > 0 {
            self.end_response(report).await;
        }
        self.response.begun |= begins || matches!(step, TurnStep::Call { .. });
        match step {
            TurnStep::Text(delta) => self.items.text(delta).await,
            TurnStep::Message(phase) => self.items.message(*phase).await,
            TurnStep::EndMessage => self.items.close().await,
            TurnStep::Written(whole) => self.items.written(whole),
            TurnStep::DropMessage => self.items.abandon(),
            TurnStep::Whole(text, phase) => self.items.whole(text, *phase).await,
            TurnStep::Reasoning { text, raw } => self.items.reasoning(text, *raw).await,
            TurnStep::ReasoningPart => self.items.reasoning_part().await,
            TurnStep::Burst { count, bytes } => self.items.burst(*count, *bytes).await,
            TurnStep::Usage(usage) => {
                // Usage is part of the end of the model's response, and so comes after its last item.
                self.items.close().await;
                self.response.usage = Some(*usage);
                if self.calls.count() == 0 {
                    self.raw_response().await;
                    self.notify_usage().await;
                }
            }
            TurnStep::Call {
                id,
                name,
                arguments,
            } => {
                self.items.close().await;
                let number = CALLS.fetch_add(1, Ordering::Relaxed);
                let id = id.replace('*', &number.to_string());
                self.calls.call(&id, name, arguments).await;
            }
            TurnStep::EndResponse => self.end_response(report).await,
            TurnStep::Notify(method, params) => self.notifier.notify(method, params.clone()).await,
            TurnStep::Line(line) => {
                let line = [
                    line,
                    b"
"
                    .as_slice(),
                ]
                .concat();
                self.notifier.output.bytes(line).await;
            }
            TurnStep::Reconnect(info) => self.reconnect(info).await,
            TurnStep::Request(method, params) => self.request_client(method, params.clone()).await,
            TurnStep::Hold(gate) => {
                self.calls.dispatch().await;
                gate.pass().await;
            }
            TurnStep::Pause(time) => tokio::time::sleep(*time).await,
            TurnStep::Respond => self.respond().await,
            TurnStep::Hang => {
                self.calls.dispatch().await;
                std::future::pending::<()>().await;
            }
            TurnStep::Exit(code) => {
                self.notifier.output.exit(*code).await;
                std::future::pending::<()>().await;
            }
        }
    }

    async fn respond(&self) {
        let turn = shapes::turn(&self.notifier.turn, "inProgress", &Value::Null, &[], 0, 0);
        self.notifier
            .output
            .result(&self.request, json!({"turn": turn}))
            .await;
    }

    /// Ends the model's response, and waits for the results of its calls.
    async fn end_response(&mut self, report: UsageReport) {
        self.items.close().await;
        if report == UsageReport::AtTheEnd {
            let output = self.items.deltas() - self.response.deltas;
            self.response.usage = Some(Usage {
                input: 100,
                output: output + self.calls.count() as u64,
                ..Usage::default()
            });
        }
        self.raw_response().await;
        self.calls.settle().await;
        self.notify_usage().await;
        self.rate_limits().await;
    }

    /// Emits the raw event of the response's end.
    async fn raw_response(&mut self) {
        let id = format!("resp_{}_{}", self.notifier.turn, self.response.number);
        self.notifier.raw_response(&id, self.response.usage).await;
        self.response = ModelResponse {
            number: self.response.number + 1,
            begun: false,
            deltas: self.items.deltas(),
            usage: self.response.usage,
        };
    }

    /// Reports the usage of the response that has ended, or repeats the previous report if it has none.
    async fn notify_usage(&mut self) {
        let used = self.response.usage.take();
        let totals = {
            let mut threads = self.threads.lock();
            let Some(thread) = threads.get_mut(&self.notifier.thread) else {
                return;
            };
            if let Some(last) = used {
                thread.total.input += last.input;
                thread.total.cached += last.cached;
                thread.total.output += last.output;
                thread.total.reasoning += last.reasoning;
                thread.last = used;
            }
            thread.last.map(|last| (thread.total, last))
        };
        if let Some((total, last)) = totals {
            let params = json!({"tokenUsage": shapes::token_usage(total, last)});
            self.notifier
                .notify("thread/tokenUsage/updated", params)
                .await;
        }
    }

    async fn rate_limits(&self) {
        self.notifier
            .output
            .notify("account/rateLimits/updated", shapes::rate_limits())
            .await;
    }

    /// Cancels waiting calls, and emits the item that an interrupt leaves.
    async fn cancel(&mut self) {
        if self.calls.count() > 0 {
            self.calls.cancel().await;
            self.notify_usage().await;
            self.rate_limits().await;
        }
        let text =
            "<turn_aborted>\nThe user interrupted the previous turn on purpose.\n</turn_aborted>";
        let item = shapes::raw_user(
            &format!("msg_aborted_{}", self.notifier.turn),
            &[json!({"text": text})],
        );
        let passed = json!({"create_time": shapes::seconds(), "content_item_kinds": ["generic.turn_aborted"],
            "content_item_metadata": [{"provenance": {"type": "harness", "hook": false}}]});
        self.notifier.raw_item(item, passed).await;
    }

    async fn reconnect(&mut self, info: &Value) {
        self.items.abandon();
        // Complete calls stay, and Codex retries only once they have results.
        self.calls.settle().await;
        self.rate_limits().await;
        let details = "stream disconnected before completion: Transport error: network error";
        let error = shapes::turn_error("Reconnecting... 1/5", info, Some(details));
        self.notifier
            .notify("error", json!({"error": error, "willRetry": true}))
            .await;
    }

    async fn request_client(&self, method: &str, params: Value) {
        let (id, answered) = self.server_requests.register();
        if method.ends_with("requestApproval") {
            self.status(json!({"type": "active", "activeFlags": ["waitingOnApproval"]}))
                .await;
        }
        self.notifier.request(id, method, params).await;
        if answered.await.is_ok() {
            self.notifier
                .output
                .notify(
                    "serverRequest/resolved",
                    json!({"threadId": self.notifier.thread, "requestId": id}),
                )
                .await;
            self.status(json!({"type": "active", "activeFlags": []}))
                .await;
        }
    }

    /// Ends the turn. `ending` is `None` if it was interrupted.
    async fn end(&mut self, ending: Option<&TurnEnding>) {
        let interrupts = self.threads.finish(&self.notifier.thread);
        let (status, error, items) = match ending {
            None => ("interrupted", Value::Null, Vec::new()),
            Some(TurnEnding::Completed) => (
                "completed",
                Value::Null,
                self.items.last().into_iter().collect(),
            ),
            Some(TurnEnding::Failed { info, message }) => (
                "failed",
                shapes::turn_error(message, info, None),
                Vec::new(),
            ),
        };
        for id in interrupts {
            if ending.is_none() {
                self.notifier.output.result(&id, json!({})).await;
            } else {
                // The interrupt arrived after the last step.
                self.notifier
                    .output
                    .error(&id, -32600, "no active turn to interrupt")
                    .await;
            }
        }
        if status == "failed" {
            self.status(json!({"type": "systemError"})).await;
            self.notifier
                .notify("error", json!({"error": &error, "willRetry": false}))
                .await;
        } else {
            self.status(json!({"type": "idle"})).await;
        }
        let turn = self.shape(status, &error, &items, shapes::now());
        self.notifier
            .output
            .notify(
                "turn/completed",
                json!({"threadId": self.notifier.thread, "turn": turn}),
            )
            .await;
        self.endings.record(status);
        self.unload().await;
    }

    /// Unloads the thread if it was unsubscribed while its turn ran.
    async fn unload(&self) {
        let left = {
            let mut threads = self.threads.lock();
            let left = threads
                .get(&self.notifier.thread)
                .is_some_and(|thread| !thread.subscribed && thread.running.is_none());
            if left {
                threads.remove(&self.notifier.thread);
            }
            left
        };
        if left {
            for (method, params) in shapes::unloaded(&self.notifier.thread) {
                self.notifier.output.notify(method, params).await;
            }
        }
    }

    async fn status(&self, status: Value) {
        self.notifier
            .output
            .notify(
                "thread/status/changed",
                json!({"threadId": self.notifier.thread, "status": status}),
            )
            .await;
    }

    fn shape(&self, status: &str, error: &Value, items: &[Value], ended: u64) -> Value {
        shapes::turn(
            &self.notifier.turn,
            status,
            error,
            items,
            self.started,
            ended,
        )
    }
}
