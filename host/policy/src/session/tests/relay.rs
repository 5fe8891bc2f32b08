//! Relayed texts: the same frames, ending and limits as with `feed`, and fewer calls.

use super::*;
use crate::policy_call::{CallResult, observer};
use crate::testing::patched;
use airlock_types::wit::{Notification, Reasoning};

/// All results of a reply: the output of each batch, and the closing.
type ReplyOutput = (Vec<Output>, Closing);

fn body(more: &str) -> String {
    format!(r#"{{"model":"m","stream":true,{more}"messages":[{{"role":"user","content":"Hi"}}]}}"#)
}

fn text_event(message: u32, text: &str) -> Event {
    event(EventKind::Text(Text {
        message,
        phase: None,
        text: text.to_owned(),
        item: None,
    }))
}

fn thought(text: &str) -> Event {
    event(EventKind::Reasoning(Reasoning {
        part: 0,
        raw: false,
        text: text.to_owned(),
        item: None,
    }))
}

/// Each piece in a batch of its own.
fn each(pieces: &[&str]) -> Vec<Vec<Event>> {
    pieces
        .iter()
        .map(|piece| vec![text_event(0, piece)])
        .collect()
}

/// A session of this release whose reply is open.
async fn opened(release: &Release, body: &str) -> Session {
    let mut session = release.session().await.unwrap();
    let plan = session
        .render(&request(body))
        .await
        .unwrap()
        .plan()
        .unwrap();
    session.open(&context(&plan)).await.unwrap();
    session
}

/// The numbers of calls of `feed`, `offer` and `relayed`.
type Counts = [u64; 3];

fn counts(release: &Release) -> Counts {
    let calls = release.meter().calls(CallPurpose::Serving);
    [&calls.feed, &calls.offer, &calls.relayed].map(|calls| calls.number())
}

/// Feeds these batches. Returns the results and the numbers of calls.
async fn feed_all(session: &mut Session, batches: &[Vec<Event>]) -> (ReplyOutput, Counts) {
    let before = counts(session.release());
    let mut outputs = Vec::new();
    let mut ending = Ending::Completed;
    for batch in batches {
        let fresh = session.feed(batch).await.unwrap();
        if fresh.handoff.is_some() {
            ending = Ending::HandedOff;
        }
        outputs.push(fresh);
    }
    let closing = session.finish(&ending).await.unwrap();
    let after = counts(session.release());
    let taken = std::array::from_fn(|call| after[call] - before[call]);
    ((outputs, closing), taken)
}

/// Feeds these batches with patterns, and asserts that the results are those without. Returns them and the numbers of calls.
async fn relayed(release: &Release, body: &str, batches: &[Vec<Event>]) -> (ReplyOutput, Counts) {
    let mut plain = opened(release, body).await;
    let (expected, taken) = feed_all(&mut plain, batches).await;
    assert_eq!(taken, [batches.len() as u64, 0, 0]);
    let mut session = opened(release, body).await;
    session.relay();
    let (results, taken) = feed_all(&mut session, batches).await;
    assert_eq!(results, expected);
    (results, taken)
}

#[tokio::test]
async fn a_text_that_continues_takes_one_feed_and_one_offer() {
    let usage = EventKind::Usage(Usage {
        input: 10,
        cached: 4,
        output: 5,
        reasoning: 2,
    });
    let pieces = ["a", "\"\\", "\n\u{8}\u{c}\u{1f}", "\u{7f}é", "🦀\u{2028}"];
    let mut batches = Vec::from(pieces.map(|piece| vec![thought(piece)]));
    batches.extend(each(&pieces));
    batches.push(vec![
        text_event(0, "several"),
        text_event(0, ""),
        text_event(0, " at once"),
    ]);
    batches.push(vec![event(usage.clone())]);
    batches.extend(each(&pieces));
    batches.extend(pieces.map(|piece| vec![text_event(1, piece)]));
    batches.push(vec![text_event(1, "x"), event(usage), text_event(1, "y")]);
    let more = r#""include_reasoning":true,"stream_options":{"include_usage":true},"#;
    let (_, taken) = relayed(&release(), &body(more), &batches).await;
    // One call for each of the four texts, and those for other batches.
    assert_eq!(taken, [4 + 2, 4, 0]);
}

#[tokio::test]
async fn an_object_is_checked_with_its_relayed_pieces() {
    let release = release();
    let more = r#""response_format":{"type":"json_object"},"#;
    let large = "x".repeat(100 << 10);
    let mut long = each(&["{\"a\"", ":", "\""]);
    // More than one event holds, so that a report is due earlier.
    long.push(vec![
        text_event(0, &large),
        text_event(0, &large),
        text_event(0, &large),
    ]);
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
async fn a_turn_that_calls_is_known_by_its_relayed_pieces() {
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
        let ((outputs, _), taken) = relayed(&release, &body(more), &batches).await;
        assert_eq!(taken, [3, 1, 1]);
        let handoff = outputs.last().and_then(|output| output.handoff.clone());
        keys.push(handoff.unwrap().key.unwrap());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn observers_see_every_event_as_fed_and_the_frames_of_clients() {
    let release = release();
    let mut batches = each(&["a", "b", "c", "d"]);
    batches.push(vec![text_event(0, "e"), text_event(0, "f")]);
    let mut session = opened(&release, &body("")).await;
    let (observer, mut observed) = observer();
    session.observe(observer);
    session.relay();
    let ((outputs, _), taken) = feed_all(&mut session, &batches).await;
    assert_eq!(taken, [1, 1, 0], "an observer adds no calls");
    drop(session);
    let mut seen = Vec::new();
    while let Some(recorded) = observed.next().await {
        if let (PolicyCall::Feed(batch), CallResult::Output(output)) =
            (recorded.call(), recorded.result())
        {
            seen.push((batch.clone(), output.clone()));
        }
    }
    // The pieces of one frame are joined.
    batches[4] = vec![text_event(0, "ef")];
    let expected: Vec<_> = batches.into_iter().zip(outputs).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_policy_without_relay_is_fed_everything() {
    let other = patched("policy/relay@", "policy/delay@");
    let mut session = opened(&release_of(&other, 1), &body("")).await;
    session.relay();
    assert!(!session.has_relay());
    let (_, taken) = feed_all(&mut session, &each(&["a", "b", "c", "d"])).await;
    assert_eq!(taken, [4, 0, 0]);
}

/// A release with these limits of output.
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
    crate::testing::load(&Engine::new(&sandbox).unwrap(), "test", EMBEDDED, terms).unwrap()
}

#[tokio::test]
async fn relayed_frames_count_against_the_limits() {
    for (event_bytes, output_bytes, fits) in [(2 << 10, 1 << 20, 0), (1 << 20, 12 << 10, 2)] {
        let release = bounded(event_bytes, output_bytes);
        let mut session = opened(&release, &body("")).await;
        session.relay();
        for batch in each(&["a", "b", "c"]) {
            session.feed(&batch).await.unwrap();
        }
        let large = [text_event(0, &"x".repeat(4 << 10))];
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
