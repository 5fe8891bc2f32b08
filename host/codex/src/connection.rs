//! JSON-RPC over a child's stdio: one task reads, one writes, and neither waits for the other or for a client.

mod account; // messages about the account
mod liveness; // whether the child responds
mod message; // outgoing messages, as lines
mod read; // the reader of a child's stdout
mod write; // the writer of a child's stdin

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use airlock_wire::decode::{self, RpcMessage, ThreadNotification};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use self::account::AccountLine;
pub(super) use self::liveness::WeakConnection;
use self::message::{RpcCall, RpcNotification, RpcResponse, encode};
use self::read::read;
use self::write::write;
use super::call_error::CallError;
use super::pending::{PendingCalls, RpcResult};
use super::protocol::{Nothing, TOOL_CALL};
use super::server_requests;
use super::turn::{CredentialOutcome, SharedTurn};
use airlock_base::task::Tasks;

/// Lines that may be queued for the child's stdin. The cap on calls is far lower, so only a child that sends requests without
/// reading can fill the queue.
const LINES: usize = 1024;

/// KiB of large messages in flight to the child. Each is in memory twice while it is written, and all candidates of a fan-out
/// send the same history. Messages of less than `LARGE_MESSAGE_KIB` are not counted.
const LARGE_MESSAGES_KIB: u32 = 32 << 10;
const LARGE_MESSAGE_KIB: u32 = 256;

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) call_timeout: Duration,
    pub(super) calls_in_flight: usize,
    pub(super) line_bytes: usize,
}

/// A handle to one child's stdio. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    inner: Arc<ConnectionInner>,
}

#[derive(Debug)]
struct ConnectionInner {
    lines: mpsc::Sender<Bytes>,
    pending: Mutex<PendingCalls>,
    turns: Mutex<HashMap<String, Arc<SharedTurn>>>,
    in_flight: Semaphore,
    large_messages: Semaphore,
    call_timeout: Duration,
    /// Lines that the child has written.
    lines_read: AtomicU64,
    opened: Instant,
    /// When the child last wrote anything, in milliseconds since `opened`.
    last_output: AtomicU64,
    closed: CancellationToken,
    /// Ends the writer, which closes the child's stdin. Also cancelled when the writer ends by itself.
    stdin_closed: CancellationToken,
    /// Whether the model refused the account's credentials in the last turn that shows it.
    refused: watch::Sender<bool>,
    /// The subscriber to messages about the account.
    account: OnceLock<mpsc::Sender<AccountLine>>,
}

impl Connection {
    /// Opens a connection over the child's pipes.
    pub(super) fn open(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        limits: ConnectionLimits,
        tasks: &Tasks,
    ) -> Self {
        let (lines, outgoing) = mpsc::channel(LINES);
        let connection = Self {
            inner: Arc::new(ConnectionInner {
                lines,
                pending: Mutex::default(),
                turns: Mutex::default(),
                in_flight: Semaphore::new(limits.calls_in_flight),
                large_messages: Semaphore::new(
                    usize::try_from(LARGE_MESSAGES_KIB).unwrap_or(usize::MAX),
                ),
                call_timeout: limits.call_timeout,
                lines_read: AtomicU64::new(0),
                opened: Instant::now(),
                last_output: AtomicU64::new(0),
                closed: CancellationToken::new(),
                stdin_closed: CancellationToken::new(),
                refused: watch::Sender::default(),
                account: OnceLock::new(),
            }),
        };
        let inner = connection.inner.clone();
        tasks.spawn("codex-writer", async move {
            // A broken pipe does not close the connection: the rest of stdout is read first.
            if let Err(error) = write(stdin, outgoing, &inner.stdin_closed).await {
                tracing::debug!(%error, "codex no longer reads");
            }
            inner.stdin_closed.cancel();
        });
        let close = CloseGuard(connection.inner.clone());
        tasks.spawn("codex-reader", async move {
            if let Err(error) = read(stdout, &close.0, limits.line_bytes).await {
                tracing::warn!(%error, "reading from codex failed");
            }
        });
        connection
    }

