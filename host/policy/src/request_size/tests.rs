//! Sizes of requests, and what limits have room for.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;

fn counted(body: &str) -> (usize, Option<&str>) {
    let Counted { parts, most } = count(body, usize::MAX);
    (parts, most)
}

#[test]
fn keys_and_values_are_counted_and_strings_are_not_looked_into() {
    for (body, expected) in [
        ("0", (1, None)),
        ("[]", (2, None)),
        ("[1,2,3]", (4, None)),
        (r#"{"a":1}"#, (3, Some("a"))),
        (r#"{"a":"{[,:,]}","b":[1,"\",\\",2]}"#, (8, Some("b"))),
        (
            r#"{"messages":[{"role":"user"},{}],"n":1}"#,
            (10, Some("messages")),
        ),
        // Text that is not JSON ends as well.
        (r#"{"a":"\"#, (3, Some("a"))),
        ("]]}},", (2, None)),
        (r#"{"a b":[1,2]}"#, (5, None)),
    ] {
        assert_eq!(counted(body), expected, "{body}");
    }
}

#[test]
fn counting_stops_above_the_bound() {
    let body = format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(1000));
    let stopped = Counted {
        parts: 101,
        most: Some("messages"),
    };
    assert_eq!(count(&body, 100), stopped);
}

fn allowance(memory_bytes: usize, call_time: u64) -> SandboxLimits {
    SandboxLimits {
        memory_bytes,
        call_time: Duration::from_millis(call_time),
        request_time: Duration::from_secs(30),
        event_bytes: 1,
        output_bytes: 1,
    }
}

#[test]
fn bounds_follow_the_limits_of_the_release() {
    let parts = |memory, time| BodyLimits::of(&allowance(memory, time)).parts;
    assert_eq!(parts(usize::MAX, 250), 625_000);
    assert_eq!(parts(usize::MAX, 25), 62_500);
    assert_eq!(parts(IDLE + 96_000, 250), 1000);
    assert_eq!(BodyLimits::of(&allowance(IDLE + 400, 250)).bytes, 100);
    assert_eq!(BodyLimits::of(&allowance(1, 1)).bytes, 0);
}

#[test]
fn a_refusal_names_the_bound_and_the_member() {
    let bounds = BodyLimits {
        bytes: 100,
        parts: 10,
    };
    let refusal = |body: &str| bounds.check(body).unwrap_err().problem;
    let long = refusal(&"x".repeat(101));
    assert_eq!((long.code.as_deref(), long.param), (Some(TOO_LARGE), None));
    assert_eq!(
        long.message,
        "The request has 101 bytes, and this gateway's policy has memory for 100. Send fewer or shorter messages."
    );
    let many = refusal(r#"{"model":"m","messages":[1,2,3,4,5,6,7,8]}"#);
    assert_eq!(many.param.as_deref(), Some("messages"));
    assert_eq!(
        many.message,
        "The request has more than 10 keys and values, and this gateway's policy has time and memory for no more. Send fewer messages or calls."
    );
    bounds.check(r#"{"model":"m","messages":[1,2]}"#).unwrap();
}

#[test]
fn only_what_runs_out_over_a_large_body_is_its_cost() {
    let large = "x".repeat(LARGE);
    assert!(
        is_cost_of(large.len(), &Fault::TimedOut) && is_cost_of(large.len(), &Fault::OutOfMemory)
    );
    assert!(!is_cost_of(large.len() - 1, &Fault::TimedOut));
    assert!(!is_cost_of(large.len(), &Fault::Trapped(String::new())));
}
