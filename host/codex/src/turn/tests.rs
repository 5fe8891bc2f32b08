//! A turn's buffer: order, coalescing, the bound, and the ending that is never lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use airlock_wire::decode::{self, RpcMessage};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::state::EVENTS;
use super::*;
use airlock_types::wit::{Ending, EventKind};

impl SharedTurn {
    /// Receives a notification.
    pub(super) fn notification(&self, method: &str, turn: &str, params: &RawValue, at: u64) {
        let line = format!(r#"{{"method":"{method}","params":{params},"emittedAtMs":{at}}}"#);
        let Ok(RpcMessage::ThreadNotification {
            mut notification,
            verbatim,
            at,
        }) = decode::line(line.as_bytes())
        else {
            panic!("not a notification: {line}")
        };
        notification.turn = turn.to_owned().into();
        let verbatim = verbatim.as_ref();
        let verbatim = verbatim.map(|(method, params)| (method.as_ref(), *params));
        self.receive(notification, verbatim, at);
    }
}

fn receive(shared: &SharedTurn, method: &str, params: &Value) {
    let raw = RawValue::from_string(params.to_string()).unwrap();
    let turn = params["turnId"].as_str().unwrap_or_default();
    shared.notification(method, turn, &raw, 7);
}

fn delta(shared: &SharedTurn, item: &str, text: &str) {
    let params = json!({"threadId": "t", "turnId": "u", "itemId": item, "delta": text});
    receive(shared, "item/agentMessage/delta", &params);
}

fn completed(shared: &SharedTurn, status: &str, error: &Value) {
    let turn = json!({"id": "u", "status": status, "error": error});
    receive(
        shared,
        "turn/completed",
        &json!({"threadId": "t", "turn": turn}),
    );
}

/// A turn's reply, which stores the outcome.
struct Reply {
    turn: Turn,
    outcome: Option<TurnOutcome>,
}

impl Reply {
    fn of(shared: &Arc<SharedTurn>) -> Self {
        Self {
            turn: Turn::new(shared.clone(), "m".to_owned()),
            outcome: None,
        }
    }

    fn ending(self) -> Ending {
        self.outcome.unwrap().ending
    }
}

fn drain(reply: &mut Reply) -> Vec<Event> {
    let mut batch = Vec::new();
    reply.outcome = reply.turn.drain(&mut batch);
    batch
}

fn text(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match &event.kind {
        EventKind::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn events_keep_order_and_time_and_the_ending_comes_last() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    delta(&shared, "a", "one ");
    receive(
        &shared,
        "item/plan/delta",
        &json!({"threadId": "t", "turnId": "u", "delta": "step"}),
    );
    delta(&shared, "a", "two");
    let item = json!({"type": "agentMessage", "id": "a", "text": "one two", "phase": null});
    receive(
        &shared,
        "item/completed",
        &json!({"threadId": "t", "turnId": "u", "item": item}),
    );
    completed(&shared, "completed", &Value::Null);
    let events = drain(&mut turn);
    assert_eq!(text(&events), "one two");
    assert!(events.iter().all(|event| event.at == 7));
    let EventKind::Other(other) = &events[1].kind else {
        panic!("{events:?}")
    };
    assert_eq!(other.method, "item/plan/delta");
    assert_eq!(
        serde_json::from_str::<Value>(&other.params).unwrap()["delta"],
        "step"
    );
    assert_eq!(turn.ending(), Ending::Completed);
}

#[test]
fn a_slow_reply_loses_no_text_while_its_events_coalesce() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    for number in 0..10_000 {
        delta(&shared, "a", &format!("{number} "));
    }
    completed(&shared, "completed", &Value::Null);
    let events = drain(&mut turn);
    assert!(events.len() <= EVENTS, "{} events", events.len());
    let expected: String = (0..10_000).map(|number| format!("{number} ")).collect();
    assert_eq!(text(&events), expected);
}

#[test]
fn past_its_bound_a_turn_ends_for_its_client_and_is_abandoned() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1000), false);
    let mut turn = Reply::of(&shared);
    for _ in 0..100 {
        delta(&shared, "a", &"x".repeat(100));
    }
    let progress = *shared.progress().borrow();
    assert!(progress.abandoned && !progress.ended);
    completed(&shared, "interrupted", &Value::Null);
    drain(&mut turn);
    let Ending::Failed(problem) = turn.ending() else {
        panic!("not failed")
    };
    assert_eq!(problem.code.as_deref(), Some("client_too_slow"));
}

