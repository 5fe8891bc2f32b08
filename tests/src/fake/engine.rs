//! The engine: the app-server's side of the protocol, for one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::calls::{CallResult, Calls};
use super::history::{self, user_text};
use super::items::Items;
use super::notifier::TurnNotifier;
use super::output::Output;
use super::player::{ModelResponse, Player};
use super::script::{Script, ScriptedResponse, TurnInput};
use super::shapes;
use super::threads::{Running, ServerRequests, Thread, Threads};
use super::tools;
use crate::Journal;

/// The code of nearly every error of Codex: an invalid request.
const INVALID: i64 = -32600;
/// Characters that a turn's input may have.
const INPUT_LIMIT: usize = 1 << 20;

/// One app-server. Dropping it aborts its turns.
#[derive(Debug)]
pub struct Engine {
    script: Arc<Mutex<Script>>,
    output: Output,
    threads: Threads,
    server_requests: ServerRequests,
    records: TurnRecords,
    initialized: bool,
    tasks: JoinSet<()>,
}

/// Journals of how turns and calls ended. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct TurnRecords {
    /// How each turn ended: `completed`, `failed` or `interrupted`.
    pub endings: Journal<&'static str>,
    /// The client's results of tool calls.
    pub results: Journal<CallResult>,
}

/// The code and message of a failed request.
struct RpcError(i64, String);

/// A result, and the notifications that follow it.
struct MethodSuccess {
    result: Value,
    then: Vec<(&'static str, Value)>,
}

type MethodResult = Result<MethodSuccess, RpcError>;

fn success(result: Value) -> MethodResult {
    Ok(MethodSuccess {
        result,
        then: Vec::new(),
    })
}

fn invalid_request<T>(message: impl Into<String>) -> Result<T, RpcError> {
    Err(RpcError(INVALID, message.into()))
}

impl Engine {
    /// A process that has just started.
    pub fn new(script: Arc<Mutex<Script>>, output: Output, records: TurnRecords) -> Self {
        Self {
            script,
            output,
            threads: Threads::default(),
            server_requests: ServerRequests::default(),
            records,
            initialized: false,
            tasks: JoinSet::new(),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock()
    }

    /// Handles a line from the client. A line that is not a request gets no response, as with Codex.
    pub async fn receive(&mut self, line: &[u8]) {
        while self.tasks.try_join_next().is_some() {}
        let Ok(mut message) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let Some(Value::String(method)) = message.get_mut("method").map(Value::take) else {
            return self.server_requests.resolve(message);
        };
        let id = message.get_mut("id").map(Value::take).unwrap_or_default();
        if !(id.is_string() || id.is_u64()) {
            return;
        }
        let params = message
            .get_mut("params")
            .map(Value::take)
            .unwrap_or_default();
        let answer = self.script().take_answer(&method);
        match answer {
            None => self.respond(&method, &id, &params, None).await,
            Some(ScriptedResponse::With(over)) => {
                self.respond(&method, &id, &params, Some(over)).await;
            }
            Some(ScriptedResponse::Result(result)) => self.output.result(&id, result).await,
            Some(ScriptedResponse::Error { code, message }) => {
                self.output.error(&id, code, &message).await;
            }
            Some(ScriptedResponse::Silence) => {}
            Some(ScriptedResponse::Exit(code)) => self.output.exit(code).await,
        }
    }

    async fn respond(&mut self, method: &str, id: &Value, params: &Value, over: Option<Value>) {
        if !self.initialized && method != "initialize" {
            return self.output.error(id, INVALID, "Not initialized").await;
        }
        let answered = match method {
            "initialize" => self.initialize(params),
            "thread/start" => self.start_thread(params),
            "thread/inject_items" => self.inject(params).await,
            "turn/start" => match self.start_turn(id, params) {
                // The turn responds itself, where its plan says.
                Ok(None) => return,
                Ok(Some(steered)) => success(steered),
                Err(refusal) => Err(refusal),
            },
            "turn/interrupt" => match self.interrupt(id, params) {
                Ok(()) => return,
                Err(refusal) => Err(refusal),
            },
            "thread/unsubscribe" => self.unsubscribe(params),
            "thread/loaded/list" => {
                let loaded: Vec<_> = self.threads.lock().keys().cloned().collect();
                success(json!({"data": loaded, "nextCursor": null}))
            }
            "model/list" => {
                let models = self.script().models.clone();
                let hidden = params
                    .get("includeHidden")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                let shown = |model: &Value| hidden || model.get("hidden") != Some(&json!(true));
                let models: Vec<_> = models.into_iter().filter(shown).collect();
                success(json!({"data": models, "nextCursor": null}))
            }
            "account/read" => success(json!({"account": {"type": "apiKey"}, "userId": null,
                "requiresOpenaiAuth": true, "workspaceRouting": null})),
            "account/login/cancel" => success(json!({"status": "canceled"})),
            "account/logout" => Ok(MethodSuccess {
                result: json!({}),
                then: vec![(
                    "account/updated",
                    json!({"authMode": null, "planType": null}),
                )],
            }),
            _ => invalid_request(format!("Invalid request: unknown variant `{method}`")),
        };
        match answered {
            Ok(MethodSuccess { mut result, then }) => {
                if let (Some(result), Some(Value::Object(over))) = (result.as_object_mut(), over) {
                    result.extend(over);
                }
                self.output.result(id, result).await;
                for (method, params) in then {
                    self.output.notify(method, params).await;
                }
            }
            Err(RpcError(code, message)) => self.output.error(id, code, &message).await,
        }
    }

    fn initialize(&mut self, params: &Value) -> MethodResult {
        if self.initialized {
            return invalid_request("Already initialized");
        }
        self.initialized = true;
        let muted = params
            .pointer("/capabilities/optOutNotificationMethods")
            .and_then(Value::as_array);
        self.output.mute(
            muted
                .into_iter()
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned())),
        );
        let Some(client) = params.pointer("/clientInfo/name").and_then(Value::as_str) else {
            return invalid_request("Invalid request: missing field `clientInfo`");
        };
        let status = json!({"status": "disabled", "serverName": "vm", "installationId": null, "environmentId": null});
        Ok(MethodSuccess {
            result: shapes::initialized(client),
            then: vec![("remoteControl/status/changed", status)],
        })
    }

