//! Tests of when a text is told by a pattern, and what of it is reported.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn said(message: u32, text: &str) -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message,
            phase: None,
            text: text.to_owned(),
        }),
    }
}

fn pattern(report: bool) -> Pattern {
    Pattern {
        event: None,
        before: "{\"t\":".to_owned(),
        after: "}".to_owned(),
        report,
    }
}

fn relay(report: bool) -> Relay {
    let mut relay = Relay::default();
    relay.allow();
    assert!(
        !relay.needs_pattern(&[said(0, "a")]),
        "one piece is no text that goes on"
    );
    relay.fed(&[said(0, "a")]);
    assert!(relay.needs_pattern(&[said(0, "b")]));
    relay.follow(Some(pattern(report)));
    relay
}

#[test]
fn pieces_that_go_on_are_told_by_the_pattern() {
    let mut relay = relay(false);
    let frame = relay
        .frame(&[said(0, "c\"\n\u{8}\u{c}\u{1f}\u{7f}é🦀")])
        .unwrap();
    assert_eq!(frame.data, "{\"t\":\"c\\\"\\n\\b\\f\\u001f\u{7f}é🦀\"}");
    let joined = relay.frame(&[said(0, "d"), said(0, "e")]).unwrap();
    assert_eq!(joined.data, "{\"t\":\"de\"}");
    assert_eq!(relay.rest(), []);
}

#[test]
fn whatever_else_happens_is_fed_and_ends_the_pattern() {
    let usage = Event {
        source: 0,
        at: 0,
        kind: EventKind::Restarted(Vec::new()),
    };
    for other in [
        vec![said(1, "x")],
        vec![usage.clone()],
        vec![said(0, "c"), usage],
        vec![Event {
            source: 1,
            ..said(0, "x")
        }],
    ] {
        let mut relay = relay(false);
        assert!(relay.frame(&other).is_none());
        assert!(!relay.needs_pattern(&other));
        relay.fed(&other);
        assert!(relay.frame(&[said(0, "c")]).is_none());
    }
    let mut relay = relay(false);
    for silent in [Vec::new(), vec![said(0, "")], vec![said(0, ""); 2]] {
        assert!(relay.frame(&silent).is_none(), "the policy's to tell");
    }
    assert!(relay.covers(&[said(0, ""), said(0, "c")]));
}

#[test]
fn a_strand_is_asked_about_once() {
    let mut relay = relay(false);
    relay.follow(None);
    let mut asks = |event: Event| {
        let needed = relay.needs_pattern(std::slice::from_ref(&event));
        assert!(relay.frame(std::slice::from_ref(&event)).is_none());
        relay.fed(&[event]);
        needed
    };
    assert!(!asks(said(0, "c")));
    assert!(!asks(said(1, "c")));
    assert!(!asks(said(1, "")), "that tells nothing");
    assert!(
        !asks(said(1, "d")),
        "the policy need not know where that goes"
    );
    assert!(asks(said(1, "e")));
    assert!(!asks(said(1, "f")));
}

#[test]
fn what_must_be_reported_is_kept_and_given_once() {
    let mut relay = relay(true);
    relay.frame(&[said(0, "c"), said(0, "d")]).unwrap();
    relay.frame(&[said(0, "e")]).unwrap();
    assert_eq!(relay.due(), []);
    assert_eq!(relay.rest(), [said(0, "cde")]);
    assert_eq!(relay.rest(), []);
    let much = said(0, &"x".repeat(UNREPORTED));
    relay.frame(std::slice::from_ref(&much)).unwrap();
    assert_eq!(relay.due(), [much], "no more than that is kept");
}

#[test]
fn what_one_event_cannot_hold_is_kept_in_several() {
    let mut relay = relay(true);
    let large = "x".repeat(200 << 10);
    let batch = [said(0, "c"), said(0, &large), said(0, &large), said(0, "d")];
    relay.frame(&batch).unwrap();
    let expected = [said(0, &format!("c{large}")), said(0, &format!("{large}d"))];
    assert_eq!(relay.due(), expected);
}

#[test]
fn nothing_is_relayed_unless_allowed() {
    let mut relay = Relay::default();
    relay.fed(&[said(0, "a")]);
    assert!(!relay.needs_pattern(&[said(0, "b")]));
}
