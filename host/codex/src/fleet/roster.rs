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
mod tests;