    fn start_thread(&mut self, params: &Value) -> MethodResult {
        if !params.is_object() {
            return invalid_request("Invalid request: missing field `params`");
        }
        let tools = tools::names(params).map_err(|message| RpcError(INVALID, message))?;
        let id = new_id();
        let model = params
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or("gpt-6.1-sol");
        self.threads.lock().insert(
            id.clone(),
            Thread {
                subscribed: true,
                instructions: text_at(params, "baseInstructions").to_owned(),
                model: model.to_owned(),
                tools,
                raw: params.get("experimentalRawEvents") == Some(&json!(true)),
                ..Thread::default()
            },
        );
        let thread = shapes::thread(&id, params, model);
        let then = vec![("thread/started", json!({"thread": &thread}))];
        Ok(MethodSuccess {
            result: shapes::thread_started(&thread, params, model),
            then,
        })
    }

    async fn inject(&mut self, params: &Value) -> MethodResult {
        let items = params
            .get("items")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let name = text_at(params, "threadId");
        let raw = {
            let mut threads = self.threads.lock();
            let Some(thread) = threads.get_mut(name) else {
                return invalid_request(format!("thread not found: {name}"));
            };
            history::check(items).map_err(|message| RpcError(INVALID, message))?;
            let mut latest = items.iter().rev();
            if let Some(last) = latest.find(|item| text_at(item, "role") == "user") {
                thread.injected_text = user_text(last.get("content"));
            }
            thread.raw
        };
        let notifier = self.notifier(name, history::INJECTED, raw);
        history::echo(&notifier, items).await;
        success(json!({}))
    }

    fn notifier(&self, thread: &str, turn: &str, raw: bool) -> TurnNotifier {
        TurnNotifier {
            thread: thread.to_owned(),
            turn: turn.to_owned(),
            output: self.output.clone(),
            raw,
        }
    }