    /// Calls a method and waits for the response. The call timeout includes the wait for a permit: with more than about 200
    /// calls in flight, Codex never answers some (0.169.0).
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<R, CallError> {
        let response =
            tokio::time::timeout(self.inner.call_timeout, self.call_capped(method, params))
                .await
                .map_err(|_elapsed| CallError::TimedOut)???;
        serde_json::from_str(response.get()).map_err(CallError::Malformed)
    }

    async fn call_capped(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<RpcResult, CallError> {
        let permit = self.inner.in_flight.acquire().await;
        let _permit = permit.map_err(|_closed| CallError::Closed)?;
        self.send_call(method, params).await
    }

    /// Reserves memory for a call of about this size until the permit is dropped. Calls of less than 256 KiB need none, so
    /// they never wait for large ones.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, CallError> {
        let kib = match u32::try_from(bytes >> 10) {
            Ok(kib) if kib < LARGE_MESSAGE_KIB => 0,
            Ok(kib) => kib.min(LARGE_MESSAGES_KIB),
            Err(_) => LARGE_MESSAGES_KIB,
        };
        let permit = self.inner.large_messages.acquire_many(kib).await;
        permit.map_err(|_closed| CallError::Closed)
    }

    /// Makes a call outside the cap on calls in flight, to show whether the child still responds.
    pub(super) async fn probe(&self, method: &'static str) {
        // Any response shows that, an error included.
        let _ = self.send_call(method, &Nothing {}).await;
    }

    async fn send_call(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<RpcResult, CallError> {
        let inner = &*self.inner;
        let (id, response) = inner.pending.lock().open().ok_or(CallError::Closed)?;
        let _guard = PendingCallGuard {
            pending: &inner.pending,
            id,
        };
        let line = encode(&RpcCall { id, method, params })?;
        inner
            .lines
            .send(line)
            .await
            .map_err(|_closed| CallError::Closed)?;
        response.await.map_err(|_closed| CallError::Closed)
    }

    /// Responds to a request from Codex.
    pub(super) async fn respond(&self, id: &RawValue, result: &RawValue) -> Result<(), CallError> {
        let line = encode(&RpcResponse { id, result })?;
        let sent = self.inner.lines.send(line).await;
        sent.map_err(|_closed| CallError::Closed)
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, method: &'static str) -> Result<(), CallError> {
        let line = encode(&RpcNotification { method })?;
        self.inner
            .lines
            .send(line)
            .await
            .map_err(|_closed| CallError::Closed)
    }

    /// Routes the notifications of a thread to its turn. Called before `turn/start` is written, so that notifications that
    /// precede its response are not lost.
    pub(super) fn register(&self, thread: &str, turn: &Arc<SharedTurn>) {
        self.inner
            .turns
            .lock()
            .insert(thread.to_owned(), turn.clone());
        if self.inner.closed.is_cancelled() {
            turn.child_exited();
        }
    }

    /// Whether a turn runs on this thread.
    pub(super) fn has_turn(&self, thread: &str) -> bool {
        self.inner.turns.lock().contains_key(thread)
    }

    /// Removes the route of a thread.
    pub(super) fn release(&self, thread: &str) {
        self.inner.turns.lock().remove(thread);
    }

    /// Completes when the child's stdout has ended and all of it has been read.
    pub(super) async fn closed(&self) {
        self.inner.closed.cancelled().await;
    }

    /// Completes when the child's stdin is closed. Its stdout may still be open.
    pub(super) async fn stdin_closed(&self) {
        self.inner.stdin_closed.cancelled().await;
    }

    /// Whether calls can still be made.
    pub(super) fn is_open(&self) -> bool {
        !self.inner.stdin_closed.is_cancelled() && !self.inner.closed.is_cancelled()
    }

    /// Whether the model refused the account's credentials in the last turn that shows it.
    pub(super) fn refused(&self) -> watch::Receiver<bool> {
        self.inner.refused.subscribe()
    }

    /// Closes the child's stdin, upon which Codex exits.
    pub(super) fn close_stdin(&self) {
        self.inner.stdin_closed.cancel();
    }
}

impl ConnectionInner {
    fn close(&self) {
        self.closed.cancel();
        self.stdin_closed.cancel();
        self.pending.lock().close();
        self.in_flight.close();
        self.large_messages.close();
        for (_, turn) in self.turns.lock().drain() {
            turn.child_exited();
        }
    }

