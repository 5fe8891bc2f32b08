//! The native limit: a minimal server that does to a stream what Airlock does, as the reference of `make bench`.
//!
//! `limit CODEX` serves chat completions over that Codex, on one thread, with the shipped policy compiled natively. It
//! has no sandbox, key, limits or metrics, and does not stop the turns of clients that leave.
//! `least-sandbox CODEX POLICY` is the same with that component in a sandbox for each request (`sandboxed.rs`).
#![expect(
    clippy::disallowed_methods,
    reason = "it shows what the house's rules cost"
)]

mod policy; // native, or sandboxed
mod sandbox; // the least sandbox

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Stdio;

use airlock_shipped_policy::bindings::airlock::policy::types::{Event, EventKind, Text, Usage};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use self::policy::{Policy, RenderedPlan, Session, to_anyhow};
use self::sandbox::CompiledPolicy;

/// Deltas of a stream that are fed at once.
const BATCH: usize = 64;

/// A notification of a turn.
enum TurnMessage {
    Event(EventKind),
    Ended,
}

/// A line of Codex, in one pass.
#[derive(Deserialize)]
struct Line<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow)]
    thread_id: Option<&'a str>,
    delta: Option<String>,
    token_usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct TokenUsage {
    total: Total,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
}

/// An uncontended `Mutex` costs next to nothing, and handlers must be `Send`.
type SharedMutex<T> = std::sync::Arc<parking_lot::Mutex<T>>;

#[derive(Clone)]
struct Codex {
    policy: Policy,
    lines: mpsc::UnboundedSender<String>,
    state: SharedMutex<PendingCalls>,
}

#[derive(Default)]
struct PendingCalls {
    last: u64,
    answers: HashMap<u64, oneshot::Sender<String>>,
    turns: HashMap<String, mpsc::UnboundedSender<TurnMessage>>,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let codex = words
        .next()
        .context("limit CODEX, or least-sandbox CODEX POLICY")?;
    let policy = match words.next() {
        None => Policy::Native,
        Some(file) => {
            Policy::Sandboxed(to_anyhow(CompiledPolicy::compile(&std::fs::read(file)?))?.into())
        }
    };
    let mut child = Command::new(codex)
        .arg("app-server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let codex = Codex::over(&mut child, policy)?;
    let client = json!({"name": "limit", "title": null, "version": "1"});
    let introduction = json!({ "clientInfo": client });
    codex.call("initialize", &introduction.to_string()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(
        std::io::stdout(),
        "limit listens on http://{}",
        listener.local_addr()?
    )?;
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
        .with_state(codex);
    axum::serve(NoDelay(listener), router).await?;
    Ok(())
}

/// A listener that sets `TCP_NODELAY`, as any server of streams does.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let accepted = axum::serve::Listener::accept(&mut self.0).await;
        // A connection that is closed already fails when it is served.
        let _ = accepted.0.set_nodelay(true);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Codex {
    fn over(child: &mut Child, policy: Policy) -> Result<Self> {
        let (lines, outgoing) = mpsc::unbounded_channel();
        let codex = Self {
            policy,
            lines,
            state: SharedMutex::default(),
        };
        let stdin = child.stdin.take().context("no stdin")?;
        tokio::spawn(write(stdin, outgoing));
        let stdout = child.stdout.take().context("no stdout")?;
        tokio::spawn(codex.clone().read(stdout));
        Ok(codex)
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, PendingCalls> {
        self.state.lock()
    }

    async fn call(&self, method: &str, params: &str) -> Result<String> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.last += 1;
            let id = state.last;
            state.answers.insert(id, sender);
            id
        };
        let line = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n");
        self.lines.send(line)?;
        Ok(answer.await?)
    }

    /// Unsubscribes from a thread, without waiting for the response.
    fn unsubscribe(&self, thread: &str) {
        let mut state = self.state();
        state.turns.remove(thread);
        state.last += 1;
        let id = state.last;
        let line = format!(
            "{{\"id\":{id},\"method\":\"thread/unsubscribe\",\"params\":{{\"threadId\":\"{thread}\"}}}}\n"
        );
        let _ = self.lines.send(line);
    }

    async fn read(self, stdout: ChildStdout) -> Result<()> {
        let mut stdout = stdout;
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(256 << 10);
            if stdout.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            while let Some(end) = memchr::memchr(b'\n', &buffer) {
                self.dispatch(&buffer[..end])?;
                buffer.advance(end + 1);
            }
        }
    }

