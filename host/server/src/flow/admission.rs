//! Who may start a turn now, who waits in line, and who is sent away. The policy decides; the bounds hold whatever it
//! says.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::config::ServerLimits;
use airlock_base::resizable_semaphore::ResizableSemaphore;
use airlock_codex::Permit;
use airlock_metrics::RequestMetrics;
use airlock_policy::Session;
use airlock_types::failure::Failure;
use airlock_types::wit::{self, Load, ProblemKind};

/// The longest wait that a client is told, in seconds. SDKs wait up to a minute and try only twice more.
const RETRY_AT_MOST: u64 = 10;

/// Turns and the line in front of them, as operators see them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Occupancy {
    /// Turns that run.
    pub running: u64,
    /// How many may run at once now: it follows what Codex is seen to manage.
    pub capacity: u64,
    /// How many ever may (`limits.turns`).
    pub limit: u64,
    /// Requests that wait for turns.
    pub waiting: u64,
    /// How long the first of them has waited.
    pub longest_wait_ms: u64,
}

/// The turns that may run, and the line in front of them.
pub(super) struct Admission {
    semaphore: ResizableSemaphore,
    line: Line,
    longest_wait: Duration,
}

impl Admission {
    pub(super) fn new(limits: &ServerLimits, turns: usize) -> Self {
        Self {
            semaphore: ResizableSemaphore::new(turns),
            line: Line {
                waiting: Mutex::default(),
                room: limits.queue,
            },
            longest_wait: limits.queue_wait,
        }
    }

    /// Follows the capacity that the channel has, as long as its sender is there.
    pub(super) async fn follow(&self, mut capacity: watch::Receiver<usize>) {
        while capacity.changed().await.is_ok() {
            self.semaphore.resize(*capacity.borrow_and_update());
        }
    }

    /// A permit for each of so many turns, once the policy and the bounds let the request in. All of them come at
    /// once: requests that held some while they waited for others could wait for one another.
    pub(super) async fn enter(
        &self,
        session: &mut Session,
        wanted: usize,
        trail: &RequestMetrics,
    ) -> Result<Vec<Permit>, Failure> {
        match session.decide(self.load(wanted)).await? {
            wit::Admission::Run | wit::Admission::Wait => self.permits(wanted, trail).await,
            wit::Admission::Refuse(problem) => Err(problem.into()),
        }
    }

    /// The turns that run, and the requests that wait for some.
    pub(super) fn turns(&self) -> Occupancy {
        let (waiting, longest_wait) = self.line.length();
        Occupancy {
            running: self.semaphore.held() as u64,
            capacity: self.semaphore.capacity() as u64,
            limit: self.semaphore.limit() as u64,
            waiting: waiting as u64,
            longest_wait_ms: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn load(&self, wanted: usize) -> Load {
        let (waiting, longest_wait) = self.line.length();
        Load {
            wanted: count(wanted),
            running: count(self.semaphore.held()),
            waiting: count(waiting),
            capacity: count(self.semaphore.capacity()),
            room: count(self.line.room),
            longest_wait: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The next free turns. First come, first served: permits that are given back go to whoever waits longest.
    async fn permits(&self, wanted: usize, trail: &RequestMetrics) -> Result<Vec<Permit>, Failure> {
        if wanted > self.semaphore.limit() {
            return Err(self.too_many(wanted));
        }
        if let Some(permits) = self.semaphore.try_acquire(wanted) {
            trail.queued(Duration::ZERO);
            return Ok(permits);
        }
        let _place = self
            .line
            .enter(trail)
            .ok_or_else(|| self.busy("The line for a turn is full"))?;
        let permits = timeout(self.longest_wait, self.semaphore.acquire(wanted)).await;
        permits.map_err(|_elapsed| self.busy("No turn came free in time"))
    }

    fn too_many(&self, wanted: usize) -> Failure {
        let message = format!(
            "This request needs {wanted} turns at once, and the gateway runs at most {}.",
            self.semaphore.limit()
        );
        Failure::new(ProblemKind::Unsupported, "too_many_turns", message)
    }

    fn busy(&self, what: &str) -> Failure {
        let seconds = self.longest_wait.as_secs().clamp(1, RETRY_AT_MOST);
        Failure::new(
            ProblemKind::Overloaded,
            "gateway_busy",
            format!("{what}: the gateway is busy. Try again later."),
        )
        .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

/// Who waits, and since when.
struct Line {
    /// By the order in which they came.
    waiting: Mutex<BTreeMap<u64, Instant>>,
    room: usize,
}

impl Line {
    fn enter<'a>(&'a self, trail: &'a RequestMetrics) -> Option<Place<'a>> {
        let mut waiting = self.lock();
        if waiting.len() >= self.room {
            return None;
        }
        let number = waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        waiting.insert(number, Instant::now());
        Some(Place {
            line: self,
            number,
            trail,
        })
    }

    /// How many wait, and how long the first of them has.
    fn length(&self) -> (usize, Duration) {
        let waiting = self.lock();
        let first = waiting.first_key_value().map(|(_, since)| since.elapsed());
        (waiting.len(), first.unwrap_or_default())
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line, given up when dropped: also by a client that leaves.
struct Place<'a> {
    line: &'a Line,
    number: u64,
    /// Whose place it is.
    trail: &'a RequestMetrics,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let since = self.line.lock().remove(&self.number);
        if let Some(since) = since {
            self.trail.queued(since.elapsed());
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
