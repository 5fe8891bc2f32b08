//! Tests of the comparison of patterns with `feed`.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::EMBEDDED;
use crate::testing::{patched, release};
use airlock_metrics::CallPurpose;
use airlock_types::wit::{Closing, Frame, Output};

#[tokio::test]
async fn the_shipped_policys_patterns_give_the_frames_of_feed() {
    let shipped = release("shipped", EMBEDDED);
    check(&shipped).await.unwrap();
    // The patterns are used: the numbers of calls of `feed` and `relayed`.
    let calls = shipped.meter().calls(CallPurpose::Serving);
    let counts = || (calls.feed.number(), calls.relayed.number());
    let expected = [("stop", 19, 0), ("stop", 15, 6), ("tool_calls", 21, 7)];
    for ((name, body, mut batches), (reason, fed, reported)) in cases().into_iter().zip(expected) {
        let mut session = opened(&shipped, &body).await.unwrap().unwrap();
        session.relay();
        let before = counts();
        let answers = feed_all(&mut session, &mut batches).await;
        assert_eq!(counts(), (before.0 + fed, before.1 + reported), "{name}");
        let last = answers.last().unwrap().frames();
        let reason = format!(r#""finish_reason":"{reason}""#);
        let ends = last.iter().any(|frame| frame.data.contains(&reason));
        assert!(ends, "{name}: {last:?}");
    }
}

#[tokio::test]
async fn a_policy_without_relay_is_not_compared() {
    let other = release("other", &patched("policy/relay@", "policy/delay@"));
    check(&other).await.unwrap();
    let counted = other.meter().calls(CallPurpose::Serving).render.number();
    assert_eq!(counted, 0, "nothing is rendered");
}

/// An output of one frame.
fn output(data: &str) -> CallResult {
    CallResult::Output(Output {
        frames: vec![Frame {
            event: None,
            data: data.to_owned(),
            number: None,
        }],
        handoff: None,
        complete: false,
        head: None,
    })
}

#[test]
fn a_difference_is_refused_with_its_call() {
    let fault = || CallResult::Fault("it traps".to_owned());
    let closing = |body: &str| {
        CallResult::Closing(Closing {
            frames: Vec::new(),
            body: Ok(body.to_owned()),
            object: None,
        })
    };
    let same = [output("a"), output("b"), closing("")];
    assert_eq!(compare(&same, &same), Ok(()));
    // A failure without patterns proves nothing about them.
    assert_eq!(compare(&same, &[output("a"), fault()]), Ok(()));
    assert_eq!(compare(&[fault()], &[fault()]), Ok(()));
    for (relayed, word) in [
        (vec![output("a"), output("c"), closing("")], "offer: "),
        (vec![output("a"), output("b"), closing("x")], "relayed: "),
        (vec![output("a"), fault()], "relay: it traps"),
    ] {
        let why = compare(&relayed, &same).unwrap_err();
        assert!(why.starts_with(word), "{why}");
    }
}
