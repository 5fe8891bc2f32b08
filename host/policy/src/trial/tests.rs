//! Tests of the driver on the shipped policy: the times of a panel, and the texts of errors.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::EMBEDDED;
use crate::testing::release;
use airlock_types::wit::{Choice, Message};

/// A fan-out of 3.
fn fan_out(outcomes: fn(u32) -> Vec<(u32, Outcome)>, adverse: bool) -> Trial {
    Trial {
        name: "a fan-out",
        body:
            r#"{"model":"default","parallel_calls":3,"messages":[{"role":"user","content":"Hi"}]}"#
                .to_owned(),
        outcomes,
        batches: Box::new(|| -> Batches { Box::new(std::iter::empty()) }),
        ending: Ending::Completed,
        adverse,
    }
}

fn none(_: u32) -> Vec<(u32, Outcome)> {
    Vec::new()
}

fn all_complete(candidates: u32) -> Vec<(u32, Outcome)> {
    let complete = |candidate: u32| {
        let message = Message {
            phase: None,
            text: format!("answer {candidate}"),
        };
        let outcome = Outcome {
            ending: Ending::Completed,
            messages: vec![message],
        };
        (candidate, outcome)
    };
    (1..=candidates).map(complete).collect()
}

#[tokio::test]
async fn a_panel_sees_time_advance() {
    let mut times = Vec::new();
    let mut observer = |it: TrialCall<'_>| {
        match it.call {
            PolicyCall::Wake(now) | PolicyCall::Settle(.., now) | PolicyCall::Judged(_, now) => {
                times.push((it.call.name(), *now));
            }
            _ => {}
        }
        Ok(())
    };
    let shipped = release("shipped", EMBEDDED);
    let trial = fan_out(all_complete, true);
    trial.run(&shipped, &mut observer).await.unwrap();
    let settled = ("settle", NOW + 1);
    let expected = [
        ("wake", NOW),
        settled,
        settled,
        settled,
        ("judged", NOW + 2),
    ];
    assert_eq!(times, expected);
}

#[tokio::test]
async fn an_error_names_the_call_that_gave_the_last_verdict() {
    let shipped = release("shipped", EMBEDDED);
    for (outcomes, call) in [
        (none as fn(u32) -> Vec<(u32, Outcome)>, "wake"),
        (
            |candidates| all_complete(candidates).into_iter().take(1).collect(),
            "settle",
        ),
    ] {
        let trial = fan_out(outcomes, false);
        let error = trial.run(&shipped, &mut |_| Ok(())).await.unwrap_err();
        let expected = format!("{call}: the panel waits, and there is nothing to wait for");
        assert_eq!(error, expected);
    }
}

#[test]
fn a_pick_must_be_a_candidate() {
    for (candidate, is_valid) in [(0, false), (1, true), (3, true), (4, false)] {
        let choice = Choice {
            candidate,
            extra: None,
        };
        let picked = CallResult::Verdict(Verdict::Pick(choice));
        let checked = check_last_verdict(&picked, 3, false);
        assert_eq!(checked.is_ok(), is_valid, "{checked:?}");
    }
}

#[test]
fn an_internal_refusal_is_a_fault_of_the_policy() {
    let mut problem = broken_stream();
    refused(problem.clone()).unwrap();
    problem.kind = ProblemKind::Internal;
    let error = refused(problem).unwrap_err();
    assert_eq!(
        error,
        "render: the policy blames itself: The model's stream broke."
    );
}
