//! The player: one scripted turn, told in the order in which Codex tells it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::items::Items;
use super::plan::{Ending, Step, TurnPlan, Usage, UsageReport};
use super::shapes;
use super::teller::Teller;
use super::threads::{Asked, Threads};
use crate::Journal;

/// Calls so far.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// A running turn.
pub(super) struct Player {
    pub(super) teller: Teller,
    /// The id of the `turn/start` that is to be answered.
    pub(super) request: Value,
    pub(super) threads: Threads,
    pub(super) asked: Asked,
    pub(super) items: Items,
    pub(super) calls: Calls,
    pub(super) response: Response,
    /// Where the test sees how the turn ended.
    pub(super) endings: Journal<&'static str>,
    /// Unix milliseconds.
    pub(super) started: u64,
}

/// The response of the model that is being told.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// How many there were before.
    number: usize,
    /// Something was told of it.
    begun: bool,
    /// The text deltas of those before.
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
            .running(&self.teller.thread, |running| running.started = true);
        self.status(json!({"type": "active", "activeFlags": []}))
            .await;
        let turn = self.shape("inProgress", &Value::Null, &[], 0);
        self.teller
            .output
            .notify(
                "turn/started",
                json!({"threadId": self.teller.thread, "turn": turn}),
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
            self.teller.output.exit(code).await;
        }
    }

    async fn play(&mut self, plan: &TurnPlan) {
        for step in &plan.steps {
            self.step(step, plan.usage).await;
        }
        self.items.close().await;
        if matches!(plan.ending, Ending::Failed { .. }) {
            // A failure waits for the calls that came before it.
            self.calls.settle().await;
            self.rate_limits().await;
            return;
        }
        if self.calls.count() > 0 {
            self.end_response(plan.usage).await;
            // Told of the answers, the model says something, be it nothing.
            self.response.begun = true;
        }
        if self.response.begun || self.response.number == 0 {
            self.end_response(plan.usage).await;
        } else {
            self.rate_limits().await;
        }
    }

    async fn step(&mut self, step: &Step, report: UsageReport) {
        let begins = matches!(
            step,
            Step::Text(_)
                | Step::Message(_)
                | Step::Whole(..)
                | Step::Reasoning { .. }
                | Step::Burst { .. }
        );
        if begins && self.calls.count() > 0 {
            self.end_response(report).await;
        }
        self.response.begun |= begins || matches!(step, Step::Call { .. });
        match step {
            Step::Text(delta) => self.items.text(delta).await,
            Step::Message(phase) => self.items.message(*phase).await,
            Step::EndMessage => self.items.close().await,
            Step::Written(whole) => self.items.written(whole),
            Step::DropMessage => self.items.abandon(),
            Step::Whole(text, phase) => self.items.whole(text, *phase).await,
            Step::Reasoning { text, raw } => self.items.reasoning(text, *raw).await,
            Step::ReasoningPart => self.items.reasoning_part().await,
            Step::Burst { count, bytes } => self.items.burst(*count, *bytes).await,
            Step::Usage(usage) => {
                // Usage comes with the end of the model's response, and so after its last item.
                self.items.close().await;
                self.response.usage = Some(*usage);
                if self.calls.count() == 0 {
                    self.raw_response().await;
                    self.tell_usage().await;
                }
            }
            Step::Call {
                id,
                name,
                arguments,
            } => {
                self.items.close().await;
                let number = CALLS.fetch_add(1, Ordering::Relaxed);
                let id = id.replace('*', &number.to_string());
                self.calls.call(&id, name, arguments).await;
            }
            Step::EndResponse => self.end_response(report).await,
            Step::Notify(method, params) => self.teller.notify(method, params.clone()).await,
            Step::Line(line) => {
                let line = [
                    line,
                    b"
"
                    .as_slice(),
                ]
                .concat();
                self.teller.output.bytes(line).await;
            }
            Step::Reconnect(info) => self.reconnect(info).await,
            Step::Ask(method, params) => self.ask(method, params.clone()).await,
            Step::Hold(gate) => {
                self.calls.ask().await;
                gate.pass().await;
            }
            Step::Pause(time) => tokio::time::sleep(*time).await,
            Step::Respond => self.respond().await,
            Step::Hang => {
                self.calls.ask().await;
                std::future::pending::<()>().await;
            }
            Step::Exit(code) => {
                self.teller.output.exit(*code).await;
                std::future::pending::<()>().await;
            }
        }
    }

    async fn respond(&self) {
        let turn = shapes::turn(&self.teller.turn, "inProgress", &Value::Null, &[], 0, 0);
        self.teller
            .output
            .result(&self.request, json!({"turn": turn}))
            .await;
    }

    /// Ends the response of the model, and waits for the answers to its calls.
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
        self.tell_usage().await;
        self.rate_limits().await;
    }

    /// The raw event of it.
    async fn raw_response(&mut self) {
        let id = format!("resp_{}_{}", self.teller.turn, self.response.number);
        self.teller.raw_response(&id, self.response.usage).await;
        self.response = Response {
            number: self.response.number + 1,
            begun: false,
            deltas: self.items.deltas(),
            usage: self.response.usage,
        };
    }

    /// Tells the usage of the response that has ended, or that before once more where it has none.
    async fn tell_usage(&mut self) {
        let used = self.response.usage.take();
        let told = {
            let mut threads = self.threads.lock();
            let Some(thread) = threads.get_mut(&self.teller.thread) else {
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
        if let Some((total, last)) = told {
            let params = json!({"tokenUsage": shapes::token_usage(total, last)});
            self.teller
                .notify("thread/tokenUsage/updated", params)
                .await;
        }
    }

    async fn rate_limits(&self) {
        self.teller
            .output
            .notify("account/rateLimits/updated", shapes::rate_limits())
            .await;
    }

    /// What an interrupt makes of the calls that wait.
    async fn cancel(&mut self) {
        if self.calls.count() > 0 {
            self.calls.cancel().await;
            self.tell_usage().await;
            self.rate_limits().await;
        }
        let words =
            "<turn_aborted>\nThe user interrupted the previous turn on purpose.\n</turn_aborted>";
        let item = shapes::raw_user(
            &format!("msg_aborted_{}", self.teller.turn),
            &[json!({"text": words})],
        );
        let passed = json!({"create_time": shapes::seconds(), "content_item_kinds": ["generic.turn_aborted"],
            "content_item_metadata": [{"provenance": {"type": "harness", "hook": false}}]});
        self.teller.raw_item(item, passed).await;
    }

    async fn reconnect(&mut self, info: &Value) {
        self.items.abandon();
        // Calls that were whole stay, and Codex asks again only once they are answered.
        self.calls.settle().await;
        self.rate_limits().await;
        let details = "stream disconnected before completion: Transport error: network error";
        let error = shapes::turn_error("Reconnecting... 1/5", info, Some(details));
        self.teller
            .notify("error", json!({"error": error, "willRetry": true}))
            .await;
    }

    async fn ask(&self, method: &str, params: Value) {
        let (id, answered) = self.asked.open();
        if method.ends_with("requestApproval") {
            self.status(json!({"type": "active", "activeFlags": ["waitingOnApproval"]}))
                .await;
        }
        self.teller.request(id, method, params).await;
        if answered.await.is_ok() {
            self.teller
                .output
                .notify(
                    "serverRequest/resolved",
                    json!({"threadId": self.teller.thread, "requestId": id}),
                )
                .await;
            self.status(json!({"type": "active", "activeFlags": []}))
                .await;
        }
    }

    /// `ending` is None for a turn that was interrupted.
    async fn end(&mut self, ending: Option<&Ending>) {
        let interrupts = self.threads.finish(&self.teller.thread);
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
                self.teller.output.result(&id, json!({})).await;
            } else {
                // It came between the last step and here.
                self.teller
                    .output
                    .error(&id, -32600, "no active turn to interrupt")
                    .await;
            }
        }
        if status == "failed" {
            self.status(json!({"type": "systemError"})).await;
            self.teller
                .notify("error", json!({"error": &error, "willRetry": false}))
                .await;
        } else {
            self.status(json!({"type": "idle"})).await;
        }
        let turn = self.shape(status, &error, &items, shapes::now());
        self.teller
            .output
            .notify(
                "turn/completed",
                json!({"threadId": self.teller.thread, "turn": turn}),
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
                .get(&self.teller.thread)
                .is_some_and(|thread| !thread.subscribed && thread.running.is_none());
            if left {
                threads.remove(&self.teller.thread);
            }
            left
        };
        if left {
            for (method, params) in shapes::unloaded(&self.teller.thread) {
                self.teller.output.notify(method, params).await;
            }
        }
    }

    async fn status(&self, status: Value) {
        self.teller
            .output
            .notify(
                "thread/status/changed",
                json!({"threadId": self.teller.thread, "status": status}),
            )
            .await;
    }

    fn shape(&self, status: &str, error: &Value, items: &[Value], ended: u64) -> Value {
        shapes::turn(&self.teller.turn, status, error, items, self.started, ended)
    }
}
