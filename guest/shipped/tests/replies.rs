//! Golden tests of replies: events translated into each dialect. A case is a file in `replies/`; a new one needs only
//! its file.
//!
//! A case has the plan's `notes`, the turn's `batches` of events and its `ending`. It is translated as a stream and as a
//! whole body. The snapshot beside it has the expected output.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "golden/events.rs"]
mod events;
#[expect(dead_code, reason = "plans are shown by the other golden tests")]
#[path = "golden/show.rs"]
mod show;

use std::fmt::Write as _;
use std::path::Path;

use airlock_shipped_policy::bindings::airlock::policy::types::{Context, Request, Transport};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::translate::ReplyTranslator;
use airlock_shipped_policy::{MESSAGES_DIALECT, RESPONSES_DIALECT, prompt};
use serde::Deserialize;
use serde_json::{Value, json};

use events::{ARRIVED, EndingSpec, EventSpec, end, event};
use show::{show_frames, show_handoff, show_problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyCase {
    /// What the case shows.
    #[expect(dead_code, reason = "for the reader of the case")]
    about: String,
    /// The plan's notes, without `streaming`.
    notes: Value,
    batches: Vec<Vec<EventSpec>>,
    ending: EndingSpec,
}

#[test]
fn every_reply_matches_its_snapshot() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replies");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut names = Vec::new();
    settings.bind(|| {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut out = String::new();
            for streaming in [true, false] {
                let case: ReplyCase = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                translate(&mut out, case, streaming);
            }
            insta::assert_snapshot!(name.clone(), out);
            names.push(name);
        }
    });
    assert!(names.len() > 10, "the cases are not where they are");
}

fn translate(out: &mut String, case: ReplyCase, streaming: bool) {
    let mut notes = case.notes;
    notes["streaming"] = streaming.into();
    let mut reply = ReplyTranslator::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: String::new(),
        model: "gpt-5.5".to_owned(),
        notes: notes.to_string(),
        seed: "5eed".to_owned(),
    });
    let mut sent = 0;
    for batch in case.batches {
        let output = reply.feed(batch.into_iter().map(event).collect());
        if streaming {
            out.push_str("--- feed\n");
        }
        show_frames(out, &output.frames, &mut sent);
        if let Some(handoff) = &output.handoff {
            show_handoff(out, handoff);
        }
        if output.complete {
            out.push_str("complete\n");
        }
    }
    if streaming {
        out.push_str("--- keep-alive\n");
        show_frames(out, &reply.keep_alive(), &mut sent);
    }
    out.push_str("--- finish\n");
    let closing = reply.finish(end(&case.ending));
    show_frames(out, &closing.frames, &mut sent);
    match closing.body {
        Ok(body) if body.is_empty() => {}
        Ok(body) => {
            assert!(!body.contains('\n'), "the body is one line");
            serde_json::from_str::<Value>(&body).unwrap();
            writeln!(out, "{body}").unwrap();
        }
        Err(problem) => show_problem(out, &problem),
    }
}

/// A request to the Messages API with these messages, rendered.
fn rendered(messages: &Value, stream: bool) -> Plan {
    let body = json!({
        "model": "default",
        "max_tokens": 9,
        "stream": stream,
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "look.up", "input_schema": {"type": "object"}}],
        "messages": messages,
    });
    rendered_as(MESSAGES_DIALECT, &body)
}

/// A request to the Responses API with these items, rendered.
fn rendered_response(input: &Value, stream: bool) -> Plan {
    let body = json!({
        "model": "default",
        "stream": stream,
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {"type": "function", "name": "look.up"},
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
        ],
        "input": input,
    });
    rendered_as(RESPONSES_DIALECT, &body)
}

