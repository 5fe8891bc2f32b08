//! Tests of the events that patterns cover, and of reports.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn text_event(message: u32, text: &str) -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message,
            phase: None,
            text: text.to_owned(),
            item: None,
        }),
    }
}

fn pattern(report: bool) -> Pattern {
    Pattern {
        event: None,
        before: "{\"t\":".to_owned(),
        after: "}".to_owned(),
        report,
        number: None,
    }
}

fn relay(report: bool) -> Relay {
    let mut relay = Relay::default();
    relay.allow();
    assert!(
        !relay.needs_pattern(&[text_event(0, "a")]),
        "one piece does not continue a text"
    );
    relay.fed(&[text_event(0, "a")]);
    assert!(relay.needs_pattern(&[text_event(0, "b")]));
    relay.follow(Some(pattern(report)));
    relay
}

#[test]
fn pieces_that_continue_become_frames_of_the_pattern() {
    let mut relay = relay(false);
    let frame = relay
        .frame(&[text_event(0, "c\"\n\u{8}\u{c}\u{1f}\u{7f}é🦀")])
        .unwrap();
    assert_eq!(frame.data, "{\"t\":\"c\\\"\\n\\b\\f\\u001f\u{7f}é🦀\"}");
    let joined = relay
        .frame(&[text_event(0, "d"), text_event(0, "e")])
        .unwrap();
    assert_eq!(joined.data, "{\"t\":\"de\"}");
    assert_eq!(relay.rest(), []);
}

#[test]
fn a_relayed_frame_has_the_offset_of_its_sequence_number() {
    let mut relay = relay(false);
    relay.follow(Some(Pattern {
        after: ",\"n\":}".to_owned(),
        number: Some(5),
        ..pattern(false)
    }));
    let frame = relay.frame(&[text_event(0, "\"é")]).unwrap();
    let (before, after) = frame.data.split_at(frame.number.unwrap() as usize);
    assert_eq!((before, after), ("{\"t\":\"\\\"é\",\"n\":", "}"));
}

#[test]
fn any_other_event_is_fed_and_ends_the_pattern() {
    let usage = Event {
        source: 0,
        at: 0,
        kind: EventKind::Restarted(Vec::new()),
    };
    for other in [
        vec![text_event(1, "x")],
        vec![usage.clone()],
        vec![text_event(0, "c"), usage],
        vec![Event {
            source: 1,
            ..text_event(0, "x")
        }],
    ] {
        let mut relay = relay(false);
        assert!(relay.frame(&other).is_none());
        assert!(!relay.needs_pattern(&other));
        relay.fed(&other);
        assert!(relay.frame(&[text_event(0, "c")]).is_none());
    }
    let mut relay = relay(false);
    for silent in [
        Vec::new(),
        vec![text_event(0, "")],
        vec![text_event(0, ""); 2],
    ] {
        assert!(relay.frame(&silent).is_none(), "empty pieces are fed");
    }
    assert!(relay.covers(&[text_event(0, ""), text_event(0, "c")]));
}

#[test]
fn a_pattern_is_requested_once_for_each_strand() {
    let mut relay = relay(false);
    relay.follow(None);
    let mut is_requested = |event: Event| {
        let needed = relay.needs_pattern(std::slice::from_ref(&event));
        assert!(relay.frame(std::slice::from_ref(&event)).is_none());
        relay.fed(&[event]);
        needed
    };
    assert!(!is_requested(text_event(0, "c")));
    assert!(!is_requested(text_event(1, "c")));
    assert!(!is_requested(text_event(1, "")), "an empty piece");
    assert!(
        !is_requested(text_event(1, "d")),
        "a piece after an empty one"
    );
    assert!(is_requested(text_event(1, "e")));
    assert!(!is_requested(text_event(1, "f")));
}

#[test]
fn relayed_events_are_reported_once() {
    let mut relay = relay(true);
    relay
        .frame(&[text_event(0, "c"), text_event(0, "d")])
        .unwrap();
    relay.frame(&[text_event(0, "e")]).unwrap();
    assert_eq!(relay.due(), []);
    assert_eq!(relay.rest(), [text_event(0, "cde")]);
    assert_eq!(relay.rest(), []);
    let much = text_event(0, &"x".repeat(UNREPORTED));
    relay.frame(std::slice::from_ref(&much)).unwrap();
    assert_eq!(relay.due(), [much], "the report is due at the bound");
}

#[test]
fn long_texts_are_reported_in_several_events() {
    let mut relay = relay(true);
    let large = "x".repeat(200 << 10);
    let batch = [
        text_event(0, "c"),
        text_event(0, &large),
        text_event(0, &large),
        text_event(0, "d"),
    ];
    relay.frame(&batch).unwrap();
    let expected = [
        text_event(0, &format!("c{large}")),
        text_event(0, &format!("{large}d")),
    ];
    assert_eq!(relay.due(), expected);
}

#[test]
fn nothing_is_relayed_unless_allowed() {
    let mut relay = Relay::default();
    relay.fed(&[text_event(0, "a")]);
    assert!(!relay.needs_pattern(&[text_event(0, "b")]));
}
