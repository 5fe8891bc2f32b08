//! Calls of the client's functions: how they are sent, and the key of a turn that waits for their results.

mod checks;
mod hostile;

use serde_json::json;

use super::*;
use crate::bindings::airlock::policy::types::{Notification, Problem};
use crate::bindings::exports::airlock::policy::translate::Handoff;
use crate::notes::FanOutTerms;
use crate::tools::{self, FunctionCall, OfferedTool, ToolNotes};

fn tools() -> ToolNotes {
    let offer = |name: &str, strict: Option<&str>| OfferedTool {
        name: name.to_owned(),
        path: None,
        strict: strict.map(str::to_owned),
    };
    let strict = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#;
    ToolNotes {
        offered: vec![
            offer("f", None),
            offer("get.weather", None),
            offer("s", Some(strict)),
        ],
        conversation: "c".to_owned(),
        ..ToolNotes::default()
    }
}

fn notes(streaming: bool, tools: ToolNotes) -> PlanNotes {
    PlanNotes {
        streaming,
        tools: Some(tools),
        ..PlanNotes::default()
    }
}

fn other(method: &str, params: &str) -> Event {
    event(EventKind::Other(Notification {
        method: method.to_owned(),
        params: params.to_owned(),
    }))
}

fn item(item: &Value) -> Event {
    let params = json!({"threadId": "t", "turnId": "u", "item": item});
    other("rawResponseItem/completed", &params.to_string())
}

fn call(id: &str, name: &str, arguments: &str) -> Event {
    let seen = tools::upstream_name(name);
    item(&json!({
        "type": "function_call", "id": "fc_1", "name": seen, "arguments": arguments, "call_id": id,
    }))
}

fn whole() -> Event {
    other("rawResponse/completed", r#"{"responseId":"r","usage":{}}"#)
}

/// A call as text: id, name, arguments.
type Told = (String, String, String);

/// The output of one reply.
#[derive(Debug, PartialEq)]
struct ReplyOutput {
    handoff: Option<Handoff>,
    content: String,
    calls: Vec<Told>,
    reason: Result<String, Problem>,
}

fn owned(calls: &[(&str, &str, &str)]) -> Vec<Told> {
    let replied = calls.iter();
    replied
        .map(|(id, name, arguments)| {
            (
                (*id).to_owned(),
                (*name).to_owned(),
                (*arguments).to_owned(),
            )
        })
        .collect()
}

/// The calls that the `tool_calls` of a stream amount to, checked as clients do.
fn put_together(frames: &[Frame]) -> (String, Vec<Told>, Option<String>) {
    let (mut content, mut calls, mut reason) = (String::new(), Vec::<Told>::new(), None);
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data, "[DONE]");
    for frame in chunks {
        let chunk: Value = serde_json::from_str(&frame.data).unwrap();
        let Some(choice) = chunk["choices"].get(0) else {
            continue;
        };
        let delta = &choice["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        if let Some(replied) = choice["finish_reason"].as_str() {
            assert_eq!(
                reason.replace(replied.to_owned()),
                None,
                "there is one reason"
            );
        }
        let Some(replied) = delta.get("tool_calls") else {
            continue;
        };
        let [replied] = replied.as_array().unwrap().as_slice() else {
            panic!("{replied}")
        };
        let index = usize::try_from(replied["index"].as_u64().unwrap()).unwrap();
        let arguments = replied["function"]["arguments"].as_str().unwrap();
        if let Some(id) = replied.get("id") {
            assert_eq!(index, calls.len(), "indices count from 0");
            assert_eq!(replied["type"], "function");
            let id = id.as_str().unwrap();
            assert!(!id.is_empty());
            let name = replied["function"]["name"].as_str().unwrap();
            calls.push((id.to_owned(), name.to_owned(), String::new()));
        }
        calls[index].2.push_str(arguments);
    }
    (content, calls, reason)
}

