//! Patterns by which the host writes the continuation of a text: the frames equal those of `feed`.

use super::*;
use crate::bindings::airlock::policy::types::Notification;
use crate::notes::FanOutTerms;
use crate::tools::{OfferedTool, ToolNotes};

const PIECES: [&str; 6] = [
    "more",
    "\"\\/",
    "\n\r\t",
    "\u{0}\u{8}\u{c}\u{1f}",
    "\u{7f}é\u{2028}",
    "🦀",
];

/// The options of a streamed request.
fn streams() -> Vec<PlanNotes> {
    let mut all = Vec::new();
    for include_usage in [false, true] {
        for structure in [Structure::Free, Structure::Object, Structure::Schema] {
            for tools in [None, Some(tools())] {
                all.push(PlanNotes {
                    streaming: true,
                    include_usage,
                    reasoning: true,
                    structure,
                    effort: None,
                    fan_out: None,
                    tools,
                    ..PlanNotes::default()
                });
            }
        }
    }
    all
}

fn stream() -> PlanNotes {
    PlanNotes {
        streaming: true,
        reasoning: true,
        ..PlanNotes::default()
    }
}

fn tools() -> ToolNotes {
    let offered = OfferedTool {
        name: "f".to_owned(),
        path: None,
        strict: None,
    };
    ToolNotes {
        offered: vec![offered],
        conversation: "c".to_owned(),
        ..ToolNotes::default()
    }
}

fn fan_out(shown: bool) -> PlanNotes {
    let requested = FanOutTerms {
        candidates: 2,
        shown,
        ..FanOutTerms::default()
    };
    PlanNotes {
        fan_out: Some(requested),
        ..stream()
    }
}

/// The frame that the host writes by a pattern.
fn written(pattern: &Pattern, text: &str) -> Frame {
    let text = serde_json::to_string(text).unwrap();
    let text = text.replace('\u{2028}', "\\u2028");
    let data = [pattern.before.as_str(), &text, pattern.after.as_str()];
    Frame {
        event: pattern.event.clone(),
        data: data.concat(),
        number: None,
    }
}

/// The pattern after these events.
fn offered(notes: &PlanNotes, events: &[Event]) -> Option<Pattern> {
    let mut reply = reply(notes);
    assert_eq!(reply.offer(), None, "nothing was sent");
    reply.feed(events.to_vec());
    reply.offer()
}

#[test]
fn a_pattern_writes_the_frames_that_feed_would() {
    for notes in streams() {
        let content = |piece: &str| text(3, Some(Phase::FinalAnswer), piece);
        let thought = |piece: &str| reasoning(2, true, piece);
        let fields: [&dyn Fn(&str) -> Event; 2] = [&content, &thought];
        for field in fields {
            let mut reply = reply(&notes);
            reply.feed(vec![field("One")]);
            let pattern = reply.offer().unwrap();
            for piece in PIECES {
                let replied = reply.feed(vec![field(piece)]).frames;
                assert_eq!(replied, [written(&pattern, piece)], "{notes:?}");
                assert_eq!(reply.offer().as_ref(), Some(&pattern));
            }
            let replied = reply.feed(Vec::from(PIECES.map(field))).frames;
            assert_eq!(replied, [written(&pattern, &PIECES.concat())]);
        }
    }
}

#[test]
fn only_content_that_is_needed_later_is_reported() {
    for notes in streams() {
        let matters = notes.tools.is_some() || notes.structure == Structure::Object;
        let pattern = offered(&notes, &[text(0, None, "a")]).unwrap();
        assert_eq!(pattern.report, matters, "{notes:?}");
        let pattern = offered(&notes, &[reasoning(0, false, "a")]).unwrap();
        assert!(!pattern.report, "{notes:?}");
    }
}