    /// Starts a turn, which then responds itself, and returns `None`. If a turn is running already, returns the response.
    fn start_turn(&mut self, id: &Value, params: &Value) -> Result<Option<Value>, RpcError> {
        let Some(input) = params.get("input").and_then(Value::as_array) else {
            return invalid_request("Invalid request: missing field `input`");
        };
        let remote = |item: &Value| {
            text_at(item, "type") == "image" && !text_at(item, "url").starts_with("data:")
        };
        if input.iter().any(remote) {
            return invalid_request(
                "remote image URLs are not supported; use an inline data URL instead",
            );
        }
        let input_text = user_text(params.get("input"));
        if input_text.chars().count() > INPUT_LIMIT {
            return Err(RpcError(
                -32602,
                format!("Input exceeds the maximum length of {INPUT_LIMIT} characters."),
            ));
        }
        let turn = new_id();
        let thread_id = text_at(params, "threadId").to_owned();
        let mut threads = self.threads.lock();
        let Some(thread) = threads.get_mut(&thread_id) else {
            return invalid_request(format!("thread not found: {thread_id}"));
        };
        if let Some(running) = &thread.running {
            // A second `turn/start` steers the first turn.
            return Ok(Some(
                json!({"turn": shapes::turn(&running.turn, "inProgress", &Value::Null, &[], 0, 0)}),
            ));
        }
        let input_text = TurnInput {
            user_text: if input_text.is_empty() {
                &thread.injected_text
            } else {
                &input_text
            },
            instructions: &thread.instructions,
            model: &thread.model,
        };
        let plan = self.script().take_turn(input_text);
        let cancel = CancellationToken::new();
        thread.running = Some(Running {
            turn: turn.clone(),
            started: false,
            ignores_interrupt: plan.ignores_interrupt,
            interrupts: Vec::new(),
            cancel: cancel.clone(),
        });
        let (raw, tools) = (thread.raw, thread.tools.clone());
        drop(threads);
        let notifier = self.notifier(&thread_id, &turn, raw);
        let player = Player {
            items: Items::new(notifier.clone()),
            calls: Calls {
                notifier: notifier.clone(),
                server_requests: self.server_requests.clone(),
                tools,
                results: self.records.results.clone(),
                calls: Vec::new(),
            },
            response: ModelResponse::default(),
            notifier,
            request: id.clone(),
            threads: self.threads.clone(),
            server_requests: self.server_requests.clone(),
            endings: self.records.endings.clone(),
            started: shapes::now(),
        };
        let input = input.clone();
        self.tasks
            .spawn(async move { player.run(plan, input, cancel).await });
        Ok(None)
    }

    /// Interrupts a turn. A turn that can be interrupted responds itself when it has ended.
    fn interrupt(&mut self, id: &Value, params: &Value) -> Result<(), RpcError> {
        let wanted = text_at(params, "turnId");
        let held = self
            .threads
            .running(text_at(params, "threadId"), |running| {
                if !running.started {
                    return invalid_request("no active turn to interrupt");
                }
                if !wanted.is_empty() && wanted != running.turn {
                    return invalid_request(format!(
                        "expected active turn id {wanted} but found {}",
                        running.turn
                    ));
                }
                if !running.ignores_interrupt {
                    running.interrupts.push(id.clone());
                    running.cancel.cancel();
                }
                Ok(())
            });
        held.unwrap_or_else(|| invalid_request("no active turn to interrupt"))
    }

    fn unsubscribe(&mut self, params: &Value) -> MethodResult {
        let id = text_at(params, "threadId");
        let mut threads = self.threads.lock();
        let Some(thread) = threads.get_mut(id) else {
            return success(json!({"status": "notLoaded"}));
        };
        thread.subscribed = false;
        let mut then = Vec::new();
        if thread.running.is_none() {
            threads.remove(id);
            then = shapes::unloaded(id);
        }
        Ok(MethodSuccess {
            result: json!({"status": "unsubscribed"}),
            then,
        })
    }
}

/// An ID that is unique among all processes of this test.
fn new_id() -> String {
    static MADE: AtomicU64 = AtomicU64::new(1);
    format!(
        "01a1fc0c-0000-7000-8000-{:012x}",
        MADE.fetch_add(1, Ordering::Relaxed)
    )
}

fn text_at<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
