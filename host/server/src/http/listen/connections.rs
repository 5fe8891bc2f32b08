//! The open connections: their limit, and the choice of an idle one to close for a new one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// The shortest time between two warnings that idle connections are closed.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// How long a client may receive nothing of a response that has ended, before its connection may be closed for a new one.
const STALLED: Duration = Duration::from_secs(10);

/// How long a new connection may take to send its first byte, before it may be closed for a newer one.
const FIRST_BYTE: Duration = Duration::from_millis(100);

/// How often a waiting connection looks for one that may be closed, which depends on time.
const POLL: Duration = Duration::from_millis(100);

/// All open connections of a server, at most `bound`.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    bound: usize,
    started: Instant,
    open: Mutex<OpenConnections>,
    /// Notified when a connection has become idle.
    idle: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    states: BTreeMap<u64, Arc<ConnectionState>>,
    warned: Option<Instant>,
}

/// The slot of one connection, released on drop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    pub(super) state: Arc<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// No connections yet.
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

    /// A slot for a new connection. At the bound, the connection that has been idle longest is closed for it. If none is idle,
    /// this waits until one is, or has ended. None: the semaphore is closed.
    pub(super) async fn admit(self: &Arc<Self>) -> Option<ConnectionSlot> {
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
                () = sleep(POLL) => {}
            }
        }
    }

    /// Closes the connection that has been idle longest. False: none is idle.
    ///
    /// The order: connections that are kept alive after a request (clients reconnect by themselves, RFC 9112 §9.3.1), then
    /// those without a first request, then those whose client receives nothing of a response that has ended.
    pub(super) fn close_idle(&self) -> bool {
        let mut open = self.open.lock();
        let now = self.now();
        let idle = open.states.iter().filter_map(|(number, state)| {
            let packed = state.packed.load(Ordering::Acquire);
            may_close(packed, now).then_some(Reverse((packed, *number)))
        });
        let mut candidates: BinaryHeap<_> = idle.collect();
        while let Some(Reverse((packed, number))) = candidates.pop() {
            let Some(state) = open.states.get(&number) else {
                continue;
            };
            // The next request may have arrived unread.
            if is_idle(packed) && state.has_unread() || !state.close(packed) {
                continue;
            }
            if open
                .warned
                .is_none_or(|warned| warned.elapsed() > WARNING_INTERVAL)
            {
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

    /// Waits at most this long until all have ended. True: they have.
    pub(super) async fn ended(&self, wait: Duration) -> bool {
        let all = u32::try_from(self.bound).unwrap_or(u32::MAX);
        timeout(wait, self.permits.acquire_many(all)).await.is_ok()
    }

    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> ConnectionSlot {
        let state = Arc::new(ConnectionState {
            packed: AtomicU64::new(AWAITING_HEAD | self.now()),
            socket: OnceLock::new(),
            closed: Notify::new(),
            connections: Arc::clone(self),
        });
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.states.insert(number, Arc::clone(&state));
        drop(open);
        ConnectionSlot {
            connections: Arc::clone(self),
            number,
            state,
            _permit: permit,
        }
    }

    /// Microseconds since the server's start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX) & TIME
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.open.lock().states.remove(&self.number);
    }
}

/// A connection's phase is in the two highest bits of its packed state, and the time since when in the others. Of two
/// idle connections, the one with the smaller value is closed first.
const KEEP_ALIVE: u64 = 0;
const AWAITING_HEAD: u64 = 1 << 62;
const ACTIVE: u64 = 2 << 62;
/// The response has ended, but is perhaps not written completely. The time is that of the last write.
const FLUSHING: u64 = 3 << 62;
/// The connection is closed for another.
const CLOSED: u64 = u64::MAX;
const TIME: u64 = (1 << 62) - 1;

fn is_idle(packed: u64) -> bool {
    packed & !TIME <= AWAITING_HEAD
}

fn is_flushing(packed: u64) -> bool {
    packed != CLOSED && packed & !TIME == FLUSHING
}

/// Whether a connection may be closed for another now: it is idle and not new, or its client has received nothing of an ended
/// response for `STALLED`.
fn may_close(packed: u64, now: u64) -> bool {
    let since = Duration::from_micros(now.saturating_sub(packed & TIME));
    match packed & !TIME {
        KEEP_ALIVE => true,
        AWAITING_HEAD => since >= FIRST_BYTE,
        _ => has_stalled(packed, now),
    }
}

fn has_stalled(packed: u64, now: u64) -> bool {
    let since = Duration::from_micros(now.saturating_sub(packed & TIME));
    is_flushing(packed) && since >= STALLED
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    packed: AtomicU64,
    /// The socket, once the connection is served.
    socket: OnceLock<Weak<TcpStream>>,
    closed: Notify,
    connections: Arc<Connections>,
}

impl ConnectionState {
    /// Marks the connection active: a request's head has arrived. None: the connection is closed for another.
    pub(super) fn begin(self: &Arc<Self>) -> Option<ActiveRequest> {
        let begun = self
            .packed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |packed| {
                (packed != CLOSED).then_some(ACTIVE)
            });
        begun.ok().map(|_| ActiveRequest(Arc::clone(self)))
    }

    /// Sets the socket of the connection.
    pub(super) fn serve(&self, socket: &Arc<TcpStream>) {
        // A connection is served once, so this cannot fail.
        let _ = self.socket.set(Arc::downgrade(socket));
    }

    /// Whether the system has unread bytes of the client.
    fn has_unread(&self) -> bool {
        let socket = self.socket.get().and_then(Weak::upgrade);
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        // 0 bytes: the client has closed its half.
        socket.is_some_and(|socket| recv(&socket, &mut [0], peek).is_ok_and(|(_, bytes)| bytes > 0))
    }

    /// Records that bytes were received.
    pub(super) fn received(&self) {
        let packed = self.packed.load(Ordering::Relaxed);
        if packed & !TIME == KEEP_ALIVE {
            self.change(packed, AWAITING_HEAD);
        }
    }

    /// Records that some bytes were written.
    pub(super) fn written(&self) {
        let packed = self.packed.load(Ordering::Relaxed);
        if is_flushing(packed) {
            self.change(packed, FLUSHING);
        }
    }

    /// Records that all bytes were written.
    pub(super) fn flushed(&self) {
        let packed = self.packed.load(Ordering::Relaxed);
        if is_flushing(packed) {
            self.change(packed, KEEP_ALIVE);
            self.connections.idle.notify_one();
        }
    }

    /// Closes the connection if it is idle, or if its client receives nothing of an ended response. False: it is in use.
    pub(super) fn close_if_unused(&self) -> bool {
        let packed = self.packed.load(Ordering::Acquire);
        let is_unused = is_idle(packed) || has_stalled(packed, self.connections.now());
        is_unused && self.close(packed)
    }

    /// Completes when the connection is closed for another.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn change(&self, from: u64, to: u64) {
        let to = to | self.connections.now();
        // It fails if the connection was closed for another.
        let _ = self
            .packed
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn close(&self, packed: u64) -> bool {
        let closed =
            self.packed
                .compare_exchange(packed, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        if closed.is_ok() {
            self.closed.notify_one();
        }
        closed.is_ok()
    }
}

/// A request whose response has not ended. Until it is dropped, the connection is not idle.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<ConnectionState>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let now = self.0.connections.now();
        self.0.packed.store(FLUSHING | now, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
