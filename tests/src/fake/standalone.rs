//! A scripted Codex without a test, optimised for speed: for benchmarks, and to try by hand.
//!
//! A turn's deltas follow the load in its input (`load::Load`). One thread polls for input and for the next delta that
//! is due. Lines are assembled from precomputed parts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use memchr::memchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::plan::Usage;
use super::shapes;
use crate::load::{self, Load};

/// Bytes of one read.
const READ: usize = 256 << 10;

/// Placeholders for a thread and a model in a precomputed part.
const THREAD: &str = "THREAD";
const MODEL: &str = "MODEL";

/// Runs until the input ends. Returns the exit code.
pub fn run() -> io::Result<i32> {
    let mut fake = StandaloneFake::new();
    let stdin = io::stdin();
    let (mut buffer, mut piece) = (Vec::new(), vec![0; READ]);
    loop {
        let timeout = fake.due.peek().map(|Reverse((due, _))| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut ready = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        poll(&mut ready, timeout.as_ref())?;
        if !ready[0].revents().is_empty() {
            let read = rustix::io::read(stdin.as_fd(), &mut piece)?;
            if read == 0 {
                return Ok(0);
            }
            buffer.extend_from_slice(&piece[..read]);
            let mut start = 0;
            while let Some(end) = memchr(b'\n', &buffer[start..]) {
                fake.receive(&buffer[start..start + end])?;
                start += end + 1;
            }
            buffer.drain(..start);
        }
        fake.play()?;
    }
}

/// A request of the gateway.
#[derive(Deserialize)]
struct RpcRequest<'a> {
    id: Option<u64>,
    #[serde(borrow, default)]
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The parameters that most requests have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadParams<'a> {
    #[serde(borrow)]
    thread_id: Option<&'a str>,
    #[serde(borrow)]
    model: Option<&'a str>,
}

struct StandaloneFake {
    out: Vec<u8>,
    /// A result of `thread/start` with placeholders.
    started: String,
    models: Value,
    made: u64,
    threads: HashMap<String, LoadThread>,
    /// When the next delta of each running turn is due.
    due: BinaryHeap<Reverse<(Instant, String)>>,
}

#[derive(Default)]
struct LoadThread {
    load: Load,
    turn: Option<LoadTurn>,
}

struct LoadTurn {
    began: Instant,
    sent: usize,
    /// The line of a delta up to its text.
    head: Vec<u8>,
    text: Vec<u8>,
}

impl StandaloneFake {
    fn new() -> Self {
        let params = json!({"ephemeral": true, "cwd": "/"});
        let thread = shapes::thread(THREAD, &params, MODEL);
        Self {
            out: Vec::new(),
            started: shapes::thread_started(&thread, &params, MODEL).to_string(),
            models: serde_json::from_str(include_str!("models.json")).unwrap_or_default(),
            made: 0,
            threads: HashMap::new(),
            due: BinaryHeap::new(),
        }
    }

