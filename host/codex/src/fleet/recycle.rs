//! Marks children for replacement by their number of threads, size, age, and the size of Codex's log.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::roster::{PoolEntry, Roster, WorkerState};
use super::{FleetInner, ReplaceReason, Worker};
use crate::config::FleetConfig;
use crate::log;
use airlock_base::proc;

/// Measures the resident memory of all children, and the size of the log.
pub(super) async fn round(fleet: &FleetInner) {
    let home = fleet.launch.home().path.clone();
    let pids: Vec<(u64, Option<u32>)> = {
        let state = fleet.lock();
        let entries = state.roster.entries.iter();
        entries
            .map(|entry| (entry.number, entry.worker.pid))
            .collect()
    };
    let look = move || {
        let sizes = pids.into_iter();
        let sizes: Vec<(u64, u64)> = sizes
            .filter_map(|(number, pid)| {
                Some((number, proc::resident_bytes(Some(pid?.cast_signed()))?))
            })
            .collect();
        (sizes, log::bytes(&home))
    };
    let Ok((sizes, log)) = tokio::task::spawn_blocking(look).await else {
        return;
    };
    fleet.counts.log.store(log, Ordering::Relaxed);
    let mut state = fleet.lock();
    for entry in &state.roster.entries {
        let worker = &*entry.worker;
        if let Some((_, bytes)) = sizes.iter().find(|(number, _)| *number == entry.number) {
            worker.counters.resident.store(*bytes, Ordering::Relaxed);
        }
    }
    if state.roster.least_loaded().is_some() {
        state.circuit.serves(Instant::now());
    }
    drop(state);
    fleet.wake.notify_one();
}

/// Marks a child for replacement: one at a time, and none while more children leave than serve. That bounds the number of
/// children under a load that makes each of them large.
pub(super) fn mark(fleet: &FleetInner, roster: &mut Roster<Worker>) {
    let leaving = |entry: &&PoolEntry<Worker>| entry.state == WorkerState::Leaving;
    let many = roster.entries.iter().filter(leaving).count() > fleet.config.children;
    let due =
        |entry: &PoolEntry<Worker>| entry.due.is_some() && entry.state != WorkerState::Leaving;
    if many || roster.entries.iter().any(due) {
        return;
    }
    let log = fleet.counts.log.load(Ordering::Relaxed);
    let now = Instant::now();
    for entry in &mut roster.entries {
        if entry.state != WorkerState::Leaving {
            entry.due = reason(&entry.worker, &fleet.config, log, now);
        }
        if entry.due.is_some() && entry.state != WorkerState::Leaving {
            return;
        }
    }
}

/// Why this child is to be replaced. An unused child is replaced only by age, as a new one would be no smaller.
fn reason(worker: &Worker, config: &FleetConfig, log: u64, now: Instant) -> Option<ReplaceReason> {
    let (threads, counters) = (worker.counters.threads(), &worker.counters);
    let resident = counters.resident.load(Ordering::Relaxed);
    if threads >= config.recycle_threads as u64 {
        Some(ReplaceReason::Threads)
    } else if threads > 0 && resident >= config.recycle_resident_bytes as u64 {
        Some(ReplaceReason::Resident)
    } else if threads > 0 && log >= config.recycle_log_bytes as u64 {
        Some(ReplaceReason::Log)
    } else if now - worker.since >= config.recycle_age {
        Some(ReplaceReason::Age)
    } else {
        None
    }
}
