//! The engine: the app-server's side of the protocol, one process of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::calls::{CallResult, Calls};
use super::history::{self, said};
use super::items::Items;
use super::output::Output;
use super::player::{Player, Response};
use super::script::{Answer, Script, Spoken};
use super::shapes;
use super::teller::Teller;
use super::threads::{Asked, Running, Thread, Threads};
use super::tools;
use crate::Journal;

/// The code of nearly every error of Codex.
const INVALID: i64 = -32600;
/// Characters that a turn's input may have.
const INPUT_LIMIT: usize = 1 << 20;

/// One app-server. Dropping it ends its turns.
#[derive(Debug)]
pub struct Engine {
    script: Arc<Mutex<Script>>,
    output: Output,
    threads: Threads,
    asked: Asked,
    records: Records,
    initialized: bool,
    tasks: JoinSet<()>,
}

/// Where the test sees what came of turns. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// How each turn ended: `completed`, `failed` or `interrupted`.
    pub endings: Journal<&'static str>,
    /// What the client said came of calls.
    pub results: Journal<CallResult>,
}

/// Why a request failed: Codex's number and words.
struct Refusal(i64, String);

/// A result, and the notifications that follow it.
struct Done {
    result: Value,
    then: Vec<(&'static str, Value)>,
}

type Answered = Result<Done, Refusal>;

fn done(result: Value) -> Answered {
    Ok(Done {
        result,
        then: Vec::new(),
    })
}

fn refused<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(INVALID, message.into()))
}

impl Engine {
    /// A process that has just started.
    pub fn new(script: Arc<Mutex<Script>>, output: Output, records: Records) -> Self {
        Self {
            script,
            output,
            threads: Threads::default(),
            asked: Asked::default(),
            records,
            initialized: false,
            tasks: JoinSet::new(),
        }
    }