    /// Handles a line. A line that is not a request gets no response, as with Codex.
    fn receive(&mut self, line: &[u8]) -> io::Result<()> {
        let Ok(RpcRequest {
            id: Some(id),
            method,
            params,
        }) = serde_json::from_slice::<RpcRequest<'_>>(line)
        else {
            return Ok(());
        };
        let params = params.map_or("{}", RawValue::get);
        match method {
            "thread/start" => self.start_thread(id, params),
            "thread/inject_items" => {
                self.load(params);
                self.respond(id, "{}");
            }
            "turn/start" => self.start_turn(id, params),
            "turn/interrupt" => {
                self.respond(id, "{}");
                if let Some(thread) = thread_of(params) {
                    self.end(thread, "interrupted");
                }
            }
            "thread/unsubscribe" => {
                self.threads.remove(thread_of(params).unwrap_or_default());
                self.respond(id, r#"{"status":"unsubscribed"}"#);
            }
            "initialize" => self.respond(id, &shapes::initialized("airlock").to_string()),
            "model/list" => {
                let list = json!({"data": self.models, "nextCursor": null}).to_string();
                self.respond(id, &list);
            }
            "account/read" => self.respond(
                id,
                r#"{"account":{"type":"apiKey"},"userId":null,"requiresOpenaiAuth":true,"workspaceRouting":null}"#,
            ),
            _ => {
                let message = format!("Invalid request: unknown variant `{method}`");
                let error = json!({"error": {"code": -32600, "message": message}, "id": id});
                self.push_line(&error.to_string());
            }
        }
        self.flush()
    }

    fn start_thread(&mut self, id: u64, params: &str) {
        self.made += 1;
        let thread = format!("01a1fc0c-0000-7000-8000-{:012x}", self.made);
        let model = serde_json::from_str::<ThreadParams<'_>>(params).ok();
        let model = model.and_then(|params| params.model).unwrap_or("gpt-5.5");
        let started = self.started.replace(THREAD, &thread).replace(MODEL, model);
        self.threads.insert(thread, LoadThread::default());
        self.respond(id, &started);
    }

    /// Sets a thread's load, if the parameters contain one.
    fn load(&mut self, params: &str) {
        let thread = thread_of(params).and_then(|thread| self.threads.get_mut(thread));
        if let (Some(thread), Some(load)) = (thread, Load::find(params.as_bytes())) {
            thread.load = load;
        }
    }

    fn start_turn(&mut self, id: u64, params: &str) {
        self.load(params);
        let name = thread_of(params).unwrap_or_default();
        let Some(thread) = self.threads.get_mut(name) else {
            return self.push_line(&format!(
                r#"{{"error":{{"code":-32600,"message":"thread not found"}},"id":{id}}}"#
            ));
        };
        let began = Instant::now();
        let item = format!("msg_{name}");
        thread.turn = Some(LoadTurn {
            began,
            sent: 0,
            head: format!(
                r#"{{"method":"item/agentMessage/delta","params":{{"threadId":"{name}","turnId":"{name}","itemId":"{item}","delta":""#
            )
            .into_bytes(),
            text: Vec::new(),
        });
        self.due.push(Reverse((began, name.to_owned())));
        let turn = shape(name, "inProgress");
        self.respond(id, &format!(r#"{{"turn":{turn}}}"#));
        self.notify(
            "turn/started",
            &format!(r#"{{"threadId":"{name}","turn":{turn}}}"#),
        );
        let message = shapes::agent_message(&item, "", None, shapes::now(), None);
        self.notify(
            "item/started",
            &format!(
                r#"{{"item":{message},"threadId":"{name}","turnId":"{name}","startedAtMs":{}}}"#,
                shapes::now()
            ),
        );
    }

    /// Writes the deltas that are due.
    fn play(&mut self) -> io::Result<()> {
        while let Some(Reverse((due, _))) = self.due.peek() {
            if *due > Instant::now() {
                return Ok(());
            }
            let Some(Reverse((_, name))) = self.due.pop() else {
                return Ok(());
            };
            let Some(LoadThread {
                load,
                turn: Some(turn),
            }) = self.threads.get_mut(&name)
            else {
                continue;
            };
            while turn.sent < load.deltas {
                turn.delta(load.bytes, &mut self.out);
                io::stdout().write_all(&self.out)?;
                self.out.clear();
                if !load.every.is_zero() {
                    break;
                }
            }
            if turn.sent < load.deltas {
                let sent = u32::try_from(turn.sent).unwrap_or(u32::MAX);
                let next = turn.began + load.every * sent;
                self.due.push(Reverse((next, name)));
            } else {
                self.end(&name, "completed");
                self.flush()?;
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &str, status: &str) {
        let turn = self
            .threads
            .get_mut(name)
            .and_then(|thread| thread.turn.take());
        let Some(turn) = turn else { return };
        if status == "completed" {
            let text = String::from_utf8_lossy(&turn.text);
            let at = shapes::now();
            let message = shapes::agent_message(&format!("msg_{name}"), &text, None, at, Some(at));
            self.notify(
                "item/completed",
                &format!(
                    r#"{{"item":{message},"contentTokenCount":null,"threadId":"{name}","turnId":"{name}","completedAtMs":{at}}}"#
                ),
            );
            let used = Usage {
                input: 100,
                output: turn.sent as u64,
                ..Usage::default()
            };
            self.notify(
                "thread/tokenUsage/updated",
                &format!(
                    r#"{{"threadId":"{name}","turnId":"{name}","tokenUsage":{}}}"#,
                    shapes::token_usage(used, used)
                ),
            );
        }
        let turn = shape(name, status);
        self.notify(
            "turn/completed",
            &format!(r#"{{"threadId":"{name}","turn":{turn}}}"#),
        );
    }

    fn respond(&mut self, id: u64, result: &str) {
        self.push_line(&format!(r#"{{"id":{id},"result":{result}}}"#));
    }

    fn notify(&mut self, method: &str, params: &str) {
        let at = shapes::now();
        self.push_line(&format!(
            r#"{{"method":"{method}","params":{params},"emittedAtMs":{at}}}"#
        ));
    }

    fn push_line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

impl LoadTurn {
    /// Appends the line of a delta, whose text needs no escaping.
    fn delta(&mut self, bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let start = self.text.len();
        load::stamp(&mut self.text);
        let pad = bytes.saturating_sub(self.text.len() - start + 1);
        self.text.resize(self.text.len() + pad, b'x');
        self.text.push(b' ');
        out.extend_from_slice(&self.text[start..]);
        out.extend_from_slice(br#""},"emittedAtMs":"#);
        out.extend_from_slice(shapes::now().to_string().as_bytes());
        out.extend_from_slice(b"}\n");
        self.sent += 1;
    }
}

fn thread_of(params: &str) -> Option<&str> {
    serde_json::from_str::<ThreadParams<'_>>(params)
        .ok()?
        .thread_id
}

fn shape(turn: &str, status: &str) -> Value {
    shapes::turn(turn, status, &Value::Null, &[], 0, 0)
}