    fn dispatch(&self, line: &[u8]) -> Result<()> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        if let (Some(id), Some(result)) = (line.id, line.result) {
            if let Some(answer) = self.state().answers.remove(&id) {
                // The caller may have stopped waiting.
                let _ = answer.send(result.get().to_owned());
            }
            return Ok(());
        }
        let (Some(method), Some(params)) = (line.method, line.params) else {
            return Ok(());
        };
        let message = match (method, params.delta, params.token_usage) {
            ("item/agentMessage/delta", Some(text), _) => {
                TurnMessage::Event(EventKind::Text(Text {
                    message: 0,
                    phase: None,
                    text,
                    item: None,
                }))
            }
            ("thread/tokenUsage/updated", _, Some(TokenUsage { total })) => {
                TurnMessage::Event(EventKind::Usage(Usage {
                    input: total.input_tokens,
                    cached: total.cached_input_tokens,
                    output: total.output_tokens,
                    reasoning: total.reasoning_output_tokens,
                }))
            }
            ("turn/completed", ..) => TurnMessage::Ended,
            _ => return Ok(()),
        };
        let state = self.state();
        if let Some(turn) = params.thread_id.and_then(|thread| state.turns.get(thread)) {
            let _ = turn.send(message);
        }
        Ok(())
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) -> Result<()> {
    while let Some(line) = lines.recv().await {
        stdin.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Started {
    thread: ThreadId,
}

#[derive(Deserialize)]
struct ThreadId {
    id: String,
}

async fn complete(State(codex): State<Codex>, body: String) -> Response {
    match answer(codex, body).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

async fn answer(codex: Codex, body: String) -> Result<Response> {
    let (mut session, plan) = codex.policy.render(body)?;
    let RenderedPlan { model, notes, .. } = plan;
    let params = json!({"model": model, "ephemeral": true, "approvalPolicy": "never", "sandbox": "read-only",
        "environments": [], "baseInstructions": plan.instructions});
    let started = codex.call("thread/start", &params.to_string()).await?;
    let thread = serde_json::from_str::<Started>(&started)?.thread.id;
    if !plan.history.is_empty() {
        // Each item is JSON already.
        let items = plan.history.join(",");
        let params = format!(r#"{{"threadId":"{thread}","items":[{items}]}}"#);
        codex.call("thread/inject_items", &params).await?;
    }
    let (sender, mut messages) = mpsc::unbounded_channel();
    codex.state().turns.insert(thread.clone(), sender);
    let texts = plan.input.into_iter();
    let input: Vec<Value> = texts
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    let params = json!({"threadId": thread, "input": input});
    codex.call("turn/start", &params.to_string()).await?;
    session.open(model, notes)?;
    let mut batch = Vec::with_capacity(BATCH);
    if plan.streaming {
        let stream = unfold(
            (Some(session), messages, batch, codex, thread),
            async |(session, mut messages, mut batch, codex, thread)| {
                let (mut session, mut text) = (session?, String::new());
                loop {
                    messages.recv_many(&mut batch, BATCH).await;
                    let ended = match feed_batch(&mut session, &mut batch, &mut text) {
                        Ok(false) if text.is_empty() => continue,
                        ended => ended,
                    };
                    let (session, piece) = match ended {
                        Ok(false) => (Some(session), Ok(())),
                        // A problem is in the last frames, too.
                        Ok(true) => (None, session.finish(&mut text).map(|_| ())),
                        Err(error) => (None, Err(error)),
                    };
                    if session.is_none() {
                        codex.unsubscribe(&thread);
                    }
                    let piece = piece.map(|()| Bytes::from(text));
                    let piece = piece.map_err(anyhow::Error::into_boxed_dyn_error);
                    return Some((piece, (session, messages, batch, codex, thread)));
                }
            },
        );
        let kind = [(CONTENT_TYPE, "text/event-stream")];
        return Ok((kind, Body::from_stream(stream)).into_response());
    }
    let mut text = String::new();
    let whole = loop {
        messages.recv_many(&mut batch, BATCH).await;
        match feed_batch(&mut session, &mut batch, &mut text) {
            Ok(false) => {}
            Ok(true) => break session.finish(&mut text).flatten(),
            Err(error) => break Err(error),
        }
    };
    codex.unsubscribe(&thread);
    Ok(([(CONTENT_TYPE, "application/json")], whole?).into_response())
}

/// Writes the frames of a batch, and returns whether the turn has ended.
fn feed_batch(
    session: &mut Session,
    batch: &mut Vec<TurnMessage>,
    text: &mut String,
) -> Result<bool> {
    let (events, ended) = events(batch);
    session.feed(events, text)?;
    Ok(ended)
}

/// The events of a batch, and whether the turn has ended.
fn events(batch: &mut Vec<TurnMessage>) -> (Vec<Event>, bool) {
    let mut ended = batch.is_empty();
    let events = batch.drain(..).filter_map(|message| match message {
        TurnMessage::Event(kind) => Some(Event {
            source: 0,
            at: 0,
            kind,
        }),
        TurnMessage::Ended => {
            ended = true;
            None
        }
    });
    (events.collect(), ended)
}