fn rendered_as(dialect: &str, body: &Value) -> Plan {
    let request = Request {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: dialect.to_owned(),
        body: body.to_string(),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: format!("POST /v1/{dialect}"),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: "5eed".to_owned(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    match prompt::render(&request).unwrap() {
        Action::Run(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// The key of the turn that a reply hands off after these events, and its body.
fn handed_off(dialect: &str, plan: Plan, events: Value) -> (String, Value) {
    let events: Vec<EventSpec> = serde_json::from_value(events).unwrap();
    let mut reply = ReplyTranslator::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: dialect.to_owned(),
        model: "gpt-5.5".to_owned(),
        notes: plan.notes,
        seed: "5eed".to_owned(),
    });
    let output = reply.feed(events.into_iter().map(event).collect());
    let body = reply.finish(end(&EndingSpec::HandedOff)).body.unwrap();
    let body = serde_json::from_str(&body).unwrap_or_default();
    (output.handoff.unwrap().key.unwrap(), body)
}

#[test]
fn a_message_that_is_sent_back_resumes_its_turn() {
    let asked = json!({"role": "user", "content": "Hi"});
    for stream in [true, false] {
        let mut keys = Vec::new();
        let mut answer = Value::Null;
        for streaming in [stream, false] {
            let plan = rendered(&json!([asked]), streaming);
            let name = &plan.tools[0].name;
            let events = json!([
                {"summary_item": [0, "rs_1", "Hm"]},
                {"raw_item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA=="}},
                {"commentary": [0, "First. "]},
                {"final_answer": [1, "Second."]},
                {"call": ["call_1", name, "{\"b\": 1, \"a\": 2}"]},
                {"response": "resp_1"},
            ]);
            let (key, body) = handed_off(MESSAGES_DIALECT, plan, events);
            keys.push(key);
            answer = body;
        }
        assert_eq!(keys[0], keys[1], "a stream has the key of a body");
        assert_eq!(answer["content"].as_array().unwrap().len(), 4);
        let result = json!({"type": "tool_result", "tool_use_id": "call_1", "content": "ok"});
        let second = json!([
            asked,
            {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": [result]},
        ]);
        let resume = rendered(&second, stream).resume.unwrap();
        assert_eq!(resume.key, keys[0]);
    }
}

#[test]
fn a_response_that_is_sent_back_resumes_its_turn() {
    let asked = json!({"role": "user", "content": "Hi"});
    let mut keys = Vec::new();
    let mut output = Vec::new();
    for stream in [true, false] {
        let plan = rendered_response(&json!([asked]), stream);
        let names: Vec<&str> = plan.tools.iter().map(|tool| &*tool.name).collect();
        let events = json!([
            {"summary_item": [0, "rs_1", "Hm"]},
            {"raw_item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA=="}},
            {"commentary": [0, "First. "]},
            {"final_answer": [1, "Second."]},
            {"call": ["call_1", names[0], "{\"b\": 1, \"a\": 2}"]},
            {"call": ["call_2", names[1], "{\"input\": \"x\\n\"}"]},
            {"call": ["call_3", names[2], "{}"]},
            {"response": "resp_1"},
        ]);
        let (key, body) = handed_off(RESPONSES_DIALECT, plan, events);
        keys.push(key);
        output = body["output"].as_array().cloned().unwrap_or_default();
    }
    assert_eq!(keys[0], keys[1], "a stream has the key of a body");
    let kinds: Vec<&str> = output
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    let calls = ["function_call", "custom_tool_call", "function_call"];
    assert_eq!(kinds[..3], ["reasoning", "message", "message"]);
    assert_eq!(kinds[3..], calls);
    let mut input = vec![asked];
    input.extend(output);
    for (index, kind) in calls.iter().enumerate() {
        let call = format!("call_{}", index + 1);
        input.push(json!({"type": format!("{kind}_output"), "call_id": call, "output": "ok"}));
    }
    for stream in [true, false] {
        let plan = rendered_response(&json!(input), stream);
        assert_eq!(plan.resume.unwrap().key, keys[0]);
        assert!(plan.history.iter().any(|item| item.contains("gA==")));
    }
}
