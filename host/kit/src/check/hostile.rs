//! Inputs that neither clients nor Codex should send. A policy may refuse or answer them, but must not fail.

use airlock_policy::trial::{Batches, NOW, Trial, broken_stream};
use airlock_types::wit::{
    Choice, Ending, Event, EventKind, Message, Notification, Outcome, Phase, Reasoning, Text, Usage,
};

/// The number of events in the long cases.
const MANY: usize = 100_000;

/// A text with the characters at which some clients end a line.
const LINE_ENDS: [&str; 4] = [
    "a",
    "\u{b}\u{c}\u{1c}\u{1d}\u{1e}",
    "\u{85}\u{2028}\u{2029}",
    "b",
];

/// Bytes of text in the large bodies.
const LARGE: usize = 1 << 20;

/// Levels of nesting.
const DEEP: usize = 100_000;

/// All cases.
pub(super) fn cases() -> Vec<Trial> {
    let mut cases = bodies();
    cases.extend(turns());
    cases.extend(panels());
    cases
}

/// A case with this body, whose turns complete.
fn with_body(name: &'static str, body: String) -> Trial {
    Trial {
        name,
        body,
        outcomes: all_well,
        batches: Box::new(|| once(vec![text_event(0, "fine")])),
        ending: Ending::Completed,
        adverse: true,
    }
}

/// A case with these events, and with further members of the body.
fn with_events(
    name: &'static str,
    more: &str,
    batches: impl Fn() -> Batches + Send + Sync + 'static,
) -> Trial {
    Trial {
        batches: Box::new(batches),
        ..with_body(name, body(more, "Hi"))
    }
}

/// A single batch.
fn once(batch: Vec<Event>) -> Batches {
    Box::new(std::iter::once(batch))
}

/// A batch for each event.
fn one_by_one(events: Vec<Event>) -> Batches {
    Box::new(events.into_iter().map(|event| vec![event]))
}

fn turns() -> Vec<Trial> {
    let stream = r#""stream":true,"#;
    let each = || one_by_one(out_of_order());
    let line_ends = || one_by_one(LINE_ENDS.map(|end| text_event(0, end)).into());
    let silent = || -> Batches { Box::new(std::iter::empty()) };
    let many = |name, more: &str, size| with_events(name, more, move || deltas(size));
    vec![
        with_events("events out of order, streamed", stream, each),
        with_events("events out of order, whole", "", each),
        with_events("a text with line ends of Unicode", stream, line_ends),
        Trial {
            ending: Ending::Failed(broken_stream()),
            ..with_events("events out of order, at once", stream, || {
                once(out_of_order())
            })
        },
        many("100,000 events by 16, streamed", stream, 16),
        many("100,000 events by 16, whole", "", 16),
        many("100,000 events by 1,000, streamed", stream, 1000),
        Trial {
            ending: Ending::Interrupted,
            ..many("a turn with no end", stream, 64)
        },
        with_events("a turn that says nothing", stream, silent),
    ]
}

