//! Admission by load.

#![allow(clippy::panic, reason = "tests")]

use super::*;

fn load(wanted: u32, running: u32, waiting: u32) -> Load {
    Load {
        wanted,
        running,
        waiting,
        capacity: 4,
        room: 2,
        longest_wait: 0,
    }
}

#[test]
fn runs_while_a_turn_is_free_and_the_queue_is_empty() {
    assert_eq!(decide(load(1, 0, 0)), Admission::Run);
    assert_eq!(decide(load(1, 3, 0)), Admission::Run);
    assert_eq!(decide(load(4, 0, 0)), Admission::Run);
}

#[test]
fn waits_while_the_queue_has_room() {
    assert_eq!(decide(load(1, 4, 0)), Admission::Wait);
    assert_eq!(decide(load(1, 3, 1)), Admission::Wait);
    assert_eq!(decide(load(2, 3, 0)), Admission::Wait);
    assert_eq!(decide(load(1, u32::MAX, 1)), Admission::Wait);
}

#[test]
fn refuses_with_retry_after_when_the_queue_is_full() {
    let problem = refused(load(1, 4, 2));
    assert_eq!(problem.kind, ProblemKind::Overloaded);
    assert_eq!(problem.code.as_deref(), Some("gateway_busy"));
    assert_eq!(problem.retry_after_seconds, Some(1));

    let long_line = Load {
        waiting: 4_000,
        room: 4_000,
        ..load(1, 4, 0)
    };
    let problem = refused(long_line);
    assert_eq!(problem.retry_after_seconds, Some(RETRY_AT_MOST));

    let slow_line = Load {
        longest_wait: 7_900,
        ..load(1, 4, 2)
    };
    assert_eq!(refused(slow_line).retry_after_seconds, Some(8));
}

fn refused(load: Load) -> Problem {
    let Admission::Refuse(problem) = decide(load) else {
        panic!("must be refused");
    };
    problem
}

#[test]
fn refuses_requests_that_can_never_run() {
    let problem = refused(load(5, 0, 0));
    assert_eq!(problem.kind, ProblemKind::Unsupported);
    assert_eq!(problem.code.as_deref(), Some("too_many_turns"));
    assert_eq!(problem.param.as_deref(), Some("parallel_calls"));
    assert_eq!(
        problem.message,
        "this request needs 5 turns at once and the gateway runs at most 4: give `parallel_calls` at most 4, or raise its limit of turns"
    );
    assert_eq!(problem.retry_after_seconds, None);

    let one_at_a_time = Load {
        capacity: 1,
        ..load(2, 0, 0)
    };
    let problem = refused(one_at_a_time);
    assert_eq!(problem.param.as_deref(), Some("parallel_calls"));
    assert!(
        problem.message.contains("leave `parallel_calls` out"),
        "{}",
        problem.message
    );
}

#[test]
fn the_refusal_of_a_plain_request_does_not_mention_parallel_calls() {
    let problem = refused(Load {
        capacity: 0,
        ..load(1, 0, 0)
    });
    assert_eq!(problem.code.as_deref(), Some("too_many_turns"));
    assert_eq!(problem.param, None);
    assert!(
        !problem.message.contains("parallel_calls"),
        "{}",
        problem.message
    );
}

#[test]
fn the_turns_of_a_fan_out_run_together_or_wait_together() {
    for (running, expected) in [
        (0, Admission::Run),
        (1, Admission::Run),
        (2, Admission::Wait),
        (4, Admission::Wait),
    ] {
        assert_eq!(decide(load(3, running, 0)), expected, "{running}");
    }
}

#[test]
fn a_capacity_of_zero_refuses_without_dividing_by_zero() {
    let none = Load {
        capacity: 0,
        ..load(0, 0, 2)
    };
    assert!(matches!(decide(none), Admission::Refuse(_)));
}
