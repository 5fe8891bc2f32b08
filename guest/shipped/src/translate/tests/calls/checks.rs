//! What a request asks of its calls, and when they are not told.

use super::*;

#[test]
fn only_the_first_call_is_told_where_one_is_asked_for() {
    let single = ToolNotes {
        single: true,
        ..tools()
    };
    let one = [("1", "f", "{}")];
    let events = [call("1", "f", "{}"), call("2", "s", "{}"), whole()];
    let heard = receive(&single, &events, &Ending::HandedOff);
    assert_eq!(heard.calls, owned(&one));
    assert_eq!(heard.handoff.unwrap().key, None);
    let heard = receive(
        &single,
        &[call("1", "f", "{}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(heard, handed("", &one, key("", &one)));
}

#[test]
fn a_demand_for_a_call_is_checked() {
    let required = ToolNotes {
        required: true,
        ..tools()
    };
    let words = [text(0, None, "no"), whole()];
    let heard = receive(&required, &words, &Ending::Completed);
    assert_eq!(code(&heard), Some("tool_choice_unmet"));
    // A call of a response that never became whole is none.
    let cut = [call("1", "f", "{}"), text(0, None, "no")];
    let heard = receive(&required, &cut, &Ending::Completed);
    assert_eq!(code(&heard), Some("tool_choice_unmet"));
    for (shortfall, reason) in [
        (Shortfall::MaxOutputTokens, "length"),
        (Shortfall::ContentFilter, "content_filter"),
    ] {
        let heard = receive(&required, &cut, &Ending::Incomplete(shortfall));
        assert_eq!(
            (heard.reason.as_deref(), heard.calls.len()),
            (Ok(reason), 0)
        );
    }
    let heard = receive(&required, &words, &Ending::Interrupted);
    assert_eq!(code(&heard), Some("turn_interrupted"));
    let heard = receive(
        &required,
        &[call("1", "f", "{}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(heard.reason.as_deref(), Ok("tool_calls"));
}

#[test]
fn a_strict_schema_is_checked() {
    let good = [("1", "s", "{\"a\": 1}")];
    let heard = receive(
        &tools(),
        &[call("1", "s", "{\"a\": 1}"), whole()],
        &Ending::HandedOff,
    );
    assert_eq!(heard, handed("", &good, key("", &good)));
    for (arguments, place) in [
        ("{\"a\":\"secret\"}", "at `a` they have the wrong type"),
        ("{}", "they lack `a`"),
        ("secret", "they are not JSON"),
    ] {
        let events = [call("1", "f", "{}"), call("2", "s", arguments), whole()];
        let heard = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(code(&heard), Some("strict_unmet"));
        let problem = heard.reason.unwrap_err();
        assert!(problem.message.contains(place), "{}", problem.message);
        assert!(problem.message.contains("`s`") && !problem.message.contains("secret"));
        assert_eq!((heard.calls.len(), heard.handoff.unwrap().key), (0, None));
    }
}

#[test]
fn a_stream_that_was_spoiled_hands_nothing_off() {
    let events = [
        text(0, None, "a"),
        event(EventKind::Restarted(vec![0])),
        text(1, None, "b"),
        call("1", "f", "{}"),
        whole(),
    ];
    let heard = streamed(&tools(), &events, 0, Ending::HandedOff);
    assert_eq!(code(&heard), Some("stream_restarted"));
    assert_eq!((heard.calls.len(), heard.handoff.unwrap().key), (0, None));
    let told = [("1", "f", "{}")];
    let heard = collected(&tools(), &events, 0, Ending::HandedOff);
    assert_eq!(heard, handed("b", &told, key("b", &told)));
}

#[test]
fn a_structure_is_asked_only_of_an_answer_in_words() {
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
        let told = reply.feed(vec![call("1", "f", "{}"), whole()]);
        let expected = key("words", &[("1", "f", "{}")]);
        assert_eq!(told.handoff.unwrap().key, expected);
        let body = reply.finish(Ending::HandedOff).body.unwrap();
        assert!(!body.contains("I look."));
    }
}
