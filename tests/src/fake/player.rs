//! The player: one scripted turn, told in the order in which Codex tells it.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::items::Items;
use super::output::Output;
use super::plan::{Ending, Step, TurnPlan, Usage, UsageReport};
use super::shapes;
use super::threads::{Asked, Threads};
use crate::Journal;

/// A running turn.
pub(super) struct Player {
    pub(super) thread: String,
    pub(super) turn: String,
    /// The id of the `turn/start` that is to be answered.
    pub(super) request: Value,
    pub(super) output: Output,
    pub(super) threads: Threads,
    pub(super) asked: Asked,
    pub(super) items: Items,
    /// Where the test sees how the turn ended.
    pub(super) endings: Journal<&'static str>,
    /// Unix milliseconds.
    pub(super) started: u64,
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
            .running(&self.thread, |running| running.started = true);
        self.status(json!({"type": "active", "activeFlags": []}))
            .await;
        let turn = self.shape("inProgress", &Value::Null, &[], 0);
        self.output
            .notify(
                "turn/started",
                json!({"threadId": self.thread, "turn": turn}),
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
        self.end(if ended { Some(&plan.ending) } else { None })
            .await;
        if let Some(code) = plan.exit {
            self.output.exit(code).await;
        }
    }

    async fn play(&mut self, plan: &TurnPlan) {
        for step in &plan.steps {
            self.step(step).await;
        }
        self.items.close().await;
        if plan.usage == UsageReport::AtTheEnd && matches!(plan.ending, Ending::Completed) {
            self.usage(Usage {
                input: 100,
                output: self.items.deltas(),
                ..Usage::default()
            })
            .await;
        }
        self.output
            .notify("account/rateLimits/updated", shapes::rate_limits())
            .await;
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Text(delta) => self.items.text(delta).await,
            Step::Message(phase) => self.items.message(*phase).await,
            Step::EndMessage => self.items.close().await,
            Step::Whole(text, phase) => self.items.whole(text, *phase).await,
            Step::Reasoning { text, raw } => self.items.reasoning(text, *raw).await,
            Step::ReasoningPart => self.items.reasoning_part().await,
            Step::Burst { count, bytes } => self.items.burst(*count, *bytes).await,
            Step::Usage(usage) => {
                // Usage comes with the end of the model's response, and so after its last item.
                self.items.close().await;
                self.usage(*usage).await;
            }
            Step::Notify(method, params) => self.notify(method, params.clone()).await,
            Step::Line(line) => self.output.bytes([line, b"\n".as_slice()].concat()).await,
            Step::Reconnect(info) => self.reconnect(info).await,
            Step::Ask(method, params) => self.ask(method, params.clone()).await,
            Step::Hold(gate) => gate.pass().await,
            Step::Respond => self.respond().await,
            Step::Hang => std::future::pending().await,
            Step::Exit(code) => {
                self.output.exit(*code).await;
                std::future::pending::<()>().await;
            }
        }
    }

    async fn respond(&self) {
        let turn = shapes::turn(&self.turn, "inProgress", &Value::Null, &[], 0, 0);
        self.output
            .result(&self.request, json!({"turn": turn}))
            .await;
    }

    async fn usage(&self, last: Usage) {
        let total = {
            let mut threads = self.threads.lock();
            let Some(thread) = threads.get_mut(&self.thread) else {
                return;
            };
            thread.total.input += last.input;
            thread.total.cached += last.cached;
            thread.total.output += last.output;
            thread.total.reasoning += last.reasoning;
            thread.total
        };
        self.notify(
            "thread/tokenUsage/updated",
            json!({"tokenUsage": shapes::token_usage(total, last)}),
        )
        .await;
    }

    async fn reconnect(&mut self, info: &Value) {
        self.items.abandon();
        self.output
            .notify("account/rateLimits/updated", shapes::rate_limits())
            .await;
        let details = "stream disconnected before completion: Transport error: network error";
        let error = shapes::turn_error("Reconnecting... 1/5", info, Some(details));
        self.notify("error", json!({"error": error, "willRetry": true}))
            .await;
    }

    async fn ask(&self, method: &str, params: Value) {
        let (id, answered) = self.asked.open();
        if method.ends_with("requestApproval") {
            self.status(json!({"type": "active", "activeFlags": ["waitingOnApproval"]}))
                .await;
        }
        self.output.request(id, method, &self.ours(params)).await;
        if answered.await.is_ok() {
            self.output
                .notify(
                    "serverRequest/resolved",
                    json!({"threadId": self.thread, "requestId": id}),
                )
                .await;
            self.status(json!({"type": "active", "activeFlags": []}))
                .await;
        }
    }

    /// `ending` is None for a turn that was interrupted.
    async fn end(&mut self, ending: Option<&Ending>) {
        let interrupts = self.threads.finish(&self.thread);
        let (status, error, items) = match ending {
            None => ("interrupted", Value::Null, Vec::new()),
            Some(Ending::Completed) => (
                "completed",
                Value::Null,
                self.items.last().into_iter().collect(),
            ),
            Some(Ending::Failed { info, message }) => (
                "failed",
                shapes::turn_error(message, info, None),
                Vec::new(),
            ),
        };
        for id in interrupts {
            if ending.is_none() {
                self.output.result(&id, json!({})).await;
            } else {
                // It came between the last step and here.
                self.output
                    .error(&id, -32600, "no active turn to interrupt")
                    .await;
            }
        }
        if status == "failed" {
            self.status(json!({"type": "systemError"})).await;
            self.notify("error", json!({"error": &error, "willRetry": false}))
                .await;
        } else {
            self.status(json!({"type": "idle"})).await;
        }
        let turn = self.shape(status, &error, &items, shapes::now());
        self.output
            .notify(
                "turn/completed",
                json!({"threadId": self.thread, "turn": turn}),
            )
            .await;
        self.endings.record(status);
        self.unload().await;
    }

    /// A thread that was unsubscribed while its turn ran goes now.
    async fn unload(&self) {
        let left = {
            let mut threads = self.threads.lock();
            let left = threads
                .get(&self.thread)
                .is_some_and(|thread| !thread.subscribed && thread.running.is_none());
            if left {
                threads.remove(&self.thread);
            }
            left
        };
        if left {
            for (method, params) in shapes::unloaded(&self.thread) {
                self.output.notify(method, params).await;
            }
        }
    }

    async fn status(&self, status: Value) {
        self.output
            .notify(
                "thread/status/changed",
                json!({"threadId": self.thread, "status": status}),
            )
            .await;
    }

    async fn notify(&self, method: &str, params: Value) {
        self.output.notify(method, self.ours(params)).await;
    }

    /// Parameters that say whose they are.
    fn ours(&self, mut params: Value) -> Value {
        if let Some(members) = params.as_object_mut() {
            members.insert("threadId".to_owned(), json!(self.thread));
            members.insert("turnId".to_owned(), json!(self.turn));
        }
        params
    }

    fn shape(&self, status: &str, error: &Value, items: &[Value], ended: u64) -> Value {
        shapes::turn(&self.turn, status, error, items, self.started, ended)
    }
}
