//! The state of a turn while it is parked and after it is resumed.
#![allow(clippy::unwrap_used, reason = "tests")]

use airlock_wire::decode;
use serde_json::{Value, json};

use super::*;
use crate::turn::{ToolReply, TurnContext};
use airlock_types::wit::EventKind;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

/// A turn with tools, whose id is known.
fn begun() -> (
    Arc<SharedTurn>,
    Turn,
    std::sync::Weak<airlock_base::resizable_semaphore::SemaphorePermit>,
) {
    let context = TurnContext::alone(3, 1 << 20);
    let permit = Arc::downgrade(&context.permit);
    let shared = SharedTurn::new(context, true);
    shared.set_id("u".to_owned());
    let turn = Turn::new(shared.clone(), "m".to_owned());
    (shared, turn, permit)
}

fn call(shared: &SharedTurn, turn: &str, call: &str, request: u32) -> bool {
    let params = raw(&json!({"threadId": "t", "turnId": turn, "callId": call, "tool": "f"}));
    shared.tool_requested(&decode::tool_call(&params).unwrap(), &raw(&json!(request)))
}

fn responded(shared: &SharedTurn, input: u32) {
    let usage = json!({"inputTokens": input, "outputTokens": 1});
    let params = raw(&json!({"threadId": "t", "turnId": "u", "usage": usage}));
    shared.notification("rawResponse/completed", "u", &params, 7);
}

/// The usages that the turn reports.
fn used(turn: &mut Turn) -> Vec<(u32, u64)> {
    let mut events = Vec::new();
    turn.drain(&mut events);
    let used = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Usage(usage) => Some((event.source, usage.input)),
        _ => None,
    });
    used.collect()
}

fn answer(call: &str) -> EncodedToolResult {
    EncodedToolResult {
        call: call.to_owned(),
        result: raw(&json!({"of": call})),
    }
}

/// Makes Codex send a report, which shows that the turn goes on.
fn alive(shared: &SharedTurn) {
    let item = json!({"type": "dynamicToolCall", "id": "a", "contentItems": []});
    let params = raw(&json!({"threadId": "t", "turnId": "u", "item": item}));
    shared.notification("item/completed", "u", &params, 7);
}

/// Waits until it is decided whether the turn goes on.
async fn decided(shared: &SharedTurn) {
    let mut progress = shared.progress();
    let decided = progress.wait_for(|now| !now.parked || now.abandoned);
    decided.await.unwrap();
}

/// Makes the model call once more, and completes its response.
fn called(shared: &SharedTurn) {
    started(shared);
    item(shared, "function_call");
    responded(shared, 1);
}

/// How long Codex may take to accept a result.
const WAIT: Duration = Duration::from_secs(30);

fn new_permit() -> Permit {
    TurnContext::alone(0, 0).permit
}

