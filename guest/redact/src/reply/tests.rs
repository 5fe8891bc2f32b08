//! Tests of the translator: the client's view of each turn, streamed and whole.
#![allow(clippy::unwrap_used, reason = "tests")]

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Choice, Notification, ProblemKind, Request, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Action;

use super::*;

/// A secret, and its halves.
const SECRET: &str = "sk-proj-4fT9xQ2mLk8sPz7Wv1Yb3Nc";
const HALVES: [&str; 2] = ["sk-proj-4fT9x", "Q2mLk8sPz7Wv1Yb3Nc"];
const NAMED: &str = "[redacted api key]";

fn reply(members: &str) -> RedactingTranslator {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"?"}}]{members}}}"#);
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: airlock_shipped_policy::DIALECT.to_owned(),
        body,
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    let Action::Run(plan) = airlock_shipped_policy::prompt::render(&request).unwrap() else {
        panic!("a chat completion needs a turn");
    };
    RedactingTranslator::new(&Context {
        id: request.id,
        arrived: 0,
        dialect: request.dialect,
        model: "m".to_owned(),
        notes: plan.notes,
        seed: String::new(),
    })
}

fn text(source: u32, message: u32, text: &str) -> Event {
    let text = Text {
        message,
        phase: None,
        text: text.to_owned(),
        item: None,
    };
    event(source, 0, EventKind::Text(text))
}

fn reasoning(part: u32, text: &str) -> Event {
    let text = text.to_owned();
    let raw = false;
    event(
        0,
        0,
        EventKind::Reasoning(Reasoning {
            part,
            raw,
            text,
            item: None,
        }),
    )
}

/// The concatenated text of one field of a stream's deltas.
fn delta_text(frames: &[String], field: &str) -> String {
    let data = frames.iter().filter(|data| *data != "[DONE]");
    let chunks = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    chunks
        .filter_map(|chunk| {
            let piece = &chunk["choices"][0]["delta"][field];
            piece.as_str().map(str::to_owned)
        })
        .collect()
}

/// The data of all frames, with one event per batch.
fn stream(mut reply: RedactingTranslator, events: Vec<Event>, ending: Ending) -> Vec<String> {
    let mut frames = Vec::new();
    for event in events {
        frames.extend(reply.feed(vec![event]).frames);
    }
    frames.extend(reply.finish(ending).frames);
    frames.into_iter().map(|frame| frame.data).collect()
}

#[test]
fn a_stream_holds_back_as_little_as_possible() {
    let mut reply = reply(r#","stream":true"#);
    let frames = reply
        .feed(vec![text(0, 0, "It is "), text(0, 0, HALVES[0])])
        .frames;
    let frames: Vec<String> = frames.into_iter().map(|frame| frame.data).collect();
    assert_eq!(delta_text(&frames, "content"), "It is ");
    let rest = vec![text(0, 0, HALVES[1]), text(0, 0, ". And s")];
    let frames = stream(reply, rest, Ending::Completed);
    assert_eq!(delta_text(&frames, "content"), format!("{NAMED}. And s"));
    assert_eq!(frames.last().unwrap(), "[DONE]");
}

#[test]
fn messages_and_reasoning_end_in_order() {
    let events = vec![
        reasoning(0, "first s"),
        reasoning(1, HALVES[0]),
        reasoning(1, HALVES[1]),
        text(0, 0, "one, s"),
        text(0, 1, "two, "),
        text(0, 1, SECRET),
    ];
    let reply = reply(r#","stream":true,"include_reasoning":true"#);
    let frames = stream(reply, events, Ending::Completed);
    assert_eq!(
        delta_text(&frames, "reasoning_content"),
        format!("first s\n\n{NAMED}")
    );
    assert_eq!(
        delta_text(&frames, "content"),
        format!("one, s\n\ntwo, {NAMED}")
    );
}

#[test]
fn collected_answers_are_redacted_and_void_text_is_dropped() {
    let mut reply = reply("");
    reply.feed(vec![
        text(0, 0, "void s"),
        event(0, 0, EventKind::Restarted(vec![0])),
        text(0, 1, HALVES[0]),
        text(0, 1, HALVES[1]),
        text(0, 1, " s"),
    ]);
    let body: Value = serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
    let content = &body["choices"][0]["message"]["content"];
    assert_eq!(content, &format!("{NAMED} s"));
}

#[test]
fn candidates_and_choices_are_redacted() {
    let choice = Choice {
        candidate: 1,
        extra: Some(format!(r#"{{"reason":"it knows {SECRET}"}}"#)),
    };
    let events = vec![
        event(1, 0, EventKind::Opened("m".to_owned())),
        event(2, 0, EventKind::Opened("m".to_owned())),
        text(1, 0, HALVES[0]),
        text(2, 0, "mine ends with s"),
        text(1, 0, HALVES[1]),
        event(2, 0, EventKind::Settled(Ending::Completed)),
        event(1, 0, EventKind::Settled(Ending::Completed)),
        event(0, 0, EventKind::Picked(choice)),
        text(0, 0, SECRET),
    ];
    let requested =
        r#","parallel_calls":2,"stream":true,"stream_options":{"include_candidates":true}"#;
    let frames = stream(reply(requested), events, Ending::Completed);
    assert_eq!(delta_text(&frames, "content"), NAMED);
    let all = frames.concat();
    assert!(
        !all.contains(HALVES[0]) && !all.contains(HALVES[1]),
        "{all}"
    );
    assert!(all.contains(&format!("it knows {NAMED}")), "{all}");
    assert!(all.contains(r#""text":"mine ends with s""#), "{all}");
}

#[test]
fn text_before_a_call_is_complete() {
    let mut reply = reply(
        r#","stream":true,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#,
    );
    let other = |method: &str, params: &str| {
        let notification = Notification {
            method: method.to_owned(),
            params: params.to_owned(),
        };
        event(0, 0, EventKind::Other(notification))
    };
    let call = r#"{"item":{"type":"function_call","name":"f","arguments":"{}","call_id":"c"}}"#;
    let all_text = reply.feed(vec![
        text(0, 0, "I call s"),
        other("rawResponseItem/completed", call),
        other("rawResponse/completed", "{}"),
    ]);
    assert!(all_text.handoff.is_some());
    let frames: Vec<String> = all_text.frames.into_iter().map(|it| it.data).collect();
    assert_eq!(delta_text(&frames, "content"), "I call s");
}

#[test]
fn failure_messages_are_redacted() {
    let failed = Ending::Failed(Problem {
        kind: ProblemKind::Upstream,
        code: None,
        message: format!("incorrect key {SECRET}"),
        param: None,
        retry_after_seconds: None,
    });
    let problem = reply("").finish(failed).body.unwrap_err();
    assert_eq!(problem.message, format!("incorrect key {NAMED}"));
}