#[test]
fn one_event_larger_than_the_bound_arrives_whole() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1000), false);
    let mut turn = Reply::of(&shared);
    let whole = "y".repeat(1 << 20);
    let item = json!({"type": "agentMessage", "id": "a", "text": whole, "phase": null});
    receive(
        &shared,
        "item/completed",
        &json!({"threadId": "t", "turnId": "u", "item": item}),
    );
    completed(&shared, "completed", &Value::Null);
    assert_eq!(text(&drain(&mut turn)), whole);
    assert_eq!(turn.ending(), Ending::Completed);
}

#[test]
fn events_of_another_turn_are_ignored() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    shared.set_id("u".to_owned());
    receive(
        &shared,
        "item/agentMessage/delta",
        &json!({"threadId": "t", "turnId": "other", "itemId": "a", "delta": "leak"}),
    );
    delta(&shared, "a", "ours");
    completed(&shared, "completed", &Value::Null);
    assert_eq!(text(&drain(&mut turn)), "ours");
}

#[test]
fn a_content_filter_ends_the_turn_at_its_first_retry() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    let error = json!({
        "message": "Reconnecting... 1/5",
        "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": null}},
        "additionalDetails": "stream disconnected before completion: Incomplete response returned, reason: content_filter",
    });
    delta(&shared, "a", "so far");
    receive(
        &shared,
        "error",
        &json!({"threadId": "t", "turnId": "u", "willRetry": true, "error": error}),
    );
    assert_eq!(text(&drain(&mut turn)), "so far");
    assert_eq!(
        turn.ending(),
        Ending::Incomplete(airlock_types::wit::Shortfall::ContentFilter)
    );
    // Codex goes on until it is interrupted.
    let progress = *shared.progress().borrow();
    assert!(progress.abandoned && !progress.ended);
}

#[test]
fn a_conversation_that_codex_would_summarise_is_too_long() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    let item = json!({"type": "contextCompaction", "id": "c"});
    receive(
        &shared,
        "item/started",
        &json!({"threadId": "t", "turnId": "u", "item": item}),
    );
    delta(&shared, "a", "an answer to a summary");
    assert_eq!(text(&drain(&mut turn)), "");
    let Ending::Failed(problem) = turn.ending() else {
        panic!("not failed")
    };
    assert_eq!(problem.code.as_deref(), Some("context_length_exceeded"));
    assert!(shared.progress().borrow().abandoned);
}

#[test]
fn a_turns_usage_is_what_codex_reported_last() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let turn = Reply::of(&shared).turn;
    assert_eq!(turn.used(), None);
    for input in [10, 30] {
        let usage = json!({"total": {"inputTokens": input, "outputTokens": 1}});
        receive(
            &shared,
            "thread/tokenUsage/updated",
            &json!({"threadId": "t", "turnId": "u", "tokenUsage": usage}),
        );
    }
    completed(&shared, "completed", &Value::Null);
    assert_eq!(turn.used().map(|used| used.input), Some(30));
}

#[test]
fn a_dropped_turn_is_abandoned() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    drop(Turn::new(shared.clone(), "m".to_owned()));
    assert!(shared.progress().borrow().abandoned);
    delta(&shared, "a", "for nobody");
    assert!(shared.lock().queue.is_empty());
}

#[test]
fn the_childs_end_is_the_turns_end() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    delta(&shared, "a", "half");
    shared.child_exited();
    assert_eq!(text(&drain(&mut turn)), "half");
    let Ending::Failed(problem) = turn.ending() else {
        panic!("not failed")
    };
    assert_eq!(problem.code.as_deref(), Some("codex_exited"));
}