/// 0.163.0 requests the second result once it has the first, in any order.
#[tokio::test(start_paused = true)]
async fn a_turn_goes_on_if_codex_requests_one_result_after_the_other() {
    for (given, fits) in [
        (&["a", "b"][..], true),
        (&["b"], false),
        (&["b", "c"], false),
    ] {
        let (shared, turn, _) = begun();
        started(&shared);
        for id in ["a", "b"] {
            let item = json!({"type": "function_call", "call_id": id});
            let params = raw(&json!({"threadId": "t", "turnId": "u", "item": item}));
            shared.notification("rawResponseItem/completed", "u", &params, 7);
        }
        assert!(call(&shared, "u", "b", 4));
        responded(&shared, 1);
        let parked = turn.park().unwrap();
        let answers = given.iter().map(|call| answer(call)).collect();
        let codex = async {
            decided(&shared).await;
            alive(&shared);
        };
        let (resumed, ()) = tokio::join!(parked.resume(answers, new_permit(), 0, WAIT), codex);
        // A call without a result keeps the turn from going on. Only one of the two results is requested now.
        assert_eq!(resumed.is_some(), fits, "{given:?}");
        if fits {
            let replies = |answers: Vec<ToolReply>| {
                let answers = answers.into_iter();
                let pairs = answers.map(|(request, result)| format!("{request} {result}"));
                pairs.collect::<Vec<_>>()
            };
            assert_eq!(replies(shared.take_replies().0), [r#"4 {"of":"b"}"#]);
            assert!(call(&shared, "u", "a", 5));
            let progress = *shared.progress().borrow();
            assert!(progress.has_replies && progress.open_calls == 0);
            assert_eq!(replies(shared.take_replies().0), [r#"5 {"of":"a"}"#]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_goes_on_with_exactly_the_results_of_its_calls() {
    for (given, fits) in [
        (&["b", "a"][..], true),
        (&["a"], false),
        (&["a", "c"], false),
        (&["a", "b", "c"], false),
        (&["a", "a"], false),
    ] {
        let (shared, turn, _) = begun();
        called(&shared);
        let parked = turn.park().unwrap();
        let answers = given.iter().map(|call| answer(call)).collect();
        let late = async {
            // Codex requests the results a little after the client has sent them.
            assert!(call(&shared, "u", "a", 0) && call(&shared, "u", "b", 1));
            assert!(
                !call(&shared, "another", "c", 2),
                "a request of another turn"
            );
            decided(&shared).await;
            alive(&shared);
        };
        let (resumed, ()) = tokio::join!(parked.resume(answers, new_permit(), 0, WAIT), late);
        assert_eq!(resumed.is_some(), fits, "{given:?}");
        assert_eq!(shared.progress().borrow().abandoned, !fits);
    }
}

#[tokio::test]
async fn a_turn_whose_child_exits_silently_does_not_go_on() {
    let (shared, turn, _) = begun();
    called(&shared);
    call(&shared, "u", "a", 0);
    let parked = turn.park().unwrap();
    let lost = async {
        decided(&shared).await;
        shared.child_exited();
    };
    let (resumed, ()) = tokio::join!(
        parked.resume(vec![answer("a")], new_permit(), 0, WAIT),
        lost
    );
    assert!(resumed.is_none());
    let (shared, turn, _) = begun();
    called(&shared);
    let parked = turn.park().unwrap();
    assert!(parked.is_waiting());
    shared.child_exited();
    assert!(!parked.is_waiting());
}

#[tokio::test]
async fn a_resumed_turn_is_reset_except_for_its_calls() {
    let (shared, mut turn, permit) = begun();
    responded(&shared, 10);
    responded(&shared, 20);
    assert_eq!(used(&mut turn), [(3, 10), (3, 30)]);
    assert_eq!(turn.used().map(|used| used.input), Some(30));
    call(&shared, "u", "a", 4);
    call(&shared, "u", "b", 5);
    // This is of the previous request, and must not be reported.
    called(&shared);
    let parked = turn.park().unwrap();
    assert!(permit.upgrade().is_none(), "its permit is free");
    assert!(shared.progress().borrow().parked);

    let again = new_permit();
    let held = Arc::downgrade(&again);
    let on = parked.resume(vec![answer("b"), answer("a")], again, 0, WAIT);
    let then = async {
        decided(&shared).await;
        alive(&shared);
    };
    let (turn, ()) = tokio::join!(on, then);
    let mut turn = turn.unwrap();
    assert_eq!(turn.used(), None);
    assert!(!shared.progress().borrow().parked);
    assert!(shared.progress().borrow().has_replies);
    let (answers, goes_on) = shared.take_replies();
    assert!(goes_on && !shared.progress().borrow().has_replies);
    let replies: Vec<_> = answers
        .iter()
        .map(|(request, result)| (request.get(), result.get()))
        .collect();
    assert_eq!(replies, [("4", r#"{"of":"a"}"#), ("5", r#"{"of":"b"}"#)]);
    responded(&shared, 100);
    assert_eq!(used(&mut turn), [(0, 100)]);
    assert_eq!(turn.used().map(|used| used.input), Some(100));
    shared.release_permit();
    assert!(held.upgrade().is_none());
}

#[test]
fn a_turn_without_tools_is_not_called() {
    let shared = SharedTurn::new(TurnContext::alone(0, 1), false);
    assert!(!call(&shared, "u", "a", 0));
}

#[test]
fn a_parked_turn_that_is_dropped_is_abandoned() {
    let (shared, turn, _) = begun();
    called(&shared);
    drop(turn.park());
    assert!(shared.progress().borrow().abandoned);
}

#[test]
fn only_a_turn_whose_response_ends_with_calls_can_be_parked() {
    let (_, turn, _) = begun();
    assert!(turn.park().is_none(), "there is no output");
    let (shared, turn, _) = begun();
    started(&shared);
    responded(&shared, 1);
    assert!(turn.park().is_none(), "nothing was called");
    let (shared, turn, _) = begun();
    called(&shared);
    item(&shared, "function_call");
    assert!(turn.park().is_none(), "the model goes on");
}

#[test]
fn a_parked_turn_with_output_is_abandoned() {
    let (shared, turn, _) = begun();
    called(&shared);
    let parked = turn.park().unwrap();
    alive(&shared);
    assert!(parked.is_waiting());
    let params = raw(&json!({"threadId": "t", "turnId": "u", "itemId": "m", "delta": "x"}));
    shared.notification("item/agentMessage/delta", "u", &params, 7);
    assert!(!parked.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_codex_that_ignores_results_delays_no_client() {
    let (shared, turn, _) = begun();
    called(&shared);
    call(&shared, "u", "a", 0);
    let parked = turn.park().unwrap();
    let resumed = parked
        .resume(vec![answer("a")], new_permit(), 0, WAIT)
        .await;
    // It goes on, as any turn without reports does.
    assert!(resumed.is_some());
}

/// An item of the Responses API, as Codex repeats it.
fn item(shared: &SharedTurn, kind: &str) {
    let item = json!({"type": kind, "call_id": "a", "name": "f", "arguments": "{}", "output": ""});
    let params = raw(&json!({"threadId": "t", "turnId": "u", "item": item}));
    shared.notification("rawResponseItem/completed", "u", &params, 7);
}

fn started(shared: &SharedTurn) {
    let params = raw(&json!({"threadId": "t", "turn": {"id": "u", "status": "inProgress"}}));
    shared.notification("turn/started", "", &params, 7);
}

/// What is passed on verbatim: the types of items, or methods.
fn others(turn: &mut Turn) -> Vec<String> {
    let mut events = Vec::new();
    turn.drain(&mut events);
    let others = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Other(other) => {
            let params: Value = serde_json::from_str(&other.params).unwrap();
            Some(
                params["item"]["type"]
                    .as_str()
                    .unwrap_or(&other.method)
                    .to_owned(),
            )
        }
        _ => None,
    });
    others.collect()
}

#[test]
fn of_raw_items_only_calls_are_passed_on() {
    let (shared, mut turn, _) = begun();
    item(&shared, "function_call");
    assert!(others(&mut turn).is_empty(), "it was injected");
    started(&shared);
    for kind in [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "new",
    ] {
        item(&shared, kind);
    }
    responded(&shared, 1);
    assert_eq!(
        others(&mut turn),
        ["function_call", "rawResponse/completed"]
    );
    assert!(!shared.progress().borrow().abandoned);
}

#[test]
fn calls_of_a_complete_response_are_not_probed() {
    let (shared, turn, _) = begun();
    let open = |shared: &SharedTurn| shared.progress().borrow().open_calls;
    started(&shared);
    item(&shared, "function_call");
    call(&shared, "u", "a", 0);
    item(&shared, "function_call");
    call(&shared, "u", "b", 1);
    assert_eq!(open(&shared), 2);
    item(&shared, "function_call");
    responded(&shared, 1);
    // Codex may request the result only after it has reported the end of the response.
    call(&shared, "u", "c", 2);
    assert_eq!(open(&shared), 3);
    assert!(!shared.probe());
    assert!(turn.park().is_some());
}

#[test]
fn a_turn_that_was_probed_ends_with_its_response() {
    for (ending, expected) in [
        (
            "function_call_output",
            ["function_call", "function_call_output"],
        ),
        ("", ["function_call", "rawResponse/completed"]),
    ] {
        let (shared, mut turn, _) = begun();
        started(&shared);
        item(&shared, "function_call");
        call(&shared, "u", "a", 9);
        assert!(shared.probe());
        let (answers, goes_on) = shared.take_replies();
        assert_eq!(
            (answers.len(), answers[0].0.get(), goes_on),
            (1, "9", false)
        );
        assert_eq!(shared.progress().borrow().open_calls, 0);
        match ending {
            "" => responded(&shared, 1),
            kind => item(&shared, kind),
        }
        assert_eq!(others(&mut turn), expected);
        assert!(shared.progress().borrow().abandoned);
        assert!(turn.park().is_none());
    }
}
