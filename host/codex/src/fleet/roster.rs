//! The roster of children: which of them serve, stand by, are due for replacement, or leave.

use std::sync::Arc;

use serde::Serialize;

/// Why a child is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceReason {
    /// The child has started as many threads as one may.
    Threads,
    /// The child is as large in memory as one may be.
    Resident,
    /// The child has run as long as one may.
    Age,
    /// The home's log is as large as it may be; only a start makes it smaller.
    Log,
    /// The child's login has been replaced by another.
    Login,
    /// The child ended, or hangs.
    Broken,
}

impl ReplaceReason {
    /// All reasons, with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Threads, "threads"),
        (Self::Resident, "resident"),
        (Self::Age, "age"),
        (Self::Log, "log"),
        (Self::Login, "login"),
        (Self::Broken, "broken"),
    ];
}

/// What a child does for the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// The child stands by to replace another.
    Spare,
    Serving,
    /// The child takes no more turns, and finishes those that it has.
    Leaving,
}

/// What a roster requires of a child.
pub(super) trait PoolMember {
    /// Whether calls can be made.
    fn is_open(&self) -> bool;
    /// The number of its turns.
    fn turns(&self) -> usize;
}

/// A child with its state.
#[derive(Debug)]
pub(super) struct PoolEntry<M> {
    pub(super) number: u64,
    pub(super) worker: Arc<M>,
    pub(super) state: WorkerState,
    /// Why it is to be replaced as soon as another is ready. None: it stays.
    pub(super) due: Option<ReplaceReason>,
}

/// The children of one home.
#[derive(Debug)]
pub(super) struct Roster<M> {
    pub(super) entries: Vec<PoolEntry<M>>,
    /// Children that are being started.
    pub(super) starting: usize,
    /// The configured number of serving children.
    children: usize,
    /// Whether a further one stands by.
    spare: bool,
}

impl<M: PoolMember> Roster<M> {
    pub(super) fn new(children: usize, spare: bool) -> Self {
        Self {
            entries: Vec::new(),
            starting: 0,
            children,
            spare,
        }
    }

    /// Adds a child that has started, as a spare.
    pub(super) fn add(&mut self, number: u64, worker: Arc<M>) {
        self.entries.push(PoolEntry {
            number,
            worker,
            state: WorkerState::Spare,
            due: None,
        });
    }

    /// Removes a child that has ended.
    pub(super) fn remove(&mut self, number: u64) {
        self.entries.retain(|entry| entry.number != number);
    }

    /// The serving child with the fewest turns.
    pub(super) fn least_loaded(&self) -> Option<Arc<M>> {
        let serving = self.entries.iter().filter(|entry| entry.serves());
        let least = serving.min_by_key(|entry| entry.worker.turns());
        least.map(|entry| entry.worker.clone())
    }

    /// Promotes spares in place of children that have ended or are due, and returns the children that must leave.
    pub(super) fn settle(&mut self) -> Vec<(Arc<M>, ReplaceReason)> {
        let mut leaving = Vec::new();
        // A spare that is due cannot replace another.
        for entry in &mut self.entries {
            if let (WorkerState::Spare, Some(reason)) = (entry.state, entry.due) {
                entry.state = WorkerState::Leaving;
                leaving.push((entry.worker.clone(), reason));
            }
        }
        loop {
            let serving = self.entries.iter().filter(|entry| entry.serves()).count();
            let due = self
                .entries
                .iter()
                .position(|entry| entry.serves() && entry.due.is_some());
            if serving >= self.children && due.is_none() {
                return leaving;
            }
            let stands_by =
                |entry: &PoolEntry<M>| entry.state == WorkerState::Spare && entry.worker.is_open();
            let Some(next) = self.entries.iter().position(stands_by) else {
                return leaving;
            };
            self.entries[next].state = WorkerState::Serving;
            if serving < self.children {
                continue;
            }
            if let Some(due) = due {
                let entry = &mut self.entries[due];
                entry.state = WorkerState::Leaving;
                let reason = entry.due.unwrap_or(ReplaceReason::Broken);
                leaving.push((entry.worker.clone(), reason));
            }
        }
    }

    /// How many children must be started. The spare comes last, so that it delays no serving child.
    pub(super) fn missing(&self) -> usize {
        let open =
            |entry: &&PoolEntry<M>| entry.state != WorkerState::Leaving && entry.worker.is_open();
        let staying = self.entries.iter().filter(open);
        let staying = staying.filter(|entry| entry.due.is_none()).count();
        let some_serve = self.entries.iter().any(PoolEntry::serves);
        let wanted = self.children + usize::from(self.spare && some_serve);
        // Without a spare, a due child needs a successor, so it does not count as staying.
        wanted.saturating_sub(staying + self.starting)
    }

