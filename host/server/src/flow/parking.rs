//! The parking lot: turns that have called tools of their client and wait for the request that brings the results.
//!
//! A turn here belongs to no request. It keeps nothing of a policy but its digest and the key that its reply gave, and waits for a
//! bounded time among a bounded number: what is dropped is interrupted, and its conversation is laid before a new turn
//! when its client comes back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::ServerLimits;
use airlock_base::task::Tasks;
use airlock_codex::{Parked, Turn};
use airlock_policy::Release;

/// The turns that wait. Clones are the same lot.
#[derive(Clone)]
pub(super) struct Lot {
    shared: Arc<Shared>,
    /// The digest of the release whose keys these are. Another one may say the same of something else.
    release: Arc<str>,
    most: usize,
    time: Duration,
}

struct Shared {
    /// The oldest first: all may wait as long.
    spaces: Mutex<VecDeque<Space>>,
    /// Notified when a turn comes into an empty lot.
    opened: Notify,
}

struct Space {
    /// The release that began the turn.
    release: Arc<str>,
    key: String,
    turn: Parked,
    until: Instant,
}

impl Lot {
    /// An empty one, and the task that watches the time.
    pub(super) fn new(limits: &ServerLimits, tasks: &Tasks) -> Self {
        let shared = Arc::new(Shared {
            spaces: Mutex::default(),
            opened: Notify::new(),
        });
        let (watched, stopping) = (shared.clone(), tasks.clone());
        tasks.spawn("parking", async move {
            tokio::select! {
                () = watched.watch() => {}
                () = stopping.stopping() => watched.lock().clear(),
            }
        });
        Self {
            shared,
            release: "".into(),
            most: limits.parked_turns,
            time: limits.park_time,
        }
    }

    /// The same lot, for the turns of this release.
    pub(super) fn of(&self, release: &Release) -> Self {
        Self {
            release: release.about().digest.as_str().into(),
            ..self.clone()
        }
    }

    /// Has a turn wait under this key. Where there is no room the oldest goes.
    pub(super) fn park(&self, key: String, turn: Turn) {
        let Some(turn) = turn.park().filter(|_| self.most > 0) else {
            return;
        };
        let space = Space {
            release: self.release.clone(),
            key,
            turn,
            until: Instant::now() + self.time,
        };
        let mut spaces = self.shared.lock();
        // Those whose child has ended take no room.
        spaces.retain(|space| space.turn.is_waiting());
        let over = (spaces.len() + 1).saturating_sub(self.most);
        let gone: Vec<Space> = spaces.drain(..over).collect();
        spaces.push_back(space);
        drop(spaces);
        if !gone.is_empty() {
            tracing::debug!(
                turns = gone.len(),
                "no room for turns that wait for results"
            );
        }
        self.shared.opened.notify_one();
    }

    /// The turn of this key, if it is still there.
    pub(super) fn take(&self, key: &str) -> Option<Parked> {
        let mut spaces = self.shared.lock();
        let here = |space: &Space| {
            space.key == key && space.release == self.release && space.turn.is_waiting()
        };
        let place = spaces.iter().position(here)?;
        spaces.remove(place).map(|space| space.turn)
    }
}

impl Shared {
    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Space>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops turns whose time is over.
    async fn watch(&self) {
        loop {
            let next = self.lock().front().map(|space| space.until);
            let Some(until) = next else {
                self.opened.notified().await;
                continue;
            };
            sleep_until(until).await;
            let now = Instant::now();
            let mut spaces = self.lock();
            let over = spaces.partition_point(|space| space.until <= now);
            let gone: Vec<Space> = spaces.drain(..over).collect();
            drop(spaces);
            if !gone.is_empty() {
                tracing::debug!(turns = gone.len(), "nobody came with results in time");
            }
        }
    }
}
