//! JSON-RPC over a child's stdio: one task reads, one writes, and neither waits for the other or for a client.

mod account; // what concerns the account, and who hears it
mod liveness; // whether the child responds
mod message; // what we say, as lines
mod write; // lines to a child's stdin

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use airlock_wire::decode::{self, Line, RpcError};
use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use self::account::AccountLine;
pub(super) use self::liveness::WeakConnection;
use self::message::{Call, Notice, Reply, encode};
use self::write::write;
use super::pending::{Answer, Pending};
use super::protocol::{Nothing, TOOL_CALL};
use super::requests;
use super::turn::{Shared, TurnNotice};
use airlock_base::task::Tasks;

/// Lines that may wait for the child's stdin. Calls are capped far below, so only a child that has stopped reading
/// while it asks and asks can fill it.
const LINES: usize = 1024;

/// KiB of messages under way to the child at once, as far as they are large: each is as large again while it is written,
/// and twenty candidates say the same.
const ROOM_KIB: u32 = 32 << 10;
const ROOMLESS_KIB: u32 = 256;

/// Bytes read from the child at once.
const READ_BYTES: usize = 256 << 10;

/// Why a call brought no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The child is gone.
    #[error("the connection to codex is closed")]
    Closed,
    /// No answer within the deadline.
    #[error("codex did not answer in time")]
    TimedOut,
    /// Codex answered with an error.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// Codex answered with something we do not know.
    #[error("codex answered something unexpected")]
    Malformed(#[source] serde_json::Error),
}

/// What may be set about a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) call_timeout: Duration,
    pub(super) calls_in_flight: usize,
    pub(super) line_bytes: usize,
}

/// A handle to one child's stdio. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    lines: mpsc::Sender<Bytes>,
    /// Standard mutexes: held for a few instructions, never across an await.
    pending: Mutex<Pending>,
    turns: Mutex<HashMap<String, Arc<Shared>>>,
    in_flight: Semaphore,
    room: Semaphore,
    call_timeout: Duration,
    /// Lines that the child has written.
    heard: AtomicU64,
    opened: Instant,
    /// When the child last wrote anything, in milliseconds since `opened`.
    spoke: AtomicU64,
    closed: CancellationToken,
    /// Ends the writer, and with it the child's stdin; or the writer has ended by itself.
    hang_up: CancellationToken,
    /// Whether the last turn that tells failed because the account was refused.
    refused: watch::Sender<bool>,
    /// Who hears what concerns the account.
    account: OnceLock<mpsc::Sender<AccountLine>>,
}

impl Connection {
    /// Speaks over these pipes.
    pub(super) fn open(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        bounds: Bounds,
        tasks: &Tasks,
    ) -> Self {
        let (lines, outgoing) = mpsc::channel(LINES);
        let connection = Self {
            inner: Arc::new(Inner {
                lines,
                pending: Mutex::default(),
                turns: Mutex::default(),
                in_flight: Semaphore::new(bounds.calls_in_flight),
                room: Semaphore::new(usize::try_from(ROOM_KIB).unwrap_or(usize::MAX)),
                call_timeout: bounds.call_timeout,
                heard: AtomicU64::new(0),
                opened: Instant::now(),
                spoke: AtomicU64::new(0),
                closed: CancellationToken::new(),
                hang_up: CancellationToken::new(),
                refused: watch::Sender::default(),
                account: OnceLock::new(),
            }),
        };
        let inner = connection.inner.clone();
        tasks.spawn("codex-writer", async move {
            // A broken pipe alone ends nothing: what Codex still has to say is read first.
            if let Err(error) = write(stdin, outgoing, &inner.hang_up).await {
                tracing::debug!(%error, "codex no longer reads");
            }
            inner.hang_up.cancel();
        });
        let close = Close(connection.inner.clone());
        tasks.spawn("codex-reader", async move {
            if let Err(error) = read(stdout, &close.0, bounds.line_bytes).await {
                tracing::warn!(%error, "reading from codex failed");
            }
        });
        connection
    }

