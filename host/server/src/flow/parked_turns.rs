//! Parked turns: turns that have called their client's tools and wait for the request that brings the results.
//!
//! A parked turn belongs to no request. It is stored under the digest of its release and the key of its reply. The number of
//! parked turns and their time are bounded. A dropped turn is interrupted; the request with its results then starts a new
//! turn with the conversation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::ServerLimits;
use airlock_base::task::Tasks;
use airlock_codex::{Parked, Turn};
use airlock_policy::Release;

/// The parked turns, for one release. Clones share them.
#[derive(Clone)]
pub(super) struct ParkedTurns {
    inner: Arc<ParkedTurnsInner>,
    /// The digest of the release: keys of different releases may be equal.
    release: Arc<str>,
    /// The most turns of all releases. 0: none is parked.
    capacity: usize,
    /// How long a turn may be parked.
    park_time: Duration,
}

struct ParkedTurnsInner {
    /// The oldest first, which is the order of their deadlines.
    turns: Mutex<VecDeque<ParkedTurn>>,
    /// Notified when a turn is parked.
    parked: Notify,
}

struct ParkedTurn {
    /// The digest of the release that began the turn.
    release: Arc<str>,
    key: String,
    turn: Parked,
    deadline: Instant,
}

impl ParkedTurns {
    /// No parked turns. Spawns the task that expires them.
    pub(super) fn new(limits: &ServerLimits, tasks: &Tasks) -> Self {
        let inner = Arc::new(ParkedTurnsInner {
            turns: Mutex::default(),
            parked: Notify::new(),
        });
        let (expired, stopping) = (inner.clone(), tasks.clone());
        tasks.spawn("parking", async move {
            tokio::select! {
                () = expired.expire() => {}
                () = stopping.stopping() => expired.turns.lock().clear(),
            }
        });
        Self {
            inner,
            release: "".into(),
            capacity: limits.parked_turns,
            park_time: limits.park_time,
        }
    }

    /// The same parked turns, for this release.
    pub(super) fn for_release(&self, release: &Release) -> Self {
        Self {
            release: release.about().digest.as_str().into(),
            ..self.clone()
        }
    }

    /// Parks a turn under this key. The oldest turns beyond the capacity are dropped.
    pub(super) fn park(&self, key: String, turn: Turn) {
        let Some(turn) = turn.park().filter(|_| self.capacity > 0) else {
            return;
        };
        let parked = ParkedTurn {
            release: self.release.clone(),
            key,
            turn,
            deadline: Instant::now() + self.park_time,
        };
        let mut turns = self.inner.turns.lock();
        // Turns whose child has ended do not count.
        turns.retain(|parked| parked.turn.is_waiting());
        let over = (turns.len() + 1).saturating_sub(self.capacity);
        let dropped: Vec<ParkedTurn> = turns.drain(..over).collect();
        turns.push_back(parked);
        drop(turns);
        if !dropped.is_empty() {
            tracing::debug!(
                turns = dropped.len(),
                "too many parked turns: the oldest are dropped"
            );
        }
        self.inner.parked.notify_one();
    }

    /// Removes the turn of this key, if it is still parked.
    pub(super) fn take(&self, key: &str) -> Option<Parked> {
        let mut turns = self.inner.turns.lock();
        let matches = |parked: &ParkedTurn| {
            parked.key == key && parked.release == self.release && parked.turn.is_waiting()
        };
        let index = turns.iter().position(matches)?;
        turns.remove(index).map(|parked| parked.turn)
    }
}

impl ParkedTurnsInner {
    /// Drops the turns whose deadline is over. Never returns.
    async fn expire(&self) {
        loop {
            let next = self.turns.lock().front().map(|parked| parked.deadline);
            let Some(deadline) = next else {
                self.parked.notified().await;
                continue;
            };
            sleep_until(deadline).await;
            let now = Instant::now();
            let mut turns = self.turns.lock();
            let over = turns.partition_point(|parked| parked.deadline <= now);
            let dropped: Vec<ParkedTurn> = turns.drain(..over).collect();
            drop(turns);
            if !dropped.is_empty() {
                tracing::debug!(
                    turns = dropped.len(),
                    "no request brought the results of parked turns in time"
                );
            }
        }
    }
}