    /// Marks a child as leaving, even if no other serves. False: it was leaving already.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.number == number);
        let entry = entry.filter(|entry| entry.state != WorkerState::Leaving);
        entry
            .map(|entry| entry.state = WorkerState::Leaving)
            .is_some()
    }
}

impl<M: PoolMember> PoolEntry<M> {
    fn serves(&self) -> bool {
        self.state == WorkerState::Serving && self.worker.is_open()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Fake {
        open: AtomicBool,
        turns: AtomicUsize,
    }

    impl PoolMember for Fake {
        fn is_open(&self) -> bool {
            self.open.load(Ordering::Relaxed)
        }
        fn turns(&self) -> usize {
            self.turns.load(Ordering::Relaxed)
        }
    }

    fn child(turns: usize) -> Arc<Fake> {
        Arc::new(Fake {
            open: true.into(),
            turns: turns.into(),
        })
    }

    fn states(roster: &Roster<Fake>) -> Vec<(u64, WorkerState)> {
        let entries = roster.entries.iter();
        entries.map(|entry| (entry.number, entry.state)).collect()
    }

    #[test]
    fn the_spare_is_started_after_the_serving_children() {
        let mut roster = Roster::new(2, true);
        assert_eq!(roster.missing(), 2);
        roster.starting = 2;
        assert_eq!(roster.missing(), 0);
        roster.starting = 1;
        roster.add(1, child(0));
        assert!(roster.settle().is_empty());
        assert_eq!(roster.missing(), 1);
        roster.starting = 0;
        roster.add(2, child(0));
        roster.add(3, child(0));
        roster.settle();
        assert_eq!(roster.missing(), 0);
        assert_eq!(
            states(&roster),
            [
                (1, WorkerState::Serving),
                (2, WorkerState::Serving),
                (3, WorkerState::Spare)
            ]
        );
    }

    #[test]
    fn the_least_loaded_takes_the_turn() {
        let mut roster = Roster::new(3, false);
        for (number, turns) in [(1, 4), (2, 1), (3, 2)] {
            roster.add(number, child(turns));
        }
        roster.settle();
        assert_eq!(roster.least_loaded().unwrap().turns(), 1);
        roster.entries[1]
            .worker
            .open
            .store(false, Ordering::Relaxed);
        assert_eq!(roster.least_loaded().unwrap().turns(), 2);
    }

    #[test]
    fn a_spare_replaces_a_child_that_has_ended() {
        let mut roster = Roster::new(1, true);
        roster.add(1, child(0));
        roster.settle();
        roster.add(2, child(0));
        roster.entries[0]
            .worker
            .open
            .store(false, Ordering::Relaxed);
        assert!(roster.least_loaded().is_none());
        roster.settle();
        assert!(roster.least_loaded().is_some());
        assert_eq!(roster.missing(), 1);
        roster.remove(1);
        assert_eq!(states(&roster), [(2, WorkerState::Serving)]);
    }

    #[test]
    fn a_due_child_leaves_only_when_another_is_ready() {
        for spare in [true, false] {
            let mut roster = Roster::new(1, spare);
            roster.add(1, child(7));
            roster.settle();
            roster.entries[0].due = Some(ReplaceReason::Threads);
            assert!(roster.settle().is_empty());
            assert!(roster.least_loaded().is_some());
            assert_eq!(roster.missing(), 1 + usize::from(spare));
            roster.add(2, child(0));
            let leaving = roster.settle();
            assert_eq!(leaving.len(), 1);
            assert_eq!(
                (leaving[0].0.turns(), leaving[0].1),
                (7, ReplaceReason::Threads)
            );
            assert_eq!(
                states(&roster),
                [(1, WorkerState::Leaving), (2, WorkerState::Serving)]
            );
            assert_eq!(roster.missing(), usize::from(spare));
        }
    }

    #[test]
    fn a_due_spare_leaves_at_once() {
        let mut roster = Roster::new(1, true);
        roster.add(1, child(0));
        roster.settle();
        roster.add(2, child(0));
        roster.entries[1].due = Some(ReplaceReason::Age);
        assert_eq!(roster.settle().len(), 1);
        assert_eq!(
            states(&roster),
            [(1, WorkerState::Serving), (2, WorkerState::Leaving)]
        );
        assert!(!roster.leave(2));
        assert!(roster.leave(1));
        assert!(roster.least_loaded().is_none());
    }
}
