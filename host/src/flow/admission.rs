//! Who may start a turn now, who waits in line, and who is sent away. The policy decides; the bounds hold whatever it
//! says.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::codex::Permit;
use crate::config::Limits;
use crate::failure::Failure;
use crate::policy::Session;
use crate::wit::{self, Load, ProblemKind};

/// The longest wait that a client is told, in seconds. SDKs wait up to a minute and try only twice more.
const RETRY_AT_MOST: u64 = 10;

/// The turns that may run, and the line in front of them.
pub(super) struct Admission {
    turns: Arc<Semaphore>,
    line: Line,
    capacity: usize,
    longest_wait: Duration,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.turns)),
            line: Line {
                waiting: Mutex::default(),
                room: limits.queue,
            },
            capacity: limits.turns,
            longest_wait: limits.queue_wait,
        }
    }

    /// A permit for each of so many turns, once the policy and the bounds let the request in. All of them come at
    /// once: requests that held some while they waited for others could wait for one another.
    pub(super) async fn enter(
        &self,
        session: &mut Session,
        wanted: usize,
    ) -> Result<Vec<Permit>, Failure> {
        match session.decide(self.load(wanted)).await? {
            wit::Admission::Run | wit::Admission::Wait => self.permits(wanted).await,
            wit::Admission::Refuse(problem) => Err(problem.into()),
        }
    }

    /// How many turns run, and how many requests wait for some.
    pub(super) fn turns(&self) -> (u64, u64) {
        let (waiting, _) = self.line.length();
        (self.running() as u64, waiting as u64)
    }

    fn running(&self) -> usize {
        self.capacity.saturating_sub(self.turns.available_permits())
    }

    fn load(&self, wanted: usize) -> Load {
        let running = self.running();
        let (waiting, longest_wait) = self.line.length();
        Load {
            wanted: count(wanted),
            running: count(running),
            waiting: count(waiting),
            capacity: count(self.capacity),
            room: count(self.line.room),
            longest_wait: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The next free turns. First come, first served: permits that are given back go to whoever waits longest.
    async fn permits(&self, wanted: usize) -> Result<Vec<Permit>, Failure> {
        if wanted > self.capacity {
            return Err(self.too_many(wanted));
        }
        let many = count(wanted);
        if let Ok(permits) = Arc::clone(&self.turns).try_acquire_many_owned(many) {
            return Ok(each(permits));
        }
        let _place = self
            .line
            .enter()
            .ok_or_else(|| self.busy("The line for a turn is full"))?;
        let permits = Arc::clone(&self.turns).acquire_many_owned(many);
        match timeout(self.longest_wait, permits).await {
            Ok(Ok(permits)) => Ok(each(permits)),
            // Nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => Err(self.busy("No turn came free in time")),
        }
    }

    fn too_many(&self, wanted: usize) -> Failure {
        let message = format!(
            "This request needs {wanted} turns at once, and the gateway runs at most {}.",
            self.capacity
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
    fn enter(&self) -> Option<Place<'_>> {
        let mut waiting = self.lock();
        if waiting.len() >= self.room {
            return None;
        }
        let number = waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        waiting.insert(number, Instant::now());
        Some(Place { line: self, number })
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
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.lock().remove(&self.number);
    }
}

/// Many permits as one each.
fn each(mut permits: OwnedSemaphorePermit) -> Vec<Permit> {
    let mut single = Vec::with_capacity(permits.num_permits());
    while let Some(permit) = permits.split(1) {
        single.push(Arc::new(permit));
    }
    single
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
