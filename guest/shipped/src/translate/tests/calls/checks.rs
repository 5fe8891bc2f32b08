//! The constraints on calls, and when calls are not sent.

use super::*;

#[test]
fn only_the_first_call_is_sent_without_parallel_tool_calls() {
    let single = ToolNotes {
        single: true,
        ..tools()
    };
    let one = [("1", "f", "{}")];
    let events = [call("1", "f", "{}"), call("2", "s", "{}"), whole()];
    let observed = receive(&single, &events, &Ending::HandedOff);
    assert_eq!(observed.calls, owned(&one));
    assert_eq!(observed.handoff.unwrap().key, None);
    let observed = receive(
        &single,
        &[call("1", "f", "{}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(observed, handed("", &one, key("", &one)));
}

#[test]
fn a_required_call_is_checked() {
    let required = ToolNotes {
        required: true,
        ..tools()
    };
    let answer = [text(0, None, "no"), whole()];
    let observed = receive(&required, &answer, &Ending::Completed);
    assert_eq!(code(&observed), Some("tool_choice_unmet"));
    // A call of an incomplete response does not count.
    let cut = [call("1", "f", "{}"), text(0, None, "no")];
    let observed = receive(&required, &cut, &Ending::Completed);
    assert_eq!(code(&observed), Some("tool_choice_unmet"));
    for (shortfall, reason) in [
        (Shortfall::MaxOutputTokens, "length"),
        (Shortfall::ContentFilter, "content_filter"),
    ] {
        let observed = receive(&required, &cut, &Ending::Incomplete(shortfall));
        assert_eq!(
            (observed.reason.as_deref(), observed.calls.len()),
            (Ok(reason), 0)
        );
    }
    let observed = receive(&required, &answer, &Ending::Interrupted);
    assert_eq!(code(&observed), Some("turn_interrupted"));
    let observed = receive(
        &required,
        &[call("1", "f", "{}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(observed.reason.as_deref(), Ok("tool_calls"));
}

#[test]
fn a_strict_schema_is_checked() {
    let good = [("1", "s", "{\"a\": 1}")];
    let observed = receive(
        &tools(),
        &[call("1", "s", "{\"a\": 1}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(observed, handed("", &good, key("", &good)));
    for (arguments, path) in [
        ("{\"a\":\"secret\"}", "at `a` they have the wrong type"),
        ("{}", "they lack `a`"),
        ("secret", "they are not JSON"),
    ] {
        let events = [call("1", "f", "{}"), call("2", "s", arguments), whole()];
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(code(&observed), Some("strict_unmet"));
        let problem = observed.reason.unwrap_err();
        assert!(problem.message.contains(path), "{}", problem.message);
        assert!(problem.message.contains("`s`") && !problem.message.contains("secret"));
        assert_eq!(
            (observed.calls.len(), observed.handoff.unwrap().key),
            (0, None)
        );
    }
}

#[test]
fn a_stream_with_void_answerhands_nothing_off() {
    let events = [
        text(0, None, "a"),
        event(EventKind::Restarted(vec![0])),
        text(1, None, "b"),
        call("1", "f", "{}"),
        whole(),
    ];
    let observed = streamed(&tools(), &events, 0, Ending::HandedOff);
    assert_eq!(code(&observed), Some("stream_restarted"));
    assert_eq!(
        (observed.calls.len(), observed.handoff.unwrap().key),
        (0, None)
    );
    let replied = [("1", "f", "{}")];
    let observed = collected(&tools(), &events, 0, Ending::HandedOff);
    assert_eq!(observed, handed("b", &replied, key("b", &replied)));
}

#[test]
fn the_structure_is_checked_only_without_calls() {
    for streaming in [false, true] {
        let notes = PlanNotes {
            structure: Structure::Object,
            ..notes(streaming, tools())
        };
        let mut reply = reply(&notes);
        reply.feed(vec![
            text(0, Some(Phase::Commentary), "I look."),
            text(1, None, "words"),
        ]);
        let replied = reply.feed(vec![call("1", "f", "{}"), whole()]);
        let expected = key("words", &[("1", "f", "{}")]);
        assert_eq!(replied.handoff.unwrap().key, expected);
        let body = reply.finish(Ending::HandedOff).body.unwrap();
        assert!(!body.contains("I look."));
    }
}
