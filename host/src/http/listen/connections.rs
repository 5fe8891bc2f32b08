//! The open connections: how many there may be, and which of them is closed for a new one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// How often the log says that idle connections are closed.
const WARNING: Duration = Duration::from_secs(60);

/// How long a client may take nothing of a response that has ended. Then its connection may be closed for a new one.
const STALLED: Duration = Duration::from_secs(10);

/// How often a new connection looks whether a response has stalled.
const LOOK: Duration = Duration::from_secs(1);

/// All open connections of a server, at most so many.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    bound: usize,
    started: Instant,
    open: Mutex<Open>,
    /// One of them has become idle.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Open {
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
                // Nothing reports that a response has stalled.
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
        loop {
            let states = open.states.values();
            let longest = states
                .map(|state| (state.word.load(Ordering::Acquire), state))
                .filter(|(word, _)| is_idle(*word) || has_stalled(*word, now))
                .min_by_key(|(word, _)| *word);
            let Some((word, state)) = longest else {
                return false;
            };
            // Its request may have come meanwhile.
            if !state.close(word) {
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
    }

    /// Waits until all have ended, at most so long. True when they have.
    pub(super) async fn ended(&self, wait: Duration) -> bool {
        let all = u32::try_from(self.bound).unwrap_or(u32::MAX);
        timeout(wait, self.permits.acquire_many(all)).await.is_ok()
    }

    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        let state = Arc::new(ConnectionState {
            word: AtomicU64::new(AWAITING_HEAD | self.now()),
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
    fn lock(&self) -> MutexGuard<'_, Open> {
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
const KEPT_ALIVE: u64 = 0;
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

/// Whether nothing of an ended response has been taken for too long, at this time.
fn has_stalled(word: u64, now: u64) -> bool {
    let since = Duration::from_micros(now.saturating_sub(word & TIME));
    is_flushing(word) && since >= STALLED
}

/// What one connection does, and since when.
#[derive(Debug)]
pub(super) struct ConnectionState {
    word: AtomicU64,
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

    /// Bytes have come.
    pub(super) fn received(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if word & !TIME == KEPT_ALIVE {
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
            self.change(word, KEPT_ALIVE);
            self.connections.idle.notify_one();
        }
    }

    /// Closes the connection if it serves no request and none has come whole. False: it is not idle.
    pub(super) fn close_if_idle(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        is_idle(word) && self.close(word)
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Whether a connection has been closed for another.
    fn is_closed(slot: &Slot) -> bool {
        slot.state.word.load(Ordering::Relaxed) == CLOSED
    }

    /// Has a connection served a request, and its response written.
    fn serve(slot: &Slot) {
        drop(slot.state.begin().unwrap());
        slot.state.flushed();
    }

    #[tokio::test]
    async fn the_longest_kept_alive_goes_first_and_then_the_longest_without_a_head() {
        let connections = Connections::new(5);
        let mut slots = Vec::new();
        for _ in 0..5 {
            slots.push(connections.admit().await.unwrap());
        }
        let active = slots[0].state.begin().unwrap();
        serve(&slots[4]);
        // The words are in microseconds.
        let then = connections.now();
        while connections.now() == then {}
        serve(&slots[3]);
        // Equal ones go in the order in which they came.
        for expected in [4, 3, 1, 2] {
            assert!(connections.close_idle());
            let closed: Vec<usize> = (0..5).filter(|number| is_closed(&slots[*number])).collect();
            assert!(closed.contains(&expected), "{expected} not in {closed:?}");
        }
        assert!(!connections.close_idle(), "the active one is never closed");
        drop(active);
        assert!(!connections.close_idle(), "its response may not be written");
        slots[0].state.flushed();
        assert!(connections.close_idle());
    }

    #[test]
    fn a_response_stalls_when_nothing_of_it_is_taken_for_a_while() {
        let micros = u64::try_from(STALLED.as_micros()).unwrap();
        assert!(has_stalled(FLUSHING | 5, 5 + micros));
        assert!(!has_stalled(FLUSHING | 6, 5 + micros));
        for word in [KEPT_ALIVE | 5, AWAITING_HEAD | 5, ACTIVE | 5, CLOSED] {
            assert!(!has_stalled(word, TIME), "{word:x}");
        }
    }

    #[tokio::test]
    async fn a_write_puts_off_that_a_response_stalls() {
        let connections = Connections::new(1);
        let slot = connections.admit().await.unwrap();
        drop(slot.state.begin().unwrap());
        let before = slot.state.word.load(Ordering::Relaxed);
        while connections.now() == before & TIME {}
        slot.state.written();
        let after = slot.state.word.load(Ordering::Relaxed);
        assert!(is_flushing(after) && after > before);
        // One that serves a request is not idle, and one that was closed stays so.
        assert!(!slot.state.close_if_idle());
        slot.state.flushed();
        assert!(slot.state.close_if_idle() && is_closed(&slot));
        slot.state.written();
        assert!(is_closed(&slot));
    }

    #[tokio::test]
    async fn at_the_bound_a_new_one_waits_for_whoever_is_idle_or_ends() {
        let connections = Connections::new(1);
        let first = connections.admit().await.unwrap();
        let active = first.state.begin().unwrap();
        let state = Arc::clone(&first.state);
        let ends = async {
            drop(active);
            state.flushed();
            state.closed().await;
            assert!(state.begin().is_none(), "a request that comes too late");
            drop(first);
        };
        let (second, ()) = tokio::join!(connections.admit(), ends);
        let second = second.unwrap();
        let busy = second.state.begin().unwrap();
        let (third, ()) = tokio::join!(connections.admit(), async {
            drop(busy);
            drop(second);
        });
        assert!(third.is_some());
        assert!(!connections.ended(Duration::from_millis(1)).await);
        drop(third);
        assert!(connections.ended(Duration::from_secs(20)).await);
    }
}
