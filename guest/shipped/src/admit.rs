//! Admission: first come, first served, within the host's capacity.

use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::bindings::exports::airlock::policy::admit::{Admission, Load};
use crate::problem::coded;

/// The largest `retry-after`, in seconds.
const RETRY_AT_MOST: u32 = 30;

/// Admits a request if a turn is free and no other request waits, queues it while the queue has room, and refuses it
/// otherwise.
pub fn decide(load: Load) -> Admission {
    if load.wanted > load.capacity {
        return Admission::Refuse(too_many(load));
    }
    // Queued requests come first: otherwise a request that needs several turns would never get them.
    if load.waiting == 0 && load.running.saturating_add(load.wanted) <= load.capacity {
        return Admission::Run;
    }
    if load.waiting < load.room {
        return Admission::Wait;
    }
    Admission::Refuse(busy(load))
}

fn too_many(load: Load) -> Problem {
    let fan_out = load.wanted > 1;
    // With a capacity of 0, a request of one attempt would be refused too.
    let advice = match load.capacity {
        0 => "raise its limit of turns".to_owned(),
        1 => "leave `parallel_calls` out, or raise its limit of turns".to_owned(),
        capacity => {
            format!("give `parallel_calls` at most {capacity}, or raise its limit of turns")
        }
    };
    let message = format!(
        "this request needs {} turns at once and the gateway runs at most {}: {advice}",
        load.wanted, load.capacity
    );
    Problem {
        param: fan_out.then(|| "parallel_calls".to_owned()),
        ..coded(ProblemKind::Unsupported, "too_many_turns", message)
    }
}

fn busy(load: Load) -> Problem {
    // Estimates one second for each time that the whole capacity must turn over, and at least the longest wait so
    // far.
    let rounds = load.waiting.checked_div(load.capacity).unwrap_or_default();
    let waited = u32::try_from(load.longest_wait / 1000).unwrap_or(u32::MAX);
    let seconds = rounds.max(waited).saturating_add(1).min(RETRY_AT_MOST);
    let message = format!(
        "the gateway is busy: {} turns run and {} requests wait; try again in a moment",
        load.running, load.waiting
    );
    Problem {
        retry_after_seconds: Some(seconds),
        ..coded(ProblemKind::Overloaded, "gateway_busy", message)
    }
}

#[cfg(test)]
mod tests;
