//! Decides whether a request may start now: first come, first served, and a slow queue takes no more requests.

use crate::Policy;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::bindings::exports::airlock::policy::admit::{Admission, Guest, Load};

/// The wait of the first request, in milliseconds, from which on the queue takes no more.
const PATIENCE: u64 = 10_000;

impl Guest for Policy {
    fn decide(load: Load) -> Admission {
        if load.wanted > load.capacity {
            return Admission::Refuse(too_many(&load));
        }
        // Waiting requests go first. Otherwise a request that needs several turns would never get them.
        if load.waiting == 0 && load.running.saturating_add(load.wanted) <= load.capacity {
            return Admission::Run;
        }
        if load.waiting < load.room && load.longest_wait < PATIENCE {
            return Admission::Wait;
        }
        Admission::Refuse(busy(&load))
    }
}

fn too_many(load: &Load) -> Problem {
    Problem {
        kind: ProblemKind::Unsupported,
        code: Some("too_many_turns".to_owned()),
        message: format!(
            "this request needs {} turns at once and the gateway runs at most {}",
            load.wanted, load.capacity
        ),
        param: None,
        retry_after_seconds: None,
    }
}

fn busy(load: &Load) -> Problem {
    Problem {
        kind: ProblemKind::Overloaded,
        code: Some("gateway_busy".to_owned()),
        message: format!(
            "the gateway is busy: {} requests wait; try again in a moment",
            load.waiting
        ),
        param: None,
        retry_after_seconds: Some(
            u32::try_from(load.longest_wait / 1000)
                .unwrap_or(60)
                .clamp(1, 60),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(running: u32, waiting: u32, longest_wait: u64) -> Load {
        Load {
            wanted: 1,
            running,
            waiting,
            capacity: 4,
            room: 2,
            longest_wait,
        }
    }

    #[test]
    fn requests_run_wait_and_are_refused_in_this_order() {
        assert_eq!(Policy::decide(load(3, 0, 0)), Admission::Run);
        assert_eq!(Policy::decide(load(4, 0, 0)), Admission::Wait);
        assert_eq!(Policy::decide(load(3, 1, 9_999)), Admission::Wait);
        for full in [load(4, 2, 0), load(4, 1, 10_000)] {
            let Admission::Refuse(problem) = Policy::decide(full) else {
                panic!("{full:?}");
            };
            assert_eq!(problem.kind, ProblemKind::Overloaded);
            assert!(problem.retry_after_seconds.is_some_and(|it| it >= 1));
        }
    }

    #[test]
    fn what_can_never_run_is_refused_at_once() {
        let wide = Load {
            wanted: 5,
            ..load(0, 0, 0)
        };
        let Admission::Refuse(problem) = Policy::decide(wide) else {
            panic!("must be refused");
        };
        assert_eq!(problem.kind, ProblemKind::Unsupported);
    }
}
