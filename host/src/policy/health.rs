//! How a release fares: what it has been asked, and how often it failed, all along and lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::fault::Fault;

/// How finely time is looked back on.
const PART: Duration = Duration::from_millis(250);

/// How far: ten minutes.
const MOMENTS: usize = 2400;

/// A release's record.
pub(crate) struct Health {
    record: Mutex<Record>,
    /// Rung at every fault.
    alarm: Arc<Notify>,
}

#[derive(Default)]
struct Record {
    requests: u64,
    faults: BTreeMap<&'static str, u64>,
    /// Lately, the oldest first: only those in which something happened.
    recent: VecDeque<Moment>,
}

struct Moment {
    began: Instant,
    requests: u64,
    faults: u64,
}

/// Counts since the release was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// By kind: `trap`, `timeout`, `memory`, `contract`, `output`.
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl Health {
    pub(super) fn new(alarm: Arc<Notify>) -> Self {
        Self {
            record: Mutex::default(),
            alarm,
        }
    }

    /// A request has begun, or failed to.
    pub(super) fn met(&self, fault: Option<&Fault>) {
        // For which there was no room says nothing of the release.
        if fault.is_some_and(|fault| fault.kind().is_none()) {
            return;
        }
        let mut record = self.lock();
        record.requests += 1;
        record.now().requests += 1;
        drop(record);
        if let Some(fault) = fault {
            self.failed(fault);
        }
    }

    /// A call has failed. Whoever watches over releases is told.
    pub(super) fn failed(&self, fault: &Fault) {
        let Some(kind) = fault.kind() else { return };
        let mut record = self.lock();
        *record.faults.entry(kind).or_default() += 1;
        record.now().faults += 1;
        drop(record);
        self.alarm.notify_one();
    }

    /// Requests and faults of the last so much time, at most ten minutes.
    pub(crate) fn lately(&self, window: Duration) -> (u64, u64) {
        let since = Instant::now().checked_sub(window);
        let record = self.lock();
        let recent = record
            .recent
            .iter()
            .filter(|moment| since.is_none_or(|since| moment.began >= since));
        recent.fold((0, 0), |(requests, faults), moment| {
            (requests + moment.requests, faults + moment.faults)
        })
    }

    /// Begins anew, for a release that gets another chance.
    pub(super) fn forget_lately(&self) {
        self.lock().recent.clear();
    }

    /// All since it was loaded.
    pub(crate) fn counts(&self) -> Counts {
        let record = self.lock();
        Counts {
            requests: record.requests,
            faults: record.faults.clone(),
        }
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// What is counted now. Seconds that are too long ago are forgotten.
    fn now(&mut self) -> &mut Moment {
        let now = Instant::now();
        let fresh = |moment: &Moment| now.duration_since(moment.began) < PART;
        if !self.recent.back().is_some_and(fresh) {
            while self.recent.len() >= MOMENTS {
                self.recent.pop_front();
            }
            self.recent.push_back(Moment {
                began: now,
                requests: 0,
                faults: 0,
            });
        }
        let last = self.recent.len() - 1;
        &mut self.recent[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_lately_counts_for_lately() {
        let health = Health::new(Arc::default());
        health.met(None);
        health.failed(&Fault::TimedOut);
        tokio::time::advance(Duration::from_secs(40)).await;
        health.met(Some(&Fault::OutOfMemory));
        health.met(Some(&Fault::Exhausted(String::new())));
        assert_eq!(health.lately(Duration::from_secs(60)), (2, 2));
        assert_eq!(health.lately(Duration::from_secs(30)), (1, 1));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(health.lately(Duration::from_secs(60)), (1, 1));
        health.forget_lately();
        assert_eq!(health.lately(Duration::from_secs(60)), (0, 0));
        let counts = health.counts();
        assert_eq!(counts.requests, 2);
        assert_eq!(counts.faults, [("memory", 1), ("timeout", 1)].into());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded() {
        let health = Health::new(Arc::default());
        for _ in 0..2 * MOMENTS {
            health.met(None);
            tokio::time::advance(PART).await;
        }
        assert_eq!(health.lock().recent.len(), MOMENTS);
        assert_eq!(health.counts().requests, 2 * MOMENTS as u64);
    }
}
