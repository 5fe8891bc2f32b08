//! What is told without a call: the same words, the same ending, the same limits, and fewer calls.

use super::*;
use crate::policy_call::{CallResult, observer};
use crate::testing::patched;
use airlock_types::wit::{Notification, Reasoning};

/// All that a client hears: what each batch became, and what came last.
type ReplyOutput = (Vec<Output>, Closing);

fn body(more: &str) -> String {
    format!(r#"{{"model":"m","stream":true,{more}"messages":[{{"role":"user","content":"Hi"}}]}}"#)
}

fn said(message: u32, text: &str) -> Event {
    event(EventKind::Text(Text {
        message,
        phase: None,
        text: text.to_owned(),
    }))
}

fn thought(text: &str) -> Event {
    event(EventKind::Reasoning(Reasoning {
        part: 0,
        raw: false,
        text: text.to_owned(),
    }))
}

/// Each piece in a batch of its own.
fn each(pieces: &[&str]) -> Vec<Vec<Event>> {
    pieces.iter().map(|piece| vec![said(0, piece)]).collect()
}

/// A session of this release whose reply is open.
async fn opened(release: &Release, body: &str) -> Session {
    let mut session = release.session().await.unwrap();
    let plan = session.render(&request(body)).await.unwrap();
    session.open(&context(&plan)).await.unwrap();
    session
}

/// How often policies were fed, asked how more is told, and told what they were not fed.
type Counts = [u64; 3];

fn counts(release: &Release) -> Counts {
    let calls = release.meter().calls(CallPurpose::Serving);
    [&calls.feed, &calls.offer, &calls.relayed].map(|calls| calls.number())
}

/// What comes of these batches, and the calls that it takes.
async fn heard(session: &mut Session, batches: &[Vec<Event>]) -> (ReplyOutput, Counts) {
    let before = counts(session.release());
    let mut told = Vec::new();
    let mut ending = Ending::Completed;
    for batch in batches {
        let fresh = session.feed(batch).await.unwrap();
        if fresh.handoff.is_some() {
            ending = Ending::HandedOff;
        }
        told.push(fresh);
    }
    let closing = session.finish(&ending).await.unwrap();
    let after = counts(session.release());
    let taken = std::array::from_fn(|call| after[call] - before[call]);
    ((told, closing), taken)
}

/// What is heard with patterns, which must be what is heard without, and the calls that it takes.
async fn relayed(release: &Release, body: &str, batches: &[Vec<Event>]) -> (ReplyOutput, Counts) {
    let mut plain = opened(release, body).await;
    let (expected, taken) = heard(&mut plain, batches).await;
    assert_eq!(taken, [batches.len() as u64, 0, 0]);
    let mut session = opened(release, body).await;
    session.relay();
    let (heard, taken) = heard(&mut session, batches).await;
    assert_eq!(heard, expected);
    (heard, taken)
}

#[tokio::test]
async fn a_text_that_goes_on_takes_a_call_and_a_question() {
    let usage = EventKind::Usage(Usage {
        input: 10,
        cached: 4,
        output: 5,
        reasoning: 2,
    });
    let pieces = ["a", "\"\\", "\n\u{8}\u{c}\u{1f}", "\u{7f}é", "🦀\u{2028}"];
    let mut batches = Vec::from(pieces.map(|piece| vec![thought(piece)]));
    batches.extend(each(&pieces));
    batches.push(vec![said(0, "several"), said(0, ""), said(0, " at once")]);
    batches.push(vec![event(usage.clone())]);
    batches.extend(each(&pieces));
    batches.extend(pieces.map(|piece| vec![said(1, piece)]));
    batches.push(vec![said(1, "x"), event(usage), said(1, "y")]);
    let more = r#""include_reasoning":true,"stream_options":{"include_usage":true},"#;
    let (_, taken) = relayed(&release(), &body(more), &batches).await;
    // One of each of the four texts, and what is no text that goes on.
    assert_eq!(taken, [4 + 2, 4, 0]);
}

#[tokio::test]
async fn an_object_is_checked_with_all_that_was_told_of_it() {
    let release = release();
    let more = r#""response_format":{"type":"json_object"},"#;
    let large = "x".repeat(100 << 10);
    let mut long = each(&["{\"a\"", ":", "\""]);
    // More than one event holds, and more than waits for its report.
    long.push(vec![said(0, &large), said(0, &large), said(0, &large)]);
    long.extend(each(&["\"", "}"]));
    for (batches, is_object, reports) in [
        (each(&["{\"a\"", ":", " 1", "}"]), true, 1),
        (each(&["{\"a\"", ":", " 1", "}", "}"]), false, 1),
        (each(&["{\"a\"", ":", " 1"]), false, 1),
        (long, true, 2),
    ] {
        let ((_, closing), taken) = relayed(&release, &body(more), &batches).await;
        assert_eq!(taken, [1, 1, reports]);
        let code = closing.body.err().and_then(|problem| problem.code);
        let expected = (!is_object).then_some("invalid_json_output");
        assert_eq!(code.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_turn_that_calls_is_known_by_all_that_was_told_of_it() {
    let more = r#""tools":[{"type":"function","function":{"name":"f"}}],"#;
    let other = |method: &str, params: &str| {
        event(EventKind::Other(Notification {
            method: method.to_owned(),
            params: params.to_owned(),
        }))
    };
    let call = r#"{"item":{"type":"function_call","name":"f","arguments":"{}","call_id":"1"}}"#;
    let release = release();
    let mut keys = Vec::new();
    for last in ["now", "then"] {
        let mut batches = each(&["I ", "call", " ", last]);
        batches.push(vec![other("rawResponseItem/completed", call)]);
        batches.push(vec![other("rawResponse/completed", "{}")]);
        let ((told, _), taken) = relayed(&release, &body(more), &batches).await;
        assert_eq!(taken, [3, 1, 1]);
        let handoff = told.last().and_then(|told| told.handoff.clone());
        keys.push(handoff.unwrap().key.unwrap());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn who_watches_sees_every_event_as_fed_and_what_clients_see() {
    let release = release();
    let mut batches = each(&["a", "b", "c", "d"]);
    batches.push(vec![said(0, "e"), said(0, "f")]);
    let mut session = opened(&release, &body("")).await;
    let (observer, mut observed) = observer();
    session.observe(observer);
    session.relay();
    let ((told, _), taken) = heard(&mut session, &batches).await;
    assert_eq!(taken, [1, 1, 0], "a policy cannot tell that it is watched");
    drop(session);
    let mut seen = Vec::new();
    while let Some(step) = observed.next().await {
        if let (PolicyCall::Feed(batch), CallResult::Output(told)) = (step.step(), step.answer()) {
            seen.push((batch.clone(), told.clone()));
        }
    }
    // What became one frame is one piece.
    batches[4] = vec![said(0, "ef")];
    let expected: Vec<_> = batches.into_iter().zip(told).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_policy_that_gives_no_patterns_is_fed() {
    let other = patched("policy/relay@", "policy/delay@");
    let mut session = opened(&release_of(&other, 1), &body("")).await;
    session.relay();
    assert!(!session.has_relay());
    let (_, taken) = heard(&mut session, &each(&["a", "b", "c", "d"])).await;
    assert_eq!(taken, [4, 0, 0]);
}

/// A release whose frames may have so many bytes for an event, and for a request.
fn bounded(event_bytes: usize, output_bytes: usize) -> Release {
    let sandbox = SandboxConfig {
        memory_bytes: MEMORY,
        instances: 1,
        event_bytes,
        output_bytes,
        ..SandboxConfig::default()
    };
    let terms = ReleaseOptions {
        allowance: SandboxLimits::of(&sandbox),
        ..terms()
    };
    Release::load(&Engine::new(&sandbox).unwrap(), "test", EMBEDDED, terms).unwrap()
}

#[tokio::test]
async fn what_is_told_without_a_call_counts_like_all_else() {
    for (event_bytes, output_bytes, fits) in [(2 << 10, 1 << 20, 0), (1 << 20, 12 << 10, 2)] {
        let release = bounded(event_bytes, output_bytes);
        let mut session = opened(&release, &body("")).await;
        session.relay();
        for batch in each(&["a", "b", "c"]) {
            session.feed(&batch).await.unwrap();
        }
        let large = [said(0, &"x".repeat(4 << 10))];
        for _ in 0..fits {
            session.feed(&large).await.unwrap();
        }
        assert!(session.relays(&large));
        let fault = session.feed(&large).await.unwrap_err();
        let Fault::AnswerTooLarge(cause, _) = fault else {
            panic!("{fault}")
        };
        assert!(matches!(*cause, Fault::TooLong(_)), "{cause}");
        assert_eq!(counts(&release), [1, 1, 0]);
    }
}
