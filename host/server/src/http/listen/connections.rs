//! The open connections: how many there may be, and which of them is closed for a new one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// How often the log says that idle connections are closed.
const WARNING: Duration = Duration::from_secs(60);

/// How long a client may take nothing of a response that has ended. Then its connection may be closed for a new one.
const STALLED: Duration = Duration::from_secs(10);

/// How long a new connection has for the first byte of its request before it may be closed for a newer one.
const NEW: Duration = Duration::from_millis(100);

/// How often a connection that waits for a slot looks for one that may be closed: nothing reports that time has passed.
const LOOK: Duration = Duration::from_millis(100);

/// All open connections of a server, at most so many.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    bound: usize,
    started: Instant,
    open: Mutex<OpenConnections>,
    /// One of them has become idle.
    idle: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    states: BTreeMap<u64, Arc<ConnectionState>>,
    warned: Option<Instant>,
}

/// The place of one connection, given up when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    number: u64,
    pub(super) state: Arc<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(bound: usize) -> Arc<Self> {
        let bound = bound.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(bound)),
            bound,
            started: Instant::now(),
            open: Mutex::default(),
            idle: Notify::new(),
        })
    }

    /// A place for a new connection. At the bound, the connection that is idle longest is closed for it; where none is
    /// idle, it waits until one is, or has ended. None: there are no connections any more.
    pub(super) async fn admit(self: &Arc<Self>) -> Option<Slot> {
        loop {
            let idle = self.idle.notified();
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return Some(self.register(permit));
            }
            let permit = Arc::clone(&self.permits).acquire_owned();
            if self.close_idle() {
                return Some(self.register(permit.await.ok()?));
            }
            tokio::select! {
                permit = permit => return Some(self.register(permit.ok()?)),
                () = idle => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Closes the connection that is idle longest. False: none is idle.
    ///
    /// Those that are kept alive after a request go first (a client connects again without notice, RFC 9112 section
    /// 9.3.1), then those whose first request is not there, and then those whose client takes nothing of a response that has
    /// ended: it would hold the connection until the system gives it up.
    pub(super) fn close_idle(&self) -> bool {
        let mut open = self.lock();
        let now = self.now();
        let words = open.states.iter().filter_map(|(number, state)| {
            let word = state.word.load(Ordering::Acquire);
            may_close(word, now).then_some(Reverse((word, *number)))
        });
        let mut candidates: BinaryHeap<_> = words.collect();
        while let Some(Reverse((word, number))) = candidates.pop() {
            let Some(state) = open.states.get(&number) else {
                continue;
            };
            // Its request may have come meanwhile.
            if is_idle(word) && state.has_unread() || !state.close(word) {
                continue;
            }
            if open.warned.is_none_or(|warned| warned.elapsed() > WARNING) {
                open.warned = Some(Instant::now());
                tracing::warn!(
                    bound = self.bound,
                    "there are as many connections as there may be (limits.connections): idle ones are closed for new ones"
                );
            }
            return true;
        }
        false
    }

    /// Waits until all have ended, at most so long. True when they have.
    pub(super) async fn ended(&self, wait: Duration) -> bool {
        let all = u32::try_from(self.bound).unwrap_or(u32::MAX);
        timeout(wait, self.permits.acquire_many(all)).await.is_ok()
    }

    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        let state = Arc::new(ConnectionState {
            word: AtomicU64::new(AWAITING_HEAD | self.now()),
            socket: OnceLock::new(),
            closed: Notify::new(),
            connections: Arc::clone(self),
        });
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.states.insert(number, Arc::clone(&state));
        drop(open);
        Slot {
            connections: Arc::clone(self),
            number,
            state,
            _permit: permit,
        }
    }

    /// Microseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX) & TIME
    }

    /// A standard mutex: it is never held across an await.
    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().states.remove(&self.number);
    }
}

/// What a connection does, in the two highest bits of a word, and in the others since when: of two idle connections, the
/// one with the smaller word is closed first.
const KEEP_ALIVE: u64 = 0;
const AWAITING_HEAD: u64 = 1 << 62;
const ACTIVE: u64 = 2 << 62;
/// Its response has ended, and may not have been written whole. The time is that of the last write.
const FLUSHING: u64 = 3 << 62;
/// It is closed for another.
const CLOSED: u64 = u64::MAX;
const TIME: u64 = (1 << 62) - 1;

fn is_idle(word: u64) -> bool {
    word & !TIME <= AWAITING_HEAD
}

fn is_flushing(word: u64) -> bool {
    word != CLOSED && word & !TIME == FLUSHING
}

/// Whether a connection may be closed for another at this time: it is idle and not new, or nothing of its ended response has
/// been taken for too long.
fn may_close(word: u64, now: u64) -> bool {
    let since = Duration::from_micros(now.saturating_sub(word & TIME));
    match word & !TIME {
        KEEP_ALIVE => true,
        AWAITING_HEAD => since >= NEW,
        _ => has_stalled(word, now),
    }
}

fn has_stalled(word: u64, now: u64) -> bool {
    let since = Duration::from_micros(now.saturating_sub(word & TIME));
    is_flushing(word) && since >= STALLED
}

/// What one connection does, and since when.
#[derive(Debug)]
pub(super) struct ConnectionState {
    word: AtomicU64,
    /// The socket, once the connection is served.
    socket: OnceLock<Weak<TcpStream>>,
    closed: Notify,
    connections: Arc<Connections>,
}

impl ConnectionState {
    /// A request's head is there. None: the connection has been closed for another.
    pub(super) fn begin(self: &Arc<Self>) -> Option<ActiveRequest> {
        let begun = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word != CLOSED).then_some(ACTIVE)
            });
        begun.ok().map(|_| ActiveRequest(Arc::clone(self)))
    }

    /// The connection is served on this socket.
    pub(super) fn serve(&self, socket: &Arc<TcpStream>) {
        // A connection has one.
        let _ = self.socket.set(Arc::downgrade(socket));
    }

    /// Whether the system has bytes of its client that were not read yet.
    fn has_unread(&self) -> bool {
        let socket = self.socket.get().and_then(Weak::upgrade);
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        // A client that has closed its half has sent nothing: 0.
        socket.is_some_and(|socket| recv(&socket, &mut [0], peek).is_ok_and(|(_, bytes)| bytes > 0))
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if word & !TIME == KEEP_ALIVE {
            self.change(word, AWAITING_HEAD);
        }
    }

    /// The system has taken some of what there is to write.
    pub(super) fn written(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if is_flushing(word) {
            self.change(word, FLUSHING);
        }
    }

    /// All that there was to write is written.
    pub(super) fn flushed(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if is_flushing(word) {
            self.change(word, KEEP_ALIVE);
            self.connections.idle.notify_one();
        }
    }

    /// Closes the connection if it serves no request and none has come whole, or its client takes nothing of a response that has
    /// ended. False: it is in use.
    pub(super) fn close_if_unused(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        let is_unused = is_idle(word) || has_stalled(word, self.connections.now());
        is_unused && self.close(word)
    }

    /// Completes when the connection is closed for another.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn change(&self, from: u64, to: u64) {
        let to = to | self.connections.now();
        // Where it fails, it has been closed for another.
        let _ = self
            .word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn close(&self, word: u64) -> bool {
        let closed = self
            .word
            .compare_exchange(word, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        if closed.is_ok() {
            self.closed.notify_one();
        }
        closed.is_ok()
    }
}

/// A request whose response has not ended. Its connection is not idle.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<ConnectionState>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let now = self.0.connections.now();
        self.0.word.store(FLUSHING | now, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
