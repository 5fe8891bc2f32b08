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

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Loaded, ObjectStatus, Request, StoredObject, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{Closing, ObjectEnd};
use airlock_shipped_policy::translate::ReplyTranslator;
use airlock_shipped_policy::{MESSAGES_DIALECT, RESPONSES_DIALECT, prompt};
use serde::Deserialize;
use serde_json::{Value, json};

use events::{ARRIVED, EndingSpec, EventSpec, end, event};
use show::{show_frames, show_handoff, show_head, show_object_end, show_problem};

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

/// The translator of a case.
fn translator(case: &ReplyCase, streaming: bool) -> ReplyTranslator {
    let mut notes = case.notes.clone();
    notes["streaming"] = streaming.into();
    ReplyTranslator::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: String::new(),
        model: "gpt-5.5".to_owned(),
        notes: notes.to_string(),
        seed: "5eed".to_owned(),
    })
}

fn translate(out: &mut String, case: ReplyCase, streaming: bool) {
    let mut reply = translator(&case, streaming);
    let mut sent = 0;
    for batch in case.batches {
        let output = reply.feed(batch.into_iter().map(event).collect());
        if streaming {
            out.push_str("--- feed\n");
        }
        show_head(out, output.head.as_deref());
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
    show_object_end(out, closing.object.as_ref());
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
    rendered_as(RESPONSES_DIALECT, &response_body(input, stream))
}

/// A request to the Responses API with these items.
fn response_body(input: &Value, stream: bool) -> Value {
    json!({
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
    })
}

fn rendered_as(dialect: &str, body: &Value) -> Plan {
    rendered_with(dialect, body, None)
}

/// As `rendered_as`, for which the host has loaded this.
fn rendered_with(dialect: &str, body: &Value, loaded: Option<Loaded>) -> Plan {
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
        loaded,
    };
    match prompt::render(&request).unwrap() {
        Action::Run(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// The key of the turn that a reply hands off after these events, and its body.
fn handed_off(dialect: &str, plan: Plan, events: Value) -> (String, Value) {
    let (key, closing) = closed(dialect, plan, events);
    let body = serde_json::from_str(&closing.body.unwrap()).unwrap_or_default();
    (key, body)
}

/// As `handed_off`, with the reply's end.
fn closed(dialect: &str, plan: Plan, events: Value) -> (String, Closing) {
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
    let closing = reply.finish(end(&EndingSpec::HandedOff));
    (output.handoff.unwrap().key.unwrap(), closing)
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

#[test]
fn a_stored_response_is_continued_by_outputs_alone() {
    for stream in [true, false] {
        let mut plan = rendered_response(&json!([{"role": "user", "content": "Hi"}]), stream);
        let object = plan.object.take().unwrap();
        let events = json!([
            {"raw_item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA=="}},
            {"commentary": [0, "First. "]},
            {"call": ["call_1", plan.tools[0].name, "{\"b\": 1, \"a\": 2}"]},
            {"response": "resp_1"},
        ]);
        let (key, closing) = closed(RESPONSES_DIALECT, plan, events);
        let ended = closing.object.unwrap();
        let stored = StoredObject {
            key: object.key,
            format: object.format,
            head: ended.head,
            status: ObjectStatus::Ended,
            has_log: false,
            items: [object.items, ended.items].concat(),
        };
        let loaded = Loaded {
            objects: vec![stored],
            items: Vec::new(),
        };
        let output = json!({"type": "function_call_output", "call_id": "call_1", "output": "ok"});
        let mut body = response_body(&json!([output]), stream);
        body["previous_response_id"] = json!("resp_5eed");
        let plan = rendered_with(RESPONSES_DIALECT, &body, Some(loaded));
        assert_eq!(plan.resume.unwrap().key, key);
        assert_eq!(plan.history.len(), 5);
        assert!(plan.history[1].contains("gA=="), "{:?}", plan.history);
        assert_eq!(plan.object.unwrap().base.as_deref(), Some("resp_5eed"));
    }
}

/// What is stored of a reply, if it runs in the background.
fn stored_end(text: &str, streaming: bool) -> ObjectEnd {
    let mut case: ReplyCase = serde_json::from_str(text).unwrap();
    case.notes["dialect"]["responses"]["stored"] = json!({"background": true});
    let mut reply = translator(&case, streaming);
    for batch in case.batches {
        reply.feed(batch.into_iter().map(event).collect());
    }
    reply.finish(end(&case.ending)).object.unwrap()
}

#[test]
fn a_stream_stores_what_a_whole_response_stores() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replies");
    let mut compared = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_case = name.starts_with("responses_") && name.ends_with(".json");
        // A body has the candidates of a fan-out, which a stream has sent, and another answer in place of a void one.
        if !is_case || name.contains("fan_out") || name.contains("restarted") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (streamed, whole) = (stored_end(&text, true), stored_end(&text, false));
        assert_eq!(streamed, whole, "{name}");
        let head: Value = serde_json::from_str(&whole.head).unwrap();
        let output = head["response"]["output"].as_array().unwrap();
        assert_eq!(output.len(), whole.items.len(), "{name}");
        for (shown, item) in output.iter().zip(&whole.items) {
            assert_eq!(shown["id"], item.id, "{name}");
            assert_eq!(
                shown.to_string(),
                serde_json::from_str::<Value>(&item.text)
                    .unwrap()
                    .to_string()
            );
        }
        compared += 1;
    }
    assert!(compared > 8, "{compared}");
}
