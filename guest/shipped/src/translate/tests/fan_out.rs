//! The response to a fan-out does not depend on how events are batched.

mod held;
mod void;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::bindings::airlock::policy::types::{Choice, Problem, ProblemKind};
use crate::notes::FanOutTerms;
use crate::problem::upstream;

const HOSTILE: &str = "\n\ndata: [DONE]\r\n\n\"}}],{\\\u{0}\u{2028}";

fn notes(streaming: bool, structure: Structure) -> PlanNotes {
    PlanNotes {
        streaming,
        include_usage: true,
        reasoning: true,
        structure,
        effort: None,
        fan_out: Some(FanOutTerms {
            candidates: 3,
            shown: true,
            strategy: "merge".to_owned(),
            ..FanOutTerms::default()
        }),
        tools: None,
        ..PlanNotes::default()
    }
}

fn of(source: u32, at: u64, kind: EventKind) -> Event {
    Event { source, at, kind }
}

fn opened(source: u32, at: u64) -> Event {
    of(source, at, EventKind::Opened("m".to_owned()))
}

fn candidate_text(source: u32, message: u32, content: &str) -> Event {
    Event {
        source,
        ..text(message, None, content)
    }
}

fn used(source: u32, output: u64) -> Event {
    let usage = Usage {
        input: 1,
        cached: 0,
        output,
        reasoning: 0,
    };
    of(source, 0, EventKind::Usage(usage))
}

fn settled(source: u32, at: u64, ending: Ending) -> Event {
    of(source, at, EventKind::Settled(ending))
}

fn failure() -> Ending {
    Ending::Failed(Problem {
        kind: ProblemKind::Timeout,
        ..upstream("secret_code", "secret words")
    })
}

fn picked(candidate: u32, extra: Option<&str>) -> Event {
    let extra = extra.map(str::to_owned);
    of(0, 0, EventKind::Picked(Choice { candidate, extra }))
}

/// Three candidates, one of which restarts and one fails; an answer that fails; the answer.
fn turns() -> Vec<Event> {
    vec![
        opened(1, 5),
        opened(2, 5),
        opened(3, 5),
        candidate_text(1, 0, "{\"a\""),
        candidate_text(2, 0, HOSTILE),
        candidate_text(1, 0, ": 1}"),
        of(1, 7, EventKind::Restarted(vec![0])),
        used(1, 7),
        candidate_text(1, 1, "{\"a\": 2}"),
        settled(2, 12, failure()),
        settled(1, 15, Ending::Completed),
        settled(3, 16, Ending::Interrupted),
        used(0, 100),
        settled(0, 17, failure()),
        candidate_text(0, 0, "{\"b\""),
        candidate_text(0, 0, ": 3}"),
    ]
}

/// A client's view of a stream: the text and the closing event of each tab, the gathered pieces, and the content.
#[derive(Debug, Default, PartialEq)]
struct ClientView {
    tabs: BTreeMap<u64, String>,
    ends: BTreeMap<u64, Value>,
    gathered: String,
    content: String,
    airlock: Value,
    usage: Value,
}

fn client_view(frames: &[Frame]) -> ClientView {
    let mut observed = ClientView::default();
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data, "[DONE]");
    for frame in chunks {
        assert!(!frame.data.contains(['\n', '\r']), "a frame is one line");
        let chunk: Value = serde_json::from_str(&frame.data).unwrap();
        let replied = &chunk["_toolEvent"];
        if chunk["choices"].get(0).is_none() {
            observed.usage = chunk["usage"].clone();
            continue;
        }
        let choice = &chunk["choices"][0];
        let text = choice["delta"]["content"].as_str().unwrap_or_default();
        observed.content.push_str(text);
        if !choice["finish_reason"].is_null() {
            observed.airlock = chunk["airlock"].clone();
        }
        let Some(kind) = replied["type"].as_str() else {
            assert_eq!(
                observed.gathered, observed.content,
                "one goes before the other"
            );
            continue;
        };
        assert_eq!(choice["delta"], json!({}), "{replied}");
        let tab = replied["tab"].as_u64().unwrap_or_default();
        let text = replied["text"].as_str().unwrap_or_default();
        match kind {
            "codex_gather" => observed.gathered.push_str(text),
            "codex_tab_open" => assert_eq!(observed.tabs.insert(tab, String::new()), None),
            "codex_tab_chunk" => {
                assert!(!observed.ends.contains_key(&tab), "nothing after its end");
                observed.tabs.get_mut(&tab).unwrap().push_str(text);
            }
            "codex_tab_close" | "codex_tab_error" => {
                assert!(observed.tabs.contains_key(&tab), "opened before it ends");
                assert_eq!(
                    observed.ends.insert(tab, replied.clone()),
                    None,
                    "ends once"
                );
            }
            _ => panic!("{replied}"),
        }
    }
    observed
}

/// The output for the events in batches whose ends are the set bits of `cuts`.
fn replied(
    notes: &PlanNotes,
    events: &[Event],
    cuts: usize,
    ending: Ending,
) -> (Vec<Frame>, Closing) {
    let mut reply = reply(notes);
    let mut frames = Vec::new();
    for batch in batches(events.to_vec(), cuts) {
        frames.extend(reply.feed(batch).frames);
    }
    let closing = reply.finish(ending);
    frames.extend(closing.frames.iter().cloned());
    (frames, closing)
}

fn whole(structure: Structure, events: &[Event]) -> Value {
    let notes = notes(false, structure);
    let (frames, closing) = replied(&notes, events, 0, Ending::Completed);
    assert_eq!(frames, []);
    serde_json::from_str(&closing.body.unwrap()).unwrap()
}