fn streamed(tools: &ToolNotes, events: &[Event], cuts: usize, ending: Ending) -> ReplyOutput {
    let mut reply = reply(&notes(true, tools.clone()));
    let (mut frames, mut handoff) = (Vec::new(), None);
    for batch in batches(events.to_vec(), cuts) {
        let replied = reply.feed(batch);
        assert!(handoff.is_none() || replied.frames.is_empty());
        frames.extend(replied.frames);
        if let Some(replied) = replied.handoff {
            assert_eq!(handoff.replace(replied), None, "there is one handoff");
        }
    }
    let closing = reply.finish(ending);
    if let Err(problem) = &closing.body {
        assert_eq!(closing.frames[0].data, crate::problem::envelope(problem));
        frames.extend(closing.frames.into_iter().skip(1));
    } else {
        frames.extend(closing.frames);
    }
    let (content, calls, reason) = put_together(&frames);
    ReplyOutput {
        handoff,
        content,
        calls,
        reason: closing.body.map(|_| reason.unwrap()),
    }
}

fn collected(tools: &ToolNotes, events: &[Event], cuts: usize, ending: Ending) -> ReplyOutput {
    let mut reply = reply(&notes(false, tools.clone()));
    let mut handoff = None;
    for batch in batches(events.to_vec(), cuts) {
        let replied = reply.feed(batch);
        assert_eq!(replied.frames, []);
        if let Some(replied) = replied.handoff {
            assert_eq!(handoff.replace(replied), None, "there is one handoff");
        }
    }
    let body = reply
        .finish(ending)
        .body
        .map(|body| serde_json::from_str::<Value>(&body).unwrap()["choices"][0].clone());
    let message = body
        .as_ref()
        .map_or(&Value::Null, |choice| &choice["message"]);
    let calls = message.get("tool_calls").map(|calls| {
        let calls = calls.as_array().unwrap();
        assert!(!calls.is_empty());
        assert_ne!(message["content"], "");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let replied = calls.iter().map(|call| {
            assert_eq!(call["type"], "function");
            let function = &call["function"];
            (
                text(&call["id"]),
                text(&function["name"]),
                text(&function["arguments"]),
            )
        });
        replied.collect()
    });
    ReplyOutput {
        handoff,
        content: message["content"].as_str().unwrap_or_default().to_owned(),
        calls: calls.unwrap_or_default(),
        reason: body.map(|choice| choice["finish_reason"].as_str().unwrap().to_owned()),
    }
}

/// The output of a streamed and a collected reply, which must agree however the events are batched. Content is not
/// compared if there is a problem.
fn receive(tools: &ToolNotes, events: &[Event], ending: &Ending) -> ReplyOutput {
    let observed = collected(tools, events, 0, ending.clone());
    for cuts in 0..1 << events.len() {
        assert_eq!(collected(tools, events, cuts, ending.clone()), observed);
        let mut streamed = streamed(tools, events, cuts, ending.clone());
        if observed.reason.is_err() {
            streamed.content.clear();
        }
        assert_eq!(streamed, observed, "cuts {cuts:b}");
    }
    observed
}

fn key(text: &str, calls: &[(&str, &str, &str)]) -> Option<String> {
    let calls: Vec<FunctionCall<'_>> = calls
        .iter()
        .map(|(id, name, arguments)| FunctionCall {
            id: (*id).into(),
            name: (*name).into(),
            arguments: (*arguments).into(),
        })
        .collect();
    Some(tools::key("c", &tools::text_digest(text), &calls))
}

/// The output for calls for which a turn waits.
fn handed(text: &str, calls: &[(&str, &str, &str)], key: Option<String>) -> ReplyOutput {
    ReplyOutput {
        handoff: Some(Handoff { source: 0, key }),
        content: text.to_owned(),
        calls: owned(calls),
        reason: Ok("tool_calls".to_owned()),
    }
}

fn code(observed: &ReplyOutput) -> Option<&str> {
    observed.reason.as_ref().err()?.code.as_deref()
}

