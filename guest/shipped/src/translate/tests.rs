//! The response does not depend on how events are batched, nor on whether it is streamed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod choices;
mod dialects;
mod fan_out;
mod relay;

use serde_json::Value;

use super::*;
use crate::bindings::airlock::policy::types::{
    EventKind, Phase, Problem, Reasoning, Shortfall, Text, Usage,
};
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::notes::Structure;

fn reply(notes: &PlanNotes) -> ReplyTranslator {
    ReplyTranslator::new(&Context {
        id: "req_1".to_owned(),
        arrived: 1_999,
        dialect: crate::DIALECT.to_owned(),
        model: "m \"1\"".to_owned(),
        notes: notes.to_text(),
        seed: String::new(),
    })
}

fn event(kind: EventKind) -> Event {
    Event {
        source: 0,
        at: 0,
        kind,
    }
}

fn text(message: u32, phase: Option<Phase>, text: &str) -> Event {
    event(EventKind::Text(Text {
        message,
        phase,
        text: text.to_owned(),
        item: None,
    }))
}

fn reasoning(part: u32, raw: bool, text: &str) -> Event {
    event(EventKind::Reasoning(Reasoning {
        part,
        raw,
        text: text.to_owned(),
        item: None,
    }))
}

fn turn() -> Vec<Event> {
    vec![
        reasoning(0, false, "one"),
        reasoning(0, false, " two"),
        text(0, Some(Phase::Commentary), "I \"look\"\n"),
        text(0, Some(Phase::Commentary), ""),
        reasoning(1, false, "three"),
        reasoning(0, true, "raw"),
        text(1, Some(Phase::FinalAnswer), ""),
        text(2, Some(Phase::FinalAnswer), "{\"a\""),
        text(2, Some(Phase::FinalAnswer), ": 1}"),
        event(EventKind::Usage(Usage {
            input: u64::MAX,
            cached: 1,
            output: 1,
            reasoning: 1,
        })),
    ]
}

/// The events in batches whose ends are the set bits of `cuts`.
fn batches(events: Vec<Event>, cuts: usize) -> Vec<Vec<Event>> {
    let mut batches = vec![Vec::new()];
    for (index, event) in events.into_iter().enumerate() {
        batches.last_mut().unwrap().push(event);
        if cuts & (1 << index) != 0 {
            batches.push(Vec::new());
        }
    }
    batches
}

/// A client's view of a stream: content, reasoning, and each finish reason.
fn observed(frames: &[Frame]) -> (String, String, Vec<String>) {
    let (mut content, mut reasoning, mut reasons) = (String::new(), String::new(), Vec::new());
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data, "[DONE]");
    for (index, frame) in chunks.iter().enumerate() {
        let chunk: Value = serde_json::from_str(&frame.data).unwrap();
        let Some(choice) = chunk["choices"].get(0) else {
            assert_eq!(index, chunks.len() - 1, "usage comes last");
            assert_eq!(chunk["usage"]["total_tokens"], u64::MAX);
            continue;
        };
        assert_eq!(chunk["id"], "chatcmpl-1");
        assert_eq!(chunk["created"], 1);
        assert_eq!(chunk["model"], "m \"1\"");
        assert_eq!(
            choice["delta"].get("role").is_some(),
            index == 0,
            "only the first has a role"
        );
        content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        reasoning.push_str(
            choice["delta"]["reasoning_content"]
                .as_str()
                .unwrap_or_default(),
        );
        if let Some(reason) = choice["finish_reason"].as_str() {
            reasons.push(reason.to_owned());
        }
    }
    (content, reasoning, reasons)
}

#[test]
fn batching_does_not_change_the_response() {
    for structure in [Structure::Free, Structure::Object, Structure::Schema] {
        let content = match structure {
            Structure::Free => "I \"look\"\n\n\n{\"a\": 1}",
            Structure::Object | Structure::Schema => "{\"a\": 1}",
        };
        let notes = PlanNotes {
            streaming: true,
            include_usage: true,
            reasoning: true,
            structure,
            ..PlanNotes::default()
        };
        let whole = PlanNotes {
            streaming: false,
            ..notes.clone()
        };
        for cuts in 0..1 << turn().len() {
            let (mut streamed, mut collected) = (reply(&notes), reply(&whole));
            let mut frames = Vec::new();
            for batch in batches(turn(), cuts) {
                frames.extend(streamed.feed(batch.clone()).frames);
                assert_eq!(collected.feed(batch).frames, []);
            }
            let closing = streamed.finish(Ending::Completed);
            assert_eq!(closing.body, Ok(String::new()));
            frames.extend(closing.frames);
            let expected = (
                content.to_owned(),
                "one two\n\nthree".to_owned(),
                vec!["stop".to_owned()],
            );
            assert_eq!(observed(&frames), expected, "cuts {cuts:b}");

            let closing = collected.finish(Ending::Completed);
            assert_eq!(closing.frames, []);
            let body: Value = serde_json::from_str(&closing.body.unwrap()).unwrap();
            let message = &body["choices"][0]["message"];
            assert_eq!(message["content"], content);
            assert_eq!(message["reasoning_content"], "one two\n\nthree");
        }
    }
}

#[test]
fn only_one_json_object_satisfies_json_object() {
    for good in ["{}", " {\"a\": [1, {\"b\": null}]}\n", "{\"a\":1,\"a\":2}"] {
        assert_eq!(Structure::Object.check(good), Ok(()), "{good}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Structure::Object.check(&deep), Ok(()));
    for bad in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "\"{}\"",
        "{} {}",
        "{\"a\":}",
        "```json\n{}\n```",
        "{\"a\":1",
    ] {
        let problem = Structure::Object.check(bad).unwrap_err();
        assert_eq!(
            problem.code.as_deref(),
            Some("invalid_json_output"),
            "{bad}"
        );
    }
}

#[test]
fn a_large_answer_arrives_completely() {
    let large = "0123456789abcde\n".repeat(512 * 1024);
    let mut collected = reply(&PlanNotes::default());
    collected.feed(vec![text(0, None, &large)]);
    let body: Value =
        serde_json::from_str(&collected.finish(Ending::Completed).body.unwrap()).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], large.as_str());

    let mut streamed = reply(&PlanNotes {
        streaming: true,
        ..PlanNotes::default()
    });
    let frames = streamed.feed(vec![text(0, None, &large)]).frames;
    assert_eq!(frames.len(), 2);
    assert!(frames[1].data.len() > large.len());
}