#[test]
fn events_name_their_source_and_never_go_back_in_time() {
    let context = TurnContext::alone(3, 1 << 20);
    let shared = SharedTurn::new(context.clone(), false);
    let mut turn = Reply::of(&shared);
    for (at, text) in [(50, "one "), (20, "two "), (60, "three")] {
        let params = json!({"threadId": "t", "turnId": "u", "itemId": "a", "delta": text});
        let raw = RawValue::from_string(params.to_string()).unwrap();
        shared.notification("item/agentMessage/delta", "u", &raw, at);
    }
    completed(&shared, "completed", &Value::Null);
    let events = drain(&mut turn);
    let sources_and_times: Vec<_> = events
        .iter()
        .map(|event| (event.source, event.at))
        .collect();
    assert_eq!(sources_and_times, [(3, 50), (3, 50), (3, 60)]);
    assert!(turn.outcome.unwrap().at >= 60);
    // The flag was set for each event; a late waiter is woken once.
    assert!(context.wake.notified().now_or_never().is_some());
}

fn item(shared: &SharedTurn, method: &str, item: &Value) {
    let params = json!({"threadId": "t", "turnId": "u", "item": item});
    receive(shared, method, &params);
}

fn turn_started(shared: &SharedTurn) {
    let turn = json!({"id": "u", "status": "inProgress"});
    receive(
        shared,
        "turn/started",
        &json!({"threadId": "t", "turn": turn}),
    );
}

#[test]
fn raw_events_of_a_turn_without_tools_stay_with_the_host() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    let mut turn = Reply::of(&shared);
    turn_started(&shared);
    let text_part = json!([{"type": "output_text", "text": "a message"}]);
    for raw in [
        json!({"type": "message", "id": "h", "role": "assistant", "content": text_part}),
        json!({"type": "message", "id": "q", "role": "user", "content": text_part}),
        json!({"type": "function_call", "id": "f", "name": "made_up", "call_id": "c", "arguments": "{}"}),
        json!({"type": "function_call_output", "id": "o", "call_id": "c", "output": "unsupported call"}),
        json!({"type": "function_call", "call_id": 7}),
    ] {
        item(&shared, "rawResponseItem/completed", &raw);
    }
    let usage = json!({"inputTokens": 1, "outputTokens": 1});
    let responded = json!({"threadId": "t", "turnId": "u", "usage": usage});
    receive(&shared, "rawResponse/completed", &responded);
    assert!(drain(&mut turn).is_empty());
    completed(&shared, "completed", &Value::Null);
    drain(&mut turn);
    assert_eq!(turn.ending(), Ending::Completed);
}

#[test]
fn an_answer_that_codex_drops_is_a_failure() {
    let begins = json!({"type": "agentMessage", "id": "a", "text": "", "phase": null});
    let other = json!({"type": "other"});
    let answers = |shared: &SharedTurn| {
        let whole = json!({"type": "agentMessage", "id": "b", "text": "hi", "phase": null});
        item(shared, "item/completed", &whole);
    };
    let started = |shared: &SharedTurn| item(shared, "item/started", &begins);
    let unknown = |shared: &SharedTurn| item(shared, "rawResponseItem/completed", &other);
    let ended = |acts: &[&dyn Fn(&SharedTurn)]| {
        let shared = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
        let mut turn = Reply::of(&shared);
        for act in acts {
            act(&shared);
        }
        completed(&shared, "completed", &Value::Null);
        drain(&mut turn);
        match turn.ending() {
            Ending::Failed(problem) => problem.code.unwrap_or_default(),
            other => format!("{other:?}"),
        }
    };
    let whole = format!("{:?}", Ending::Completed);
    assert_eq!(ended(&[&turn_started]), whole);
    assert_eq!(ended(&[&turn_started, &started]), "empty_answer");
    assert_eq!(ended(&[&turn_started, &unknown]), "empty_answer");
    assert_eq!(
        ended(&[&turn_started, &answers, &started]),
        "incomplete_answer"
    );
    assert_eq!(ended(&[&turn_started, &answers, &unknown]), whole);
    // Items of the history, before the turn starts.
    assert_eq!(ended(&[&unknown, &turn_started]), whole);
}
