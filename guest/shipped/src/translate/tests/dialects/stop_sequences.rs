//! Stop sequences end the text at the same place in every dialect, however the events are split.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The longest answer without a stop sequence, and the sequence that ended it.
fn cut(text: &str, stop: &str) -> (String, bool) {
    match text.split_once(stop) {
        Some((before, _)) => (before.to_owned(), true),
        None => (text.to_owned(), false),
    }
}

proptest! {
    #[test]
    fn any_split_stops_at_the_same_place(
        messages in prop::collection::vec("[abé\n]{1,8}", 1..4),
        stop in "[abé\n]{1,4}",
        cuts in any::<u32>(),
        ends in any::<usize>(),
    ) {
        let mut events = Vec::new();
        let mut bit = 0;
        for (number, message) in (0..).zip(&messages) {
            let mut piece = String::new();
            for character in message.chars() {
                piece.push(character);
                bit += 1;
                if cuts & (1 << (bit % 32)) != 0 {
                    events.push(super::super::text(number, None, &std::mem::take(&mut piece)));
                }
            }
            events.push(super::super::text(number, None, &piece));
        }
        let joined = cut(&messages.join("\n\n"), &stop);
        let mut separate = (Vec::new(), false);
        for message in &messages {
            let (text, stopped) = cut(message, &stop);
            if !text.is_empty() {
                separate.0.push(text);
            }
            if stopped {
                separate.1 = true;
                break;
            }
        }
        let separate = (separate.0.join("|"), separate.1);
        let [chat, messages, _] = dialects();
        let expected = [(chat, joined, "stop", "stop"), (messages, separate, "end_turn", "stop_sequence")];
        for (dialect, (expected, stopped), completed, sequence) in expected {
            let mut notes = notes(dialect, true);
            notes.stop = vec![stop.clone()];
            let end = json!(if stopped { sequence } else { completed });
            let frames = streamed(&notes, batches(events.clone(), ends & ((1 << events.len().min(60)) - 1)));
            let (text, _, reason) = received(&frames);
            prop_assert_eq!(&text, &expected);
            prop_assert_eq!(&reason, &end);

            notes.streaming = false;
            let mut reply = reply(&notes);
            let output = reply.feed(events.clone());
            prop_assert_eq!(output.complete, stopped);
            let body: Value = serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
            prop_assert_eq!(whole_text(&body), expected);
            if body["stop_reason"].is_string() {
                prop_assert_eq!(&body["stop_sequence"], &if stopped { json!(stop) } else { Value::Null });
            }
        }
    }
}

#[test]
fn void_messages_are_not_matched() {
    for (dialect, expected) in dialects().into_iter().zip(["a\n\nc", "a|c"]) {
        let mut notes = notes(dialect, false);
        notes.stop = vec!["xy".to_owned()];
        let mut reply = reply(&notes);
        reply.feed(vec![
            text(0, None, "a"),
            text(1, None, "x"),
            event(EventKind::Restarted(vec![1])),
            text(2, None, "c"),
        ]);
        let output = reply.feed(Vec::new());
        assert!(!output.complete);
        let body: Value =
            serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
        assert_eq!(whole_text(&body), expected);
    }
}

#[test]
fn a_void_message_leaves_no_separator_to_match() {
    let events = vec![
        text(0, None, "First attempt"),
        event(EventKind::Restarted(vec![0])),
        text(1, None, "c"),
        text(1, None, "d"),
    ];
    for dialect in dialects() {
        for stop in ["\n", "\n\n", "t\n"] {
            let mut notes = notes(dialect.clone(), false);
            notes.stop = vec![stop.to_owned()];
            let mut reply = reply(&notes);
            assert!(!reply.feed(events.clone()).complete, "{notes:?}");
            let body = reply.finish(Ending::Completed).body.unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(whole_text(&body), "cd", "{notes:?}");
        }
    }
    // The separator of the messages that remain is part of the text.
    let mut notes = notes(DialectNotes::Chat, false);
    notes.stop = vec!["\n".to_owned()];
    let mut reply = reply(&notes);
    let last = text(2, None, "e");
    assert!(reply.feed([events, vec![last]].concat()).complete);
    let body: Value = serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
    assert_eq!(whole_text(&body), "cd");
}

#[test]
fn no_pattern_is_offered_while_stop_sequences_are_matched() {
    for dialect in dialects() {
        let mut notes = notes(dialect, true);
        notes.stop = vec!["xy".to_owned()];
        let mut reply = reply(&notes);
        reply.feed(vec![text(0, None, "a")]);
        assert_eq!(reply.offer(), None);
    }
}

#[test]
fn reasoning_within_a_message_does_not_move_the_cut() {
    let events = vec![
        text(0, None, "abc"),
        reasoning(0, false, "hm"),
        text(0, None, "dxy, more"),
    ];
    for (dialect, sent) in dialects().into_iter().zip(["abcd", "abc||d"]) {
        let mut notes = notes(dialect, true);
        notes.stop = vec!["xy".to_owned()];
        let frames = streamed(&notes, vec![events.clone()]);
        assert_eq!(received(&frames).0, sent);
        notes.streaming = false;
        let mut reply = reply(&notes);
        assert!(reply.feed(events.clone()).complete);
        let body: Value =
            serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
        assert_eq!(whole_text(&body), "abcd");
    }
}