#[test]
fn batching_does_not_change_the_response_of_a_fan_out() {
    let expected = ClientView {
        tabs: BTreeMap::from([
            (1, "{\"a\": 1}\n\n{\"a\": 2}".to_owned()),
            (2, HOSTILE.to_owned()),
            (3, String::new()),
        ]),
        ends: BTreeMap::from([
            (
                1,
                json!({"type": "codex_tab_close", "tab": 1, "text": "{\"a\": 2}", "usage": tokens(1, 7)}),
            ),
            (
                2,
                json!({"type": "codex_tab_error", "tab": 2, "message": "it took too long", "exception_type": "server_error"}),
            ),
            (
                3,
                json!({"type": "codex_tab_error", "tab": 3, "message": "stopped: it was no longer needed", "exception_type": "interrupted"}),
            ),
        ]),
        gathered: "{\"b\": 3}".to_owned(),
        content: "{\"b\": 3}".to_owned(),
        airlock: json!({
            "synthesis": {"strategy": "merge", "candidate": null},
            "usage": {"candidates": tokens(1, 7), "synthesis": tokens(1, 100)},
        }),
        usage: tokens(2, 107),
    };
    let body = whole(Structure::Object, &turns());
    // The candidates start at once, so the first two events end no batch.
    for cuts in (0..1 << (turns().len() - 1)).step_by(1 << 2) {
        let notes = notes(true, Structure::Object);
        let (frames, closing) = replied(&notes, &turns(), cuts, Ending::Completed);
        assert_eq!(closing.body, Ok(String::new()));
        assert_eq!(client_view(&frames), expected, "cuts {cuts:b}");
        if cuts % 64 == 0 {
            let collected = PlanNotes {
                streaming: false,
                ..notes
            };
            let (_, closing) = replied(&collected, &turns(), cuts, Ending::Completed);
            let again: Value = serde_json::from_str(&closing.body.unwrap()).unwrap();
            assert_eq!(again, body, "cuts {cuts:b}");
        }
    }
    assert_eq!(body["choices"][0]["message"]["content"], "{\"b\": 3}");
    assert_eq!(body["usage"], expected.usage);
    assert_eq!(body["airlock"]["usage"], expected.airlock["usage"]);
    let candidates = &body["airlock"]["candidates"];
    assert_eq!(candidates[0]["text"], "{\"a\": 2}");
    assert_eq!(candidates[0]["duration_ms"], 10);
    assert_eq!(candidates[1]["text"], "");
    assert_eq!(candidates[1]["error"]["message"], "it took too long");
    assert_eq!(candidates[2]["status"], "interrupted");
    assert!(!body.to_string().contains("secret"));
}

fn tokens(input: u64, output: u64) -> Value {
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

#[test]
fn the_order_of_candidates_is_that_of_their_events() {
    let mut reply = reply(&notes(true, Structure::Free));
    reply.feed(vec![opened(1, 0), opened(2, 0)]);
    let frames = reply
        .feed(vec![
            candidate_text(1, 0, "a"),
            candidate_text(1, 0, "b"),
            candidate_text(2, 0, "c"),
            candidate_text(3, 0, "never opened"),
            candidate_text(4, 0, "consulted"),
            candidate_text(1, 1, "d"),
            settled(1, 0, Ending::Completed),
            candidate_text(1, 1, "too late"),
            settled(1, 0, Ending::Interrupted),
            candidate_text(2, 0, "e"),
        ])
        .frames;
    let pieces: Vec<(u64, String)> = frames
        .iter()
        .map(|frame| {
            let chunk: Value = serde_json::from_str(&frame.data).unwrap();
            let replied = &chunk["_toolEvent"];
            let text = replied["text"].as_str().unwrap();
            (replied["tab"].as_u64().unwrap(), text.to_owned())
        })
        .collect();
    let expected = [(1, "ab"), (2, "c"), (1, "\n\nd"), (1, "ab\n\nd"), (2, "e")];
    assert_eq!(pieces, expected.map(|(tab, text)| (tab, text.to_owned())));
}

#[test]
fn every_tab_is_closed_however_the_response_ends() {
    for count in 0..turns().len() {
        for ending in [Ending::Completed, Ending::Interrupted, failure()] {
            let notes = notes(true, Structure::Free);
            let (frames, closing) = replied(&notes, &turns()[..count], 0, ending.clone());
            let errors = frames
                .iter()
                .filter(|frame| frame.data.starts_with("{\"error\""));
            let fine = ending == Ending::Completed;
            assert_eq!(errors.count(), usize::from(!fine));
            assert_eq!(closing.body.is_ok(), fine);
            let chunks: Vec<Frame> = frames
                .into_iter()
                .filter(|frame| !frame.data.starts_with("{\"error\""))
                .collect();
            let observed = client_view(&chunks);
            assert!(
                observed.tabs.keys().eq(observed.ends.keys()),
                "{count} events"
            );
        }
    }
}

#[test]
fn without_candidates_the_stream_is_plain() {
    let mut hidden = notes(true, Structure::Object);
    if let Some(requested) = &mut hidden.fan_out {
        requested.shown = false;
    }
    let (frames, _) = replied(&hidden, &turns(), 0, Ending::Completed);
    assert!(
        frames
            .iter()
            .all(|frame| !frame.data.contains("_toolEvent"))
    );
    let contents = frames
        .iter()
        .filter(|frame| frame.data.contains("content\":\"{"));
    assert_eq!(contents.count(), 1);
    assert!(
        frames
            .iter()
            .any(|frame| frame.data.contains("\"airlock\":{\"synthesis\""))
    );
}
