//! The wait for the first token.

use super::*;
use airlock_metrics::Metrics;
use airlock_types::wit::{Handoff, Text};

fn first_token() -> FirstToken {
    FirstToken::new(Some(Metrics::default().request("/v1/chat/completions")))
}

fn event(source: u32, kind: EventKind) -> Event {
    Event {
        source,
        at: 0,
        kind,
    }
}

fn text(source: u32, text: &str) -> Event {
    let text = Text {
        message: 0,
        phase: None,
        text: text.to_owned(),
        item: None,
    };
    event(source, EventKind::Text(text))
}

fn frames(count: usize) -> Vec<Frame> {
    let frame = Frame {
        event: None,
        data: "{}".to_owned(),
        number: None,
    };
    vec![frame; count]
}

/// Whether the first token is found after `count` frames for these events.
fn finds(first: &mut FirstToken, events: &[Event], count: usize) -> bool {
    let output = Output {
        frames: frames(count),
        handoff: None,
        complete: false,
        head: None,
    };
    first.fed(events, &output);
    first.metrics.is_none()
}

#[test]
fn only_the_answer_has_a_first_token() {
    let mut first = first_token();
    let opened = event(1, EventKind::Opened("gpt-test".to_owned()));
    let nothing = [opened, text(0, ""), text(1, "a candidate's")];
    assert!(!finds(&mut first, &nothing, 3));
    assert!(finds(&mut first, &[text(1, "more"), text(0, "Hi")], 2));
}

#[test]
fn calls_are_tokens_too() {
    let mut first = first_token();
    let handoff = Some(Handoff {
        source: 0,
        key: None,
    });
    let output = Output {
        frames: frames(2),
        handoff,
        complete: false,
        head: None,
    };
    first.fed(&[], &output);
    assert!(first.metrics.is_none());
}

#[test]
fn frames_that_a_policy_withholds_count_once_returned() {
    let mut withheld = first_token();
    assert!(!finds(&mut withheld, &[text(0, "Hi")], 0));
    withheld.ended(&Ending::Interrupted, &frames(1));
    assert!(withheld.metrics.is_some(), "an error is no token");
    withheld.ended(&Ending::Completed, &frames(1));
    assert!(withheld.metrics.is_none());
    let mut silent = first_token();
    silent.ended(&Ending::Completed, &frames(1));
    assert!(silent.metrics.is_some(), "no text was received");
}