#[test]
fn calls_after_text_are_handed_off_with_the_clients_names() {
    let replied = [
        ("1", "get.weather", "{\"city\": \"\u{e9}\\n\"}"),
        ("2", "f", "{}"),
        ("3", "get.weather", "[]"),
    ];
    let mut events = vec![
        text(0, None, "Let me"),
        text(0, None, " see."),
        text(1, None, "So:"),
    ];
    events.extend(replied.map(|(id, name, arguments)| call(id, name, arguments)));
    events.extend([
        whole(),
        text(2, None, "too late"),
        call("4", "f", "{}"),
        whole(),
    ]);
    let text = "Let me see.\n\nSo:";
    let expected = handed(text, &replied, key(text, &replied));
    assert_eq!(receive(&tools(), &events, &Ending::HandedOff), expected);
}

#[test]
fn a_call_alone_has_no_content() {
    let replied = [("1", "f", "{}")];
    let events = [call("1", "f", "{}"), other("item/started", "{}"), whole()];
    let observed = receive(&tools(), &events, &Ending::HandedOff);
    assert_eq!(observed, handed("", &replied, key("", &replied)));
    let mut reply = reply(&notes(false, tools()));
    reply.feed(events.to_vec());
    let body: Value = serde_json::from_str(&reply.finish(Ending::HandedOff).body.unwrap()).unwrap();
    let message = &body["choices"][0]["message"];
    assert_eq!(message.get("content"), Some(&Value::Null));
}

#[test]
fn a_response_without_client_calls_continues_the_turn() {
    let foreign = item(&json!({
        "type": "function_call", "name": "shell", "arguments": "{}", "call_id": "0",
    }));
    let replied = [("1", "f", "{}")];
    let events = [
        whole(),
        foreign.clone(),
        whole(),
        text(0, None, "a"),
        whole(),
        call("1", "f", "{}"),
        whole(),
    ];
    let observed = receive(&tools(), &events, &Ending::HandedOff);
    assert_eq!(observed, handed("a", &replied, key("a", &replied)));
    let observed = receive(&tools(), &events[..5], &Ending::Completed);
    assert_eq!((observed.handoff, observed.calls), (None, Vec::new()));
    assert_eq!(observed.reason.as_deref(), Ok("stop"));
    // One call of each function.
    for events in [
        [foreign.clone(), call("1", "f", "{}"), whole()],
        [call("1", "f", "{}"), foreign, whole()],
    ] {
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(observed, handed("", &replied, None));
    }
}

#[test]
fn calls_of_a_turn_that_cannot_wait_are_sent() {
    for arguments in ["", "{", "{\"a\":1}x", "not JSON\u{0}\"\n"] {
        let replied = [("1", "f", "{}"), ("2", "f", arguments)];
        let events = [call("1", "f", "{}"), call("2", "f", arguments), whole()];
        let observed = receive(&tools(), &events, &Ending::HandedOff);
        assert_eq!(observed, handed("", &replied, None), "{arguments:?}");
    }
}

#[test]
fn missing_ids_are_generated() {
    let without = item(&json!({"type": "function_call", "name": "f", "arguments": "{}"}));
    let events = [
        call("", "f", "1"),
        call("call_1_0", "f", "2"),
        without,
        whole(),
    ];
    let observed = receive(&tools(), &events, &Ending::HandedOff);
    let expected = [
        ("call_1_0_", "f", "1"),
        ("call_1_0", "f", "2"),
        ("call_1_2", "f", "{}"),
    ];
    assert_eq!(observed.calls, owned(&expected));
    assert_eq!(observed.handoff.unwrap().key, None);
}

#[test]
fn a_repeated_call_is_sent_once() {
    let events = [
        call("1", "f", "1"),
        call("2", "f", "2"),
        call("1", "f", "3"),
        whole(),
    ];
    let replied = [("2", "f", "2"), ("1", "f", "3")];
    let observed = receive(&tools(), &events, &Ending::HandedOff);
    assert_eq!(observed, handed("", &replied, None));
}
