//! Reports applied to a state, without lock, task or connection.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::turn::TurnContext;

fn state(has_tools: bool) -> TurnState {
    TurnState::new(TurnContext::alone(0, 1 << 20), has_tools)
}

fn received(report: TurnReport<'_>) -> ReceivedReport<'_> {
    ReceivedReport {
        report,
        verbatim: None,
        at: 7,
        received: Instant::now(),
    }
}

fn delta(text: &str) -> ReceivedReport<'_> {
    received(TurnReport::MessageDelta {
        item: "a".into(),
        text: text.into(),
    })
}

fn started(state: &mut TurnState) -> TurnProgress {
    let turn = "u".into();
    let mut progress = TurnProgress::default();
    let effects = state.apply(received(TurnReport::TurnStarted { turn }), &progress);
    effects.progress.apply_to(&mut progress);
    progress
}

fn completed(status: TurnStatus, error: Option<&serde_json::Value>) -> ReceivedReport<'static> {
    let error = error.map(|error| serde_json::from_value(error.clone()).unwrap());
    received(TurnReport::TurnCompleted { status, error })
}

#[test]
fn only_the_first_delta_after_a_request_changes_the_progress() {
    let mut state = state(false);
    let progress = started(&mut state);
    assert!(progress.started && state.can_skip_progress(&delta("x").report));
    let first = state.apply(delta("one"), &TurnProgress::default());
    let begun = ProgressChange {
        response_begun: true,
        ..ProgressChange::default()
    };
    assert_eq!(first.progress, begun);
    let second = state.apply(delta("two"), &TurnProgress::default());
    assert!(second.progress.is_empty() && second.outcome.is_none());
    assert_eq!((state.queue.len(), state.at), (2, 7));
    assert!(state.scratch.is_empty() && state.scratch.capacity() > 0);
}

#[test]
fn raw_items_are_passed_on_from_the_start_of_a_turn_that_reports_them() {
    let params = serde_json::value::to_raw_value(&json!({"item": {"type": "reasoning"}})).unwrap();
    let raw = |report| ReceivedReport {
        verbatim: Some(("rawResponseItem/completed", &params)),
        ..received(report)
    };
    let message = || TurnReport::RawMessage {
        item: "a".into(),
        text: "one".into(),
        annotated: true,
    };
    for raw_items in [false, true] {
        let context = TurnContext {
            raw_items,
            ..TurnContext::alone(0, 1 << 20)
        };
        let mut state = TurnState::new(context, false);
        // An injected item.
        state.apply(raw(TurnReport::RawItem), &TurnProgress::default());
        assert!(state.queue.is_empty());
        let progress = started(&mut state);
        state.apply(delta("one"), &progress);
        state.apply(raw(message()), &progress);
        state.apply(raw(TurnReport::RawItem), &progress);
        let others = state.queue.iter();
        let others = others.filter(|event| matches!(event.kind, EventKind::Other(_)));
        assert_eq!(others.count(), if raw_items { 2 } else { 0 });
    }
}

#[test]
fn a_full_queue_ends_and_abandons_the_turn() {
    let mut state = TurnState::new(TurnContext::alone(0, 100), false);
    let text = "x".repeat(60);
    let outcomes = (0..4).map(|_| state.apply(delta(&text), &TurnProgress::default()));
    let full: Vec<_> = outcomes
        .filter(|effects| effects.outcome.is_some())
        .collect();
    assert!(full.iter().all(|effects| effects.progress.abandoned) && !full.is_empty());
    assert!(!state.can_skip_progress(&delta("x").report));
}

#[test]
fn the_output_of_an_abandoned_turn_is_not_queued() {
    let mut state = state(false);
    let progress = TurnProgress {
        abandoned: true,
        ..TurnProgress::default()
    };
    let effects = state.apply(delta("one"), &progress);
    assert!(effects.progress.is_empty() && state.queue.is_empty());
}

#[test]
fn a_parked_turn_with_output_is_abandoned() {
    let mut state = state(true);
    let progress = TurnProgress {
        parked: true,
        ..TurnProgress::default()
    };
    assert!(state.apply(delta("one"), &progress).progress.abandoned);
    let accepted = received(TurnReport::ToolResultAccepted);
    assert!(!state.apply(accepted, &progress).progress.abandoned);
}

#[test]
fn a_completed_turn_shows_whether_the_model_accepted_the_account() {
    let unauthorized = json!({"message": "m", "codexErrorInfo": "unauthorized"});
    let other = json!({"message": "m", "codexErrorInfo": "other"});
    for (status, error, credentials, failed) in [
        (
            TurnStatus::Completed,
            None,
            Some(CredentialOutcome::Accepted),
            false,
        ),
        (TurnStatus::Interrupted, None, None, false),
        (TurnStatus::Failed, Some(&other), None, true),
        (
            TurnStatus::Failed,
            Some(&unauthorized),
            Some(CredentialOutcome::Refused),
            true,
        ),
    ] {
        let effects = state(false).apply(completed(status, error), &TurnProgress::default());
        assert_eq!(effects.credentials, credentials);
        let change = effects.progress;
        assert!(change.started && change.ended && effects.outcome.is_some());
        assert_eq!(change.request_failed, failed);
    }
}

#[test]
fn too_many_requests_to_the_model_end_the_turn_once() {
    let mut state = state(false);
    let mut progress = started(&mut state);
    let usage = Usage {
        input: 1,
        cached: 0,
        output: 1,
        reasoning: 0,
    };
    let mut outcomes = 0;
    for _ in 0..10 {
        let effects = state.apply(received(TurnReport::Usage(usage)), &progress);
        effects.progress.apply_to(&mut progress);
        outcomes += u32::from(effects.outcome.is_some());
    }
    assert!(progress.too_many_requests && progress.abandoned);
    assert_eq!((outcomes, progress.responses_completed), (1, 10));
}