    /// Takes a line from the client. What is no request gets no reply, as with Codex.
    pub async fn receive(&mut self, line: &[u8]) {
        while self.tasks.try_join_next().is_some() {}
        let Ok(mut message) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let Some(Value::String(method)) = message.get_mut("method").map(Value::take) else {
            return self.asked.settle(message);
        };
        let id = message.get_mut("id").map(Value::take).unwrap_or_default();
        if !(id.is_string() || id.is_u64()) {
            return;
        }
        let params = message
            .get_mut("params")
            .map(Value::take)
            .unwrap_or_default();
        let answer = self
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_answer(&method);
        match answer {
            None => self.respond(&method, &id, &params, None).await,
            Some(Answer::With(over)) => self.respond(&method, &id, &params, Some(over)).await,
            Some(Answer::Result(result)) => self.output.result(&id, result).await,
            Some(Answer::Error { code, message }) => self.output.error(&id, code, &message).await,
            Some(Answer::Silence) => {}
            Some(Answer::Exit(code)) => self.output.exit(code).await,
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
                // The turn answers for itself, where its plan says.
                Ok(None) => return,
                Ok(Some(steered)) => done(steered),
                Err(refusal) => Err(refusal),
            },
            "turn/interrupt" => match self.interrupt(id, params) {
                Ok(()) => return,
                Err(refusal) => Err(refusal),
            },
            "thread/unsubscribe" => self.unsubscribe(params),
            "thread/loaded/list" => {
                let loaded: Vec<_> = self.threads.lock().keys().cloned().collect();
                done(json!({"data": loaded, "nextCursor": null}))
            }
            "model/list" => {
                let models = self
                    .script
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .models
                    .clone();
                let hidden = params
                    .get("includeHidden")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                let shown = |model: &Value| hidden || model.get("hidden") != Some(&json!(true));
                let models: Vec<_> = models.into_iter().filter(shown).collect();
                done(json!({"data": models, "nextCursor": null}))
            }
            "account/read" => done(json!({"account": {"type": "apiKey"}, "userId": null,
                "requiresOpenaiAuth": true, "workspaceRouting": null})),
            "account/login/cancel" => done(json!({"status": "canceled"})),
            "account/logout" => Ok(Done {
                result: json!({}),
                then: vec![(
                    "account/updated",
                    json!({"authMode": null, "planType": null}),
                )],
            }),
            _ => refused(format!("Invalid request: unknown variant `{method}`")),
        };
        match answered {
            Ok(Done { mut result, then }) => {
                if let (Some(result), Some(Value::Object(over))) = (result.as_object_mut(), over) {
                    result.extend(over);
                }
                self.output.result(id, result).await;
                for (method, params) in then {
                    self.output.notify(method, params).await;
                }
            }
            Err(Refusal(code, message)) => self.output.error(id, code, &message).await,
        }
    }

    fn initialize(&mut self, params: &Value) -> Answered {
        if self.initialized {
            return refused("Already initialized");
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
            return refused("Invalid request: missing field `clientInfo`");
        };
        let status = json!({"status": "disabled", "serverName": "vm", "installationId": null, "environmentId": null});
        Ok(Done {
            result: shapes::initialized(client),
            then: vec![("remoteControl/status/changed", status)],
        })
    }

    fn start_thread(&mut self, params: &Value) -> Answered {
        if !params.is_object() {
            return refused("Invalid request: missing field `params`");
        }
        let tools = tools::names(params).map_err(|words| Refusal(INVALID, words))?;
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
        Ok(Done {
            result: shapes::thread_started(&thread, params, model),
            then,
        })
    }

    async fn inject(&mut self, params: &Value) -> Answered {
        let items = params
            .get("items")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let name = text_at(params, "threadId");
        let raw = {
            let mut threads = self.threads.lock();
            let Some(thread) = threads.get_mut(name) else {
                return refused(format!("thread not found: {name}"));
            };
            history::check(items).map_err(|words| Refusal(INVALID, words))?;
            let mut latest = items.iter().rev();
            if let Some(last) = latest.find(|item| text_at(item, "role") == "user") {
                thread.said = said(last.get("content"));
            }
            thread.raw
        };
        let teller = self.teller(name, history::INJECTED, raw);
        history::echo(&teller, items).await;
        done(json!({}))
    }

    fn teller(&self, thread: &str, turn: &str, raw: bool) -> Teller {
        Teller {
            thread: thread.to_owned(),
            turn: turn.to_owned(),
            output: self.output.clone(),
            raw,
        }
    }

    /// None when the turn has started: then it answers for itself.
    fn start_turn(&mut self, id: &Value, params: &Value) -> Result<Option<Value>, Refusal> {
        let Some(input) = params.get("input").and_then(Value::as_array) else {
            return refused("Invalid request: missing field `input`");
        };
        let remote = |item: &Value| {
            text_at(item, "type") == "image" && !text_at(item, "url").starts_with("data:")
        };
        if input.iter().any(remote) {
            return refused("remote image URLs are not supported; use an inline data URL instead");
        }
        let spoken = said(params.get("input"));
        if spoken.chars().count() > INPUT_LIMIT {
            return Err(Refusal(
                -32602,
                format!("Input exceeds the maximum length of {INPUT_LIMIT} characters."),
            ));
        }
        let turn = new_id();
        let thread_id = text_at(params, "threadId").to_owned();
        let mut threads = self.threads.lock();
        let Some(thread) = threads.get_mut(&thread_id) else {
            return refused(format!("thread not found: {thread_id}"));
        };
        if let Some(running) = &thread.running {
            // A second turn is none: it steers the first.
            return Ok(Some(
                json!({"turn": shapes::turn(&running.turn, "inProgress", &Value::Null, &[], 0, 0)}),
            ));
        }
        let spoken = Spoken {
            said: if spoken.is_empty() {
                &thread.said
            } else {
                &spoken
            },
            instructions: &thread.instructions,
            model: &thread.model,
        };
        let plan = self
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_turn(spoken);
        let cancel = CancellationToken::new();
        thread.running = Some(Running {
            turn: turn.clone(),
            started: false,
            deaf: plan.deaf,
            interrupts: Vec::new(),
            cancel: cancel.clone(),
        });
        let (raw, tools) = (thread.raw, thread.tools.clone());
        drop(threads);
        let teller = self.teller(&thread_id, &turn, raw);
        let player = Player {
            items: Items::new(teller.clone()),
            calls: Calls {
                teller: teller.clone(),
                asked: self.asked.clone(),
                tools,
                results: self.records.results.clone(),
                calls: Vec::new(),
            },
            response: Response::default(),
            teller,
            request: id.clone(),
            threads: self.threads.clone(),
            asked: self.asked.clone(),
            endings: self.records.endings.clone(),
            started: shapes::now(),
        };
        let input = input.clone();
        self.tasks
            .spawn(async move { player.run(plan, input, cancel).await });
        Ok(None)
    }

    /// The turn answers an interrupt that holds.
    fn interrupt(&mut self, id: &Value, params: &Value) -> Result<(), Refusal> {
        let wanted = text_at(params, "turnId");
        let held = self
            .threads
            .running(text_at(params, "threadId"), |running| {
                if !running.started {
                    return refused("no active turn to interrupt");
                }
                if !wanted.is_empty() && wanted != running.turn {
                    return refused(format!(
                        "expected active turn id {wanted} but found {}",
                        running.turn
                    ));
                }
                if !running.deaf {
                    running.interrupts.push(id.clone());
                    running.cancel.cancel();
                }
                Ok(())
            });
        held.unwrap_or_else(|| refused("no active turn to interrupt"))
    }

    fn unsubscribe(&mut self, params: &Value) -> Answered {
        let id = text_at(params, "threadId");
        let mut threads = self.threads.lock();
        let Some(thread) = threads.get_mut(id) else {
            return done(json!({"status": "notLoaded"}));
        };
        thread.subscribed = false;
        let mut then = Vec::new();
        if thread.running.is_none() {
            threads.remove(id);
            then = shapes::unloaded(id);
        }
        Ok(Done {
            result: json!({"status": "unsubscribed"}),
            then,
        })
    }
}

/// Unlike any other in this test, whichever process it comes from.
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
