//! Admission: the policy decides whether a request runs, waits or is refused, within the host's limits of turns and of the
//! queue.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
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

/// The largest `Retry-After`, in seconds. SDKs honour up to a minute, and retry only twice.
const MAX_RETRY_AFTER: u64 = 10;

/// How many turns run and how many requests wait, for operators.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Occupancy {
    /// Turns that run.
    pub running: u64,
    /// How many turns may run at once now, by the adaptive limit.
    pub capacity: u64,
    /// How many turns may ever run at once (`limits.turns`).
    pub limit: u64,
    /// Requests that wait for turns.
    pub waiting: u64,
    /// How long the first of them has waited, in milliseconds.
    pub longest_wait_ms: u64,
}

/// The semaphore of turns, and the queue in front of it.
pub(super) struct Admission {
    semaphore: ResizableSemaphore,
    queue: WaitQueue,
    longest_wait: Duration,
}

impl Admission {
    pub(super) fn new(limits: &ServerLimits, turns: usize) -> Self {
        Self {
            semaphore: ResizableSemaphore::new(turns),
            queue: WaitQueue {
                waiting: Mutex::default(),
                capacity: limits.queue,
            },
            longest_wait: limits.queue_wait,
        }
    }

    /// Resizes the semaphore with the capacity in the channel. Returns when its sender is dropped.
    pub(super) async fn follow(&self, mut capacity: watch::Receiver<usize>) {
        while capacity.changed().await.is_ok() {
            self.semaphore.resize(*capacity.borrow_and_update());
        }
    }

    /// Waits for a permit for each of these turns, if the policy admits the request. The permits are acquired together:
    /// requests that held some while they waited for others could deadlock.
    ///
    /// # Errors
    /// The policy's refusal or fault; `too_many_turns`; `gateway_busy`: the queue is full, or no permit came in time.
    pub(super) async fn enter(
        &self,
        session: &mut Session,
        wanted: usize,
        metrics: &RequestMetrics,
    ) -> Result<Vec<Permit>, Failure> {
        match session.decide(self.load(wanted)).await? {
            wit::Admission::Run | wit::Admission::Wait => self.permits(wanted, metrics).await,
            wit::Admission::Refuse(problem) => Err(problem.into()),
        }
    }

    /// How many turns run, and how many requests wait.
    pub(super) fn turns(&self) -> Occupancy {
        let (waiting, longest_wait) = self.queue.length();
        Occupancy {
            running: self.semaphore.held() as u64,
            capacity: self.semaphore.capacity() as u64,
            limit: self.semaphore.limit() as u64,
            waiting: waiting as u64,
            longest_wait_ms: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn load(&self, wanted: usize) -> Load {
        let (waiting, longest_wait) = self.queue.length();
        Load {
            wanted: count(wanted),
            running: count(self.semaphore.held()),
            waiting: count(waiting),
            capacity: count(self.semaphore.capacity()),
            room: count(self.queue.capacity),
            longest_wait: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Waits for the permits of this many turns. First come, first served.
    async fn permits(
        &self,
        wanted: usize,
        metrics: &RequestMetrics,
    ) -> Result<Vec<Permit>, Failure> {
        if wanted > self.semaphore.limit() {
            return Err(self.too_many(wanted));
        }
        if let Some(permits) = self.semaphore.try_acquire(wanted) {
            metrics.queued(Duration::ZERO);
            return Ok(permits);
        }
        let _entry = self
            .queue
            .enter(metrics)
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
        let seconds = self.longest_wait.as_secs().clamp(1, MAX_RETRY_AFTER);
        Failure::new(
            ProblemKind::Overloaded,
            "gateway_busy",
            format!("{what}: the gateway is busy. Try again later."),
        )
        .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

/// The queue of requests that wait for permits.
struct WaitQueue {
    /// When each request began to wait, by its number in order of arrival.
    waiting: Mutex<BTreeMap<u64, Instant>>,
    capacity: usize,
}

impl WaitQueue {
    /// Adds a request. None: the queue is full.
    fn enter<'a>(&'a self, metrics: &'a RequestMetrics) -> Option<QueueEntry<'a>> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.capacity {
            return None;
        }
        let number = waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        waiting.insert(number, Instant::now());
        Some(QueueEntry {
            queue: self,
            number,
            metrics,
        })
    }

    /// How many requests wait, and how long the first of them has.
    fn length(&self) -> (usize, Duration) {
        let waiting = self.waiting.lock();
        let first = waiting.first_key_value().map(|(_, since)| since.elapsed());
        (waiting.len(), first.unwrap_or_default())
    }
}

/// The entry of a request in the queue, removed on drop, also when the client leaves.
struct QueueEntry<'a> {
    queue: &'a WaitQueue,
    number: u64,
    metrics: &'a RequestMetrics,
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        let since = self.queue.waiting.lock().remove(&self.number);
        if let Some(since) = since {
            self.metrics.queued(since.elapsed());
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
