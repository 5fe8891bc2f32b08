//! Tests of the buffer's limits.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use airlock_types::wit::Text;

fn text(source: u32, text: &str) -> Event {
    Event {
        source,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: text.to_owned(),
            item: None,
        }),
    }
}

fn bounded(
    candidate_bytes: usize,
    fan_out_bytes: usize,
    turn_buffer_bytes: usize,
) -> CandidateBuffer {
    let limits = ServerLimits {
        candidate_bytes,
        fan_out_bytes,
        ..ServerLimits::default()
    };
    CandidateBuffer::new(3, &limits, turn_buffer_bytes)
}

fn codes(over: &[(u32, Failure)]) -> Vec<(u32, &str)> {
    over.iter()
        .map(|(source, failure)| (*source, failure.problem.code.as_deref().unwrap()))
        .collect()
}

#[test]
fn a_candidate_with_too_much_text_is_cut_off_and_frees_its_bytes() {
    let mut buffer = bounded(10, 15, 1 << 20);
    let fresh = vec![
        text(1, "12345678"),
        text(2, "1234"),
        text(1, "901"),
        text(1, "2"),
    ];
    let (taken, over) = buffer.append(fresh);
    assert_eq!(codes(&over), [(1, "candidate_too_large")]);
    assert_eq!(taken.len(), 2, "nothing more of it is passed on");
    // Together they are 15 with the third, and no more.
    let (_, over) = buffer.append(vec![text(3, "1")]);
    assert_eq!(codes(&over), [(3, "candidate_too_large")]);
    for failed in [1, 3] {
        buffer.settle(failed, Ending::Interrupted).unwrap();
    }
    assert!(buffer.append(vec![text(2, "567890")]).1.is_empty());
    let outcome = buffer.settle(2, Ending::Completed).unwrap();
    assert_eq!(outcome.messages[0].text, "1234567890");
}

#[test]
fn a_candidate_ends_once_and_answers_once() {
    let mut buffer = bounded(100, 100, 1 << 20);
    buffer.append(vec![text(1, "one"), text(2, "two")]);
    assert!(buffer.settle(1, Ending::Completed).is_some());
    assert!(buffer.settle(1, Ending::Completed).is_none());
    assert!(buffer.settle(0, Ending::Completed).is_none());
    assert!(buffer.settle(4, Ending::Completed).is_none());
    assert!(buffer.settle(2, Ending::Interrupted).is_some());
    assert!(buffer.answer(2).is_none() && buffer.answer(3).is_none() && buffer.answer(9).is_none());
    let (messages, ending) = buffer.answer(1).unwrap();
    assert_eq!(
        (messages[0].text.as_str(), ending),
        ("one", Ending::Completed)
    );
    assert!(buffer.answer(1).is_none());
}

#[test]
fn a_consulted_turn_has_its_own_transcript() {
    let mut buffer = bounded(4, 100, 1 << 20);
    buffer.consult(4);
    assert!(buffer.append(vec![text(4, "1234")]).1.is_empty());
    assert_eq!(buffer.consulted(Ending::Completed).messages[0].text, "1234");
    buffer.consult(5);
    let (_, over) = buffer.append(vec![text(5, "12345")]);
    assert_eq!(codes(&over), [(5, "candidate_too_large")]);
    assert!(buffer.consulted(Ending::Interrupted).messages.is_empty());
}

#[test]
fn pending_events_are_bounded_and_joined() {
    let mut buffer = bounded(1 << 20, 1 << 20, 0);
    let mut waiting = Vec::new();
    for _ in 0..3 * COMPACT_FROM {
        let (taken, over) = buffer.append(vec![text(1, "a"), text(2, "b")]);
        assert!(over.is_empty());
        waiting.extend(taken);
        buffer.compact(&mut waiting);
    }
    assert!(
        waiting.len() <= COMPACT_FROM + 2,
        "{} events",
        waiting.len()
    );
    buffer.set_pending(&[]);
    // The answer has no transcript, but its events are pending like the others.
    let half = "x".repeat(1 << 19);
    assert!(buffer.append(vec![text(0, &half)]).1.is_empty());
    let (_, over) = buffer.append(vec![text(0, &half), text(1, "c")]);
    assert_eq!(codes(&over), [(0, "client_too_slow")]);
    buffer.set_pending(&[]);
    assert!(buffer.append(vec![text(0, &half)]).1.is_empty());
}
