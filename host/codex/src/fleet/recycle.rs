//! When a child is to be replaced: before it grows too large, too old, or has done too much.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::roster::{PoolEntry, Roster, WorkerState};
use super::{Reason, Shared, Worker};
use crate::config::FleetConfig;
use crate::log;
use airlock_base::task::resident_bytes;

/// Looks at how large all children are.
pub(super) async fn round(shared: &Shared) {
    let home = shared.launch.home().path.clone();
    let pids: Vec<(u64, Option<u32>)> = {
        let state = shared.lock();
        let entries = state.roster.entries.iter();
        entries
            .map(|entry| (entry.number, entry.worker.pid))
            .collect()
    };
    let look = move || {
        let sizes = pids.into_iter();
        let sizes: Vec<(u64, u64)> = sizes
            .filter_map(|(number, pid)| Some((number, resident_bytes(Some(pid?))?)))
            .collect();
        (sizes, log::bytes(&home))
    };
    let Ok((sizes, log)) = tokio::task::spawn_blocking(look).await else {
        return;
    };
    shared.counts.log.store(log, Ordering::Relaxed);
    let mut state = shared.lock();
    for entry in &state.roster.entries {
        let worker = &*entry.worker;
        if let Some((_, bytes)) = sizes.iter().find(|(number, _)| *number == entry.number) {
            worker.tally.resident.store(*bytes, Ordering::Relaxed);
        }
    }
    if state.roster.least().is_some() {
        state.circuit.serves(Instant::now());
    }
    drop(state);
    shared.wake.notify_one();
}

/// Marks a child that is to be replaced, by what is known of it: one after the other, and none while as many as serve are
/// leaving, so that a load that makes each child large does not have ever more of them.
pub(super) fn mark(shared: &Shared, roster: &mut Roster<Worker>) {
    let leaving = |entry: &&PoolEntry<Worker>| entry.state == WorkerState::Leaving;
    let many = roster.entries.iter().filter(leaving).count() > shared.terms.children;
    let due =
        |entry: &PoolEntry<Worker>| entry.due.is_some() && entry.state != WorkerState::Leaving;
    if many || roster.entries.iter().any(due) {
        return;
    }
    let log = shared.counts.log.load(Ordering::Relaxed);
    let now = Instant::now();
    for entry in &mut roster.entries {
        if entry.state != WorkerState::Leaving {
            entry.due = reason(&entry.worker, &shared.terms, log, now);
        }
        if entry.due.is_some() && entry.state != WorkerState::Leaving {
            return;
        }
    }
}

/// Why this child is to be replaced, if it is. One that has done nothing would come back just so.
fn reason(worker: &Worker, terms: &FleetConfig, log: u64, now: Instant) -> Option<Reason> {
    let (threads, tally) = (worker.tally.threads(), &worker.tally);
    let resident = tally.resident.load(Ordering::Relaxed);
    if threads >= terms.recycle_threads as u64 {
        Some(Reason::Threads)
    } else if threads > 0 && resident >= terms.recycle_resident_bytes as u64 {
        Some(Reason::Resident)
    } else if threads > 0 && log >= terms.recycle_log_bytes as u64 {
        Some(Reason::Log)
    } else if now - worker.since >= terms.recycle_age {
        Some(Reason::Age)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_size() {
        for process in [None, Some(std::process::id())] {
            let size = resident_bytes(process);
            assert!(size.is_some_and(|size| size > 1 << 20), "{size:?}");
        }
        assert_eq!(resident_bytes(Some(u32::MAX)), None);
    }
}