#[test]
fn no_pattern_is_offered_if_the_next_frame_differs() {
    let usage = || {
        event(EventKind::Usage(Usage {
            input: 1,
            cached: 0,
            output: 1,
            reasoning: 0,
        }))
    };
    let other = event(EventKind::Other(Notification {
        method: "item/started".to_owned(),
        params: "{}".to_owned(),
    }));
    let answer_text = || text(0, None, "a");
    let of = |source: u32, event: Event| Event { source, ..event };
    let restarted = event(EventKind::Restarted(vec![0]));
    let opened = of(1, event(EventKind::Opened("m".to_owned())));
    let object = PlanNotes {
        structure: Structure::Object,
        ..stream()
    };
    let without_reasoning = PlanNotes {
        reasoning: false,
        ..stream()
    };
    let whole = PlanNotes {
        streaming: false,
        ..stream()
    };
    let commentary = text(0, Some(Phase::Commentary), "a");
    for (notes, events) in [
        (stream(), vec![]),
        (stream(), vec![usage()]),
        (stream(), vec![answer_text(), usage()]),
        (stream(), vec![answer_text(), other]),
        (stream(), vec![answer_text(), restarted.clone()]),
        (stream(), vec![answer_text(), restarted, answer_text()]),
        // Of raw reasoning and summary only one is sent.
        (
            stream(),
            vec![reasoning(0, false, "a"), reasoning(0, true, "a")],
        ),
        (without_reasoning, vec![reasoning(0, false, "a")]),
        (object, vec![commentary]),
        (whole.clone(), vec![answer_text()]),
        (whole, vec![reasoning(0, false, "a")]),
        // It is sent twice.
        (fan_out(true), vec![answer_text()]),
        (fan_out(true), vec![opened.clone(), of(1, answer_text())]),
        (fan_out(false), vec![opened, of(1, answer_text())]),
    ] {
        assert_eq!(offered(&notes, &events), None, "{notes:?} {events:?}");
    }
    // After the usage the text may continue.
    let again = [answer_text(), usage(), answer_text()];
    assert_eq!(
        offered(&stream(), &again),
        offered(&stream(), &[answer_text()])
    );
}

#[test]
fn relayed_text_is_part_of_the_checked_object() {
    let notes = PlanNotes {
        structure: Structure::Object,
        ..stream()
    };
    for (end, expected) in [("}", None), ("", Some("invalid_json_output"))] {
        let mut reply = reply(&notes);
        reply.feed(vec![text(0, None, "{\"a\"")]);
        reply.relayed(vec![text(0, None, ": "), text(0, None, "1")]);
        reply.relayed(vec![reasoning(0, false, "is not of it")]);
        reply.feed(vec![text(0, None, end)]);
        let body = reply.finish(Ending::Completed).body;
        let code = body.err().and_then(|problem| problem.code);
        assert_eq!(code.as_deref(), expected);
    }
}

#[test]
fn relayed_text_is_part_of_the_turns_key() {
    let other = |method: &str, params: &str| {
        event(EventKind::Other(Notification {
            method: method.to_owned(),
            params: params.to_owned(),
        }))
    };
    let call = r#"{"item":{"type":"function_call","name":"f","arguments":"{}","call_id":"1"}}"#;
    let calls = vec![
        other("rawResponseItem/completed", call),
        other("rawResponse/completed", "{}"),
    ];
    let notes = PlanNotes {
        tools: Some(tools()),
        ..stream()
    };
    let key = |fed: &[&str], relayed: &[&str]| {
        let pieces = |pieces: &[&str]| -> Vec<Event> {
            pieces.iter().map(|piece| text(0, None, piece)).collect()
        };
        let mut reply = reply(&notes);
        reply.feed(pieces(fed));
        reply.relayed(pieces(relayed));
        let handoff = reply.feed(calls.clone()).handoff;
        handoff.and_then(|handoff| handoff.key).unwrap()
    };
    let known = key(&["I ", "call ", "now."], &[]);
    assert_eq!(key(&["I "], &["call ", "now."]), known);
    assert_ne!(key(&["I "], &[]), known);
}
