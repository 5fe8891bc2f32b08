//! Notifications that Codex never sends, and turns that may not call.

use super::*;

#[test]
fn invalid_notifications_are_ignored_and_the_turn_does_not_wait() {
    let long = format!("{{\"item\":{}", "[".repeat(100_000));
    for params in [
        "",
        "null",
        "[]",
        "{}",
        "{\"item\":null}",
        "{\"item\":{}}",
        "{\"item\":{\"type\":\"function_call\"}}",
        "{\"item\":{\"type\":\"function_call\",\"name\":7}}",
        "{\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":{},\"call_id\":\"1\"}}",
        "{\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\",\"call_id\":\"1\",\"namespace\":\"n\"}}",
        &long,
    ] {
        let garbage = other("rawResponseItem/completed", params);
        let observed = receive(&tools(), &[garbage.clone(), whole()], &Ending::Completed);
        assert_eq!(
            (observed.handoff, observed.reason.as_deref()),
            (None, Ok("stop"))
        );
        let events = [garbage, call("9", "f", "{}"), whole()];
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(observed, handed("", &[("9", "f", "{}")], None), "{params}");
    }
}

#[test]
fn a_plain_function_may_have_a_namespace() {
    let spaced = item(&json!({
        "type": "function_call", "name": "f", "arguments": "{}", "call_id": "1", "namespace": "functions",
    }));
    let replied = [("1", "f", "{}")];
    let observed = receive(&tools(), &[spaced, whole()], &Ending::HandedOff);
    assert_eq!(observed, handed("", &replied, key("", &replied)));
}

#[test]
fn other_items_and_missing_fields_are_tolerated() {
    let message = item(&json!({"type": "message", "role": "assistant"}));
    let bare = item(&json!({
        "type": "function_call", "name": "f", "arguments": null, "call_id": null, "namespace": null,
    }));
    let events = [message, bare, other("rawResponse/completed", "garbage")];
    let observed = receive(&tools(), &events, &Ending::HandedOff);
    assert_eq!(observed.calls, owned(&[("call_1_0", "f", "")]));
    assert_eq!(observed.handoff.unwrap().key, None);
}

#[test]
fn large_arguments_arrive_completely() {
    for (repeats, waits) in [(1 << 17, true), (1 << 20, false)] {
        let large = format!("{{\"a\":\"{}\"}}", "\\n\u{e9}".repeat(repeats));
        let events = [call("1", "f", &large), whole()];
        let replied = [("1", "f", large.as_str())];
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(
            observed,
            handed("", &replied, key("", &replied).filter(|_| waits))
        );
    }
}

#[test]
fn a_turn_does_not_wait_if_codex_cannot_parse_the_arguments() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for arguments in [r#"{"a":"\ud800"}"#, deep.as_str(), "{", ""] {
        let events = [call("1", "f", arguments), whole()];
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(observed, handed("", &[("1", "f", arguments)], None));
    }
}

#[test]
fn without_offered_functions_there_are_no_calls() {
    let events = [text(0, None, "a"), call("1", "f", "{}"), whole()];
    let none = receive(&ToolNotes::default(), &events, &Ending::Completed);
    assert_eq!((none.handoff, none.reason.as_deref()), (None, Ok("stop")));
    let claimed = receive(&tools(), &events[..1], &Ending::HandedOff);
    assert_eq!(code(&claimed), Some("turn_interrupted"));
}

#[test]
fn candidates_hand_nothing_off() {
    let mut events = vec![
        Event {
            source: 1,
            ..event(EventKind::Opened("m".to_owned()))
        },
        call("1", "f", "{}"),
        whole(),
    ];
    for fan_out in [None, Some(FanOutTerms::default())] {
        for event in &mut events {
            event.source = u32::from(fan_out.is_none());
        }
        for streaming in [false, true] {
            let notes = PlanNotes {
                fan_out: fan_out.clone(),
                ..notes(streaming, tools())
            };
            let mut reply = reply(&notes);
            assert_eq!(reply.feed(events.clone()).handoff, None);
        }
    }
}