    /// Calls a method and waits for its answer, at most the call timeout.
    ///
    /// Beyond the cap on calls in flight it waits for a place: past about 200, Codex never answers some (0.169.0).
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<R, CallError> {
        let answer = tokio::time::timeout(self.inner.call_timeout, self.exchange(method, params))
            .await
            .map_err(|_elapsed| CallError::TimedOut)???;
        serde_json::from_str(answer.get()).map_err(CallError::Malformed)
    }

    async fn exchange(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<Answer, CallError> {
        let place = self.inner.in_flight.acquire().await;
        let _place = place.map_err(|_closed| CallError::Closed)?;
        self.ask(method, params).await
    }

    /// Room for a call of about so many bytes, to be kept until it is answered. One of less than 256 KiB needs none, and
    /// so never waits behind large ones.
    pub(super) async fn room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, CallError> {
        let kib = match u32::try_from(bytes >> 10) {
            Ok(kib) if kib < ROOMLESS_KIB => 0,
            Ok(kib) => kib.min(ROOM_KIB),
            Err(_) => ROOM_KIB,
        };
        let room = self.inner.room.acquire_many(kib).await;
        room.map_err(|_closed| CallError::Closed)
    }

    /// Asks past the cap on calls in flight, for the one who must know whether the child still answers.
    pub(super) async fn probe(&self, method: &'static str) {
        // Any answer will do, and there is no other use for it.
        let _ = self.ask(method, &Nothing {}).await;
    }

    async fn ask(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<Answer, CallError> {
        let inner = &*self.inner;
        let (id, answer) = lock(&inner.pending).open().ok_or(CallError::Closed)?;
        let _forget = Forget {
            pending: &inner.pending,
            id,
        };
        let line = encode(&Call { id, method, params })?;
        inner
            .lines
            .send(line)
            .await
            .map_err(|_closed| CallError::Closed)?;
        answer.await.map_err(|_closed| CallError::Closed)
    }

    /// Answers a request of Codex's.
    pub(super) async fn answer(&self, id: &RawValue, result: &RawValue) -> Result<(), CallError> {
        let line = encode(&Reply { id, result })?;
        let sent = self.inner.lines.send(line).await;
        sent.map_err(|_closed| CallError::Closed)
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, method: &'static str) -> Result<(), CallError> {
        let line = encode(&Notice { method })?;
        self.inner
            .lines
            .send(line)
            .await
            .map_err(|_closed| CallError::Closed)
    }

    /// From here on, what Codex reports about this thread goes to this turn. Registered before `turn/start` is
    /// written, so nothing that comes ahead of its answer is lost.
    pub(super) fn register(&self, thread: &str, turn: &Arc<Shared>) {
        lock(&self.inner.turns).insert(thread.to_owned(), turn.clone());
        if self.inner.closed.is_cancelled() {
            turn.lost();
        }
    }

    /// Whether a turn runs on this thread.
    pub(super) fn has_turn(&self, thread: &str) -> bool {
        lock(&self.inner.turns).contains_key(thread)
    }

    /// Forgets a thread.
    pub(super) fn release(&self, thread: &str) {
        lock(&self.inner.turns).remove(thread);
    }

    /// Completes when the child's stdout has ended and all of it has been read.
    pub(super) async fn closed(&self) {
        self.inner.closed.cancelled().await;
    }

    /// Completes when nothing more can be written to the child, whatever it may still say.
    pub(super) async fn hung_up(&self) {
        self.inner.hang_up.cancelled().await;
    }

    /// Whether calls can still be made.
    pub(super) fn is_open(&self) -> bool {
        !self.inner.hang_up.is_cancelled() && !self.inner.closed.is_cancelled()
    }

    /// Whether the account is being refused, as far as the last turn told.
    pub(super) fn refused(&self) -> watch::Receiver<bool> {
        self.inner.refused.subscribe()
    }

    /// Closes the child's stdin, upon which Codex exits by itself.
    pub(super) fn hang_up(&self) {
        self.inner.hang_up.cancel();
    }
}

impl Inner {
    fn close(&self) {
        self.closed.cancel();
        self.hang_up.cancel();
        lock(&self.pending).close();
        self.in_flight.close();
        self.room.close();
        for (_, turn) in lock(&self.turns).drain() {
            turn.lost();
        }
    }

    /// Takes one line of stdout. Only computes: the reader serves every turn of this child.
    fn take(&self, text: &[u8]) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        match decode::line(text) {
            Ok(Line::Answer { id, result }) => {
                if !lock(&self.pending).settle(id, result.map(ToOwned::to_owned)) {
                    tracing::debug!(id, "codex answered a call that nobody waits for");
                }
            }
            Ok(Line::Request { id, method, params }) => {
                if method == TOOL_CALL && self.is_called(id, params) {
                    return;
                }
                if self.forward_account_request(&method, id, params) {
                    return;
                }
                tracing::warn!(%method, "refused what codex asked");
                let mut line = requests::refusal(id, &method).into_bytes();
                line.push(b'\n');
                if self.lines.try_send(line.into()).is_err() {
                    tracing::warn!("codex asks but does not read: closing the connection");
                    self.hang_up.cancel();
                }
            }
            Ok(Line::Told { told, verbatim, at }) => self.tell(&told.thread, |running| {
                let verbatim = verbatim.as_ref();
                let verbatim = verbatim.map(|(method, params)| (method.as_ref(), *params));
                running.observe(&told.turn, told.report, verbatim, at)
            }),
            Ok(Line::Notification { method, params }) => {
                self.forward_account_notification(&method, params);
            }
            Err(error) => {
                tracing::warn!(%error, bytes = text.len(), "codex wrote a line that is no message");
            }
        }
    }

    /// Tells the turn of a thread what Codex says of it, if one runs.
    fn tell(&self, thread: &str, tell: impl FnOnce(&Shared) -> TurnNotice) {
        let turn = lock(&self.turns).get(thread).cloned();
        let refused = match turn.map(|turn| tell(&turn)) {
            Some(TurnNotice::AccountRefused) => true,
            Some(TurnNotice::AccountTaken) => false,
            Some(TurnNotice::Turn) | None => return,
        };
        // Each turn tells one or the other: only news wakes whoever waits for it.
        self.refused
            .send_if_modified(|known| std::mem::replace(known, refused) != refused);
    }

    /// Whether this is a call of a tool, of a turn that has tools: its answer is for later.
    fn is_called(&self, id: &RawValue, params: &RawValue) -> bool {
        let Some(call) = decode::tool_call(params) else {
            return false;
        };
        let turn = lock(&self.turns).get(call.thread_id.as_ref()).cloned();
        turn.is_some_and(|turn| turn.called(&call, id))
    }
}

/// Closes the connection when its reader ends, in whatever way.
struct Close(Arc<Inner>);

impl Drop for Close {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Gives a call up when its caller stops waiting.
struct Forget<'a> {
    pending: &'a Mutex<Pending>,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.pending).forget(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads lines to the end. A line beyond the bound is an error: what follows it cannot be trusted.
async fn read(
    mut stdout: impl AsyncRead + Unpin,
    inner: &Inner,
    line_bytes: usize,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    // Bytes of the buffer known to hold no line's end.
    let mut searched = 0;
    loop {
        while let Some(end) = memchr::memchr(b'\n', &buffer[searched..]) {
            let end = searched + end;
            let text = buffer[..end].trim_ascii();
            if !text.is_empty() {
                inner.take(text);
            }
            buffer.advance(end + 1);
            searched = 0;
        }
        searched = buffer.len();
        if searched > line_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line of codex is too long",
            ));
        }
        buffer.reserve(READ_BYTES);
        if stdout.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        inner.speaks();
    }
}

#[cfg(test)]
mod tests;