fn bodies() -> Vec<Trial> {
    let deep = |open: &str, close: &str| {
        let nested = format!("{}1{}", open.repeat(DEEP), close.repeat(DEEP));
        format!(
            r#"{{"model":"default","messages":[{{"role":"user","content":"Hi"}}],"x":{nested}}}"#
        )
    };
    let deep_content = format!(
        r#"{{"model":"default","messages":[{{"role":"user","content":{}{}}}]}}"#,
        "[".repeat(DEEP),
        "]".repeat(DEEP)
    );
    // A lone surrogate, NUL, a byte order mark, a change of direction, combining marks, the last code point.
    let odd = r"\ud800 \udc00\ud800 \u0000 \ufeff \u202e e\u0301\u0301 \u2028 \udbff\udfff";
    let raw = "\u{feff}\u{202e}e\u{301}\u{301}\u{2028}\u{85}\u{10ffff}\u{7f}";
    vec![
        with_body("an empty body", String::new()),
        with_body("a body of 1 MiB", body("", &"lorem 🦀 ".repeat(LARGE / 11))),
        with_body("a body of 1 MiB of quotes", "\"\\".repeat(LARGE / 2)),
        with_body("lists nested 100,000 deep", deep("[", "]")),
        with_body("objects nested 100,000 deep", deep("{\"a\":", "}")),
        with_body("content nested 100,000 deep", deep_content),
        with_body("lists that never end", "[".repeat(DEEP)),
        with_body("odd Unicode, escaped", body(r#""stream":true,"#, odd)),
        with_body("odd Unicode, as it is", body("", raw)),
        with_body("NULs in place of a body", "\0".repeat(100)),
        with_body("other JSON", "[null,1e999,-0,{\"\":\"\"}]".to_owned()),
        with_body(
            "members of the wrong kinds",
            r#"{"model":{},"stream":"yes","messages":{"role":[]},"parallel_calls":-1e308,"tools":7}"#.to_owned(),
        ),
    ]
}

fn panels() -> Vec<Trial> {
    let fan_out = |name, more: &str, outcomes| Trial {
        outcomes,
        ..with_body(name, body(&format!(r#""parallel_calls":3,{more}"#), "Hi"))
    };
    vec![
        fan_out("a panel whose candidates all fail", "", all_failed),
        fan_out(
            "a panel whose candidates say nothing",
            r#""stream":true,"#,
            all_silent,
        ),
        fan_out("a panel whose candidates end twice", "", twice),
    ]
}

/// A request body with further members. `content` is the inside of a JSON string.
fn body(more: &str, content: &str) -> String {
    format!(r#"{{"model":"default",{more}"messages":[{{"role":"user","content":"{content}"}}]}}"#)
}

fn event(source: u32, kind: EventKind) -> Event {
    Event {
        source,
        at: NOW,
        kind,
    }
}

fn text(message: u32, phase: Option<Phase>, text: &str) -> EventKind {
    EventKind::Text(Text {
        message,
        phase,
        text: text.to_owned(),
        item: None,
    })
}

fn text_event(source: u32, content: &str) -> Event {
    event(source, text(0, None, content))
}

/// Many pieces of text, in batches of this size.
fn deltas(size: usize) -> Batches {
    let batch = move |number: usize| {
        let left = MANY - number * size;
        let pieces = (0..left.min(size)).map(|_| text_event(0, "word "));
        pieces.collect()
    };
    Box::new((0..MANY.div_ceil(size)).map(batch))
}

/// Codex's notification of an item as the model made it.
const RAW_ITEM: &str = "rawResponseItem/completed";

fn out_of_order() -> Vec<Event> {
    let usage = |count| {
        EventKind::Usage(Usage {
            input: count,
            cached: u64::MAX,
            output: count,
            reasoning: u64::MAX,
        })
    };
    let reasoning = |part, raw| {
        EventKind::Reasoning(Reasoning {
            part,
            raw,
            text: "\0\u{feff}**x".to_owned(),
            item: None,
        })
    };
    let other = |method: &str, params: &str| {
        EventKind::Other(Notification {
            method: method.to_owned(),
            params: params.to_owned(),
        })
    };
    let picked = |candidate, extra: Option<&str>| {
        EventKind::Picked(Choice {
            candidate,
            extra: extra.map(str::to_owned),
        })
    };
    vec![
        event(0, usage(u64::MAX)),
        event(0, EventKind::Restarted(vec![0, 7, u32::MAX])),
        event(0, reasoning(9, true)),
        event(0, reasoning(1, false)),
        event(0, text(5, Some(Phase::FinalAnswer), "late ")),
        event(0, text(0, Some(Phase::Commentary), "early \0\u{2028}")),
        event(0, text(5, None, "")),
        event(7, text(u32::MAX, None, "from nobody")),
        event(9, EventKind::Settled(Ending::Completed)),
        event(9, EventKind::Settled(Ending::Failed(broken_stream()))),
        event(3, EventKind::Opened(String::new())),
        event(0, EventKind::Opened("x".repeat(10_000))),
        event(0, picked(9, Some("no JSON"))),
        event(0, picked(0, None)),
        event(4, usage(0)),
        event(0, other("item/completed", "no JSON")),
        event(0, other("", "{}")),
        event(0, other(RAW_ITEM, r#"{"item":{"type":"function_call"}}"#)),
        event(
            0,
            other(RAW_ITEM, r#"{"item":{"type":"reasoning","id":7}}"#),
        ),
        event(0, other("rawResponse/completed", "null")),
        event(0, EventKind::Restarted(vec![5, 5])),
        event(0, EventKind::Settled(Ending::Interrupted)),
        event(u32::MAX, EventKind::Settled(Ending::HandedOff)),
        text_event(0, "after its end"),
    ]
}

fn outcome(ending: Ending, text: Option<&str>) -> Outcome {
    let messages = text.map(|text| Message {
        phase: None,
        text: text.to_owned(),
    });
    Outcome {
        ending,
        messages: messages.into_iter().collect(),
    }
}

fn all_well(candidates: u32) -> Vec<(u32, Outcome)> {
    let fine = |candidate| (candidate, outcome(Ending::Completed, Some("fine")));
    (1..=candidates).map(fine).collect()
}

fn all_failed(candidates: u32) -> Vec<(u32, Outcome)> {
    let fail = |candidate| (candidate, outcome(Ending::Failed(broken_stream()), None));
    (1..=candidates).map(fail).collect()
}

fn all_silent(candidates: u32) -> Vec<(u32, Outcome)> {
    let silent = |candidate| (candidate, outcome(Ending::Completed, None));
    (1..=candidates).map(silent).collect()
}

fn twice(candidates: u32) -> Vec<(u32, Outcome)> {
    let both = |candidate| {
        let ends = [Ending::Failed(broken_stream()), Ending::Completed];
        ends.map(|ending| (candidate, outcome(ending, Some("again"))))
    };
    (1..=candidates).flat_map(both).collect()
}
