//! Who may start a turn now, who waits in line, and who is sent away. The policy decides; the bounds hold whatever it
//! says.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

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
    waiting: AtomicUsize,
    capacity: usize,
    room: usize,
    longest_wait: Duration,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.turns)),
            waiting: AtomicUsize::new(0),
            capacity: limits.turns,
            room: limits.queue,
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

    fn load(&self, wanted: usize) -> Load {
        let running = self.capacity.saturating_sub(self.turns.available_permits());
        Load {
            wanted: count(wanted),
            running: count(running),
            waiting: count(self.waiting.load(Ordering::Relaxed)),
            capacity: count(self.capacity),
            room: count(self.room),
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
            .line_up()
            .ok_or_else(|| self.busy("The line for a turn is full"))?;
        let permits = Arc::clone(&self.turns).acquire_many_owned(many);
        match timeout(self.longest_wait, permits).await {
            Ok(Ok(permits)) => Ok(each(permits)),
            // Nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => Err(self.busy("No turn came free in time")),
        }
    }

    fn line_up(&self) -> Option<Place<'_>> {
        let place = |waiting: usize| (waiting < self.room).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, place)
            .ok()?;
        Some(Place(&self.waiting))
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

/// A place in the line, given up when dropped: also by a client that leaves.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