    /// Dispatches a line of stdout. Never waits: the reader serves every turn of this child.
    fn dispatch(&self, text: &[u8]) {
        self.lines_read.fetch_add(1, Ordering::Relaxed);
        match decode::line(text) {
            Ok(RpcMessage::Response { id, result }) => {
                if !self
                    .pending
                    .lock()
                    .settle(id, result.map(ToOwned::to_owned))
                {
                    tracing::debug!(id, "codex answered a call that is not pending");
                }
            }
            Ok(RpcMessage::Request { id, method, params }) => {
                if method == TOOL_CALL && self.forward_tool_request(id, params) {
                    return;
                }
                if self.forward_account_request(&method, id, params) {
                    return;
                }
                tracing::warn!(%method, "refused a request of codex");
                let mut line = server_requests::refusal(id, &method).into_bytes();
                line.push(b'\n');
                if self.lines.try_send(line.into()).is_err() {
                    tracing::warn!(
                        "codex sends requests but does not read: closing the connection"
                    );
                    self.stdin_closed.cancel();
                }
            }
            Ok(RpcMessage::ThreadNotification {
                notification,
                verbatim,
                at,
            }) => {
                let verbatim = verbatim.as_ref();
                let verbatim = verbatim.map(|(method, params)| (method.as_ref(), *params));
                self.forward_to_turn(notification, verbatim, at);
            }
            Ok(RpcMessage::Notification { method, params }) => {
                self.forward_account_notification(&method, params);
            }
            Err(error) => {
                tracing::warn!(%error, bytes = text.len(), "codex wrote a line that is not a message");
            }
        }
    }

    /// Forwards a notification to the turn of its thread, if there is one.
    fn forward_to_turn(
        &self,
        notification: ThreadNotification<'_>,
        verbatim: Option<(&str, &RawValue)>,
        at: u64,
    ) {
        let turn = self.turns.lock().get(notification.thread.as_ref()).cloned();
        let Some(outcome) = turn.and_then(|turn| turn.receive(notification, verbatim, at)) else {
            return;
        };
        let refused = outcome == CredentialOutcome::Refused;
        // Most turns have the same outcome as the last: only a change wakes the receivers.
        self.refused
            .send_if_modified(|known| std::mem::replace(known, refused) != refused);
    }

    /// Forwards a request for a tool's result to its turn. False: no turn with tools runs on its thread.
    fn forward_tool_request(&self, id: &RawValue, params: &RawValue) -> bool {
        let Some(call) = decode::tool_call(params) else {
            return false;
        };
        let turn = self.turns.lock().get(call.thread_id.as_ref()).cloned();
        turn.is_some_and(|turn| turn.tool_requested(&call, id))
    }
}

/// Closes the connection when its reader ends, even by a panic.
struct CloseGuard(Arc<ConnectionInner>);

impl Drop for CloseGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Forgets a pending call when its caller stops waiting.
struct PendingCallGuard<'a> {
    pending: &'a Mutex<PendingCalls>,
    id: u64,
}

impl Drop for PendingCallGuard<'_> {
    fn drop(&mut self) {
        self.pending.lock().forget(self.id);
    }
}

#[cfg(test)]
mod tests;
