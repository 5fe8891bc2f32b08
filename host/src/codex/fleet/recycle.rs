//! When a child is to be replaced: before it grows too large, too old, or has done too much.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::roster::{Place, Roster, Seat};
use super::{Member, Reason, Shared};
use crate::codex::log;
use crate::config;
use crate::task::resident_bytes;

/// Looks at how large all children are.
pub(super) async fn round(shared: &Shared) {
    let home = shared.launch.home().path.clone();
    let pids: Vec<(u64, Option<u32>)> = {
        let state = shared.lock();
        let seats = state.roster.seats.iter();
        seats.map(|seat| (seat.number, seat.member.pid)).collect()
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
    for seat in &state.roster.seats {
        let member = &*seat.member;
        if let Some((_, bytes)) = sizes.iter().find(|(number, _)| *number == seat.number) {
            member.tally.resident.store(*bytes, Ordering::Relaxed);
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
pub(super) fn mark(shared: &Shared, roster: &mut Roster<Member>) {
    let leaving = |seat: &&Seat<Member>| seat.place == Place::Leaving;
    let many = roster.seats.iter().filter(leaving).count() > shared.terms.children;
    let due = |seat: &Seat<Member>| seat.due.is_some() && seat.place != Place::Leaving;
    if many || roster.seats.iter().any(due) {
        return;
    }
    let log = shared.counts.log.load(Ordering::Relaxed);
    let now = Instant::now();
    for seat in &mut roster.seats {
        if seat.place != Place::Leaving {
            seat.due = reason(&seat.member, &shared.terms, log, now);
        }
        if seat.due.is_some() && seat.place != Place::Leaving {
            return;
        }
    }
}

/// Why this child is to be replaced, if it is. One that has done nothing would come back just so.
fn reason(member: &Member, terms: &config::Fleet, log: u64, now: Instant) -> Option<Reason> {
    let (threads, tally) = (member.tally.threads(), &member.tally);
    let resident = tally.resident.load(Ordering::Relaxed);
    if threads >= terms.recycle_threads as u64 {
        Some(Reason::Threads)
    } else if threads > 0 && resident >= terms.recycle_resident_bytes as u64 {
        Some(Reason::Resident)
    } else if threads > 0 && log >= terms.recycle_log_bytes as u64 {
        Some(Reason::Log)
    } else if now - member.since >= terms.recycle_age {
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
