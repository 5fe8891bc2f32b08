//! A request with results resumes exactly the turn that it continues.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Attachment, Request, Transport};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::PlanNotes;
use crate::prompt::planned;
use crate::tools::{FunctionCall, key, text_digest};

/// The request with all inputs of a turn.
fn requested() -> Value {
    json!({
        "model": "m",
        "reasoning_effort": "low",
        "reasoning": {"summary": "auto"},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "attachment:0"}},
            ]},
            {"role": "assistant", "content": "A cat."},
            {"role": "developer", "content": "Now look it up."},
            {"role": "user", "content": "Its weight?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look.up", "description": "Looks.", "parameters": {"type": "object"}, "strict": true}},
            {"type": "function", "function": {"name": "weigh"}},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "airlock": {"candidates": [{"hint": "From afar."}]},
    })
}

/// The model's next call, and its result.
fn first_round() -> [Value; 3] {
    [
        json!({"role": "assistant", "content": null, "tool_calls": [
            call("1", "look.up", "{\"b\":1,\"a\":2}"),
            call("2", "weigh", "{"),
        ]}),
        json!({"role": "tool", "tool_call_id": "2", "content": "4 kg"}),
        json!({"role": "tool", "tool_call_id": "1", "content": [
            {"type": "text", "text": "See:"},
            {"type": "image_url", "image_url": {"url": "attachment:1"}},
        ]}),
    ]
}

fn second_round() -> [Value; 2] {
    [
        json!({"role": "assistant", "content": "Once more.", "tool_calls": [call("3", "weigh", "{}")]}),
        json!({"role": "tool", "tool_call_id": "3", "content": ""}),
    ]
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The request with further messages.
fn then(mut body: Value, messages: impl IntoIterator<Item = Value>) -> Value {
    body["messages"].as_array_mut().unwrap().extend(messages);
    body
}

fn plan_with(body: &Value, digests: [&str; 2]) -> Plan {
    let attachments = [0, 1].map(|number| Attachment {
        media_type: "image/png".to_owned(),
        size: 68,
        digest: digests[number].to_owned(),
        path: path(body, &format!("attachment:{number}")),
    });
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: DIALECT.to_owned(),
        body: body.to_string(),
        attachments: attachments.to_vec(),
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
    planned(&request).unwrap_or_else(|problem| panic!("{}: {body}", problem.message))
}

/// The path of the image with this URL.
fn path(body: &Value, url: &str) -> String {
    let messages = body["messages"].as_array().unwrap().iter().enumerate();
    let parts = messages.flat_map(|(message, value)| {
        let parts = value["content"].as_array().into_iter().flatten();
        parts.enumerate().map(move |part| (message, part))
    });
    let found = parts.into_iter().find_map(|(message, (part, value))| {
        (value["image_url"]["url"] == url)
            .then(|| format!("messages[{message}].content[{part}].image_url.url"))
    });
    found.unwrap_or_default()
}

fn plan(body: &Value) -> Plan {
    plan_with(body, ["cat", "scales"])
}

/// The key that the translator gives to the host after it has sent this text and these calls.
fn handed_off(body: &Value, text: &str, calls: &[(&str, &str, &str)]) -> String {
    let tools = PlanNotes::from_text(&plan(body).notes).tools.unwrap();
    let calls: Vec<FunctionCall<'_>> = calls
        .iter()
        .map(|&(id, name, arguments)| FunctionCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        })
        .collect();
    key(&tools.conversation, &text_digest(text), &calls)
}

fn handed_off_first() -> String {
    let calls = [("1", "look.up", r#"{"a": 2, "b": 1}"#), ("2", "weigh", "{")];
    handed_off(&requested(), "", &calls)
}

fn resumed(body: &Value) -> Option<String> {
    plan(body).resume.map(|resume| resume.key)
}

#[test]
fn a_continuation_is_recognized_in_each_round() {
    let first = then(requested(), first_round());
    assert_eq!(resumed(&first), Some(handed_off_first()));

    let second = then(first.clone(), second_round());
    let handed = handed_off(&first, "Once more.", &[("3", "weigh", "{}")]);
    assert_eq!(resumed(&second), Some(handed));

    let resume = plan(&first).resume.unwrap();
    let calls: Vec<&str> = resume
        .results
        .iter()
        .map(|result| result.call.as_str())
        .collect();
    assert_eq!(calls, ["1", "2"]);
    assert_eq!(resume.results[0].output.len(), 2);
    assert!(plan(&first).briefs[0].input.is_empty());
    assert_eq!(resumed(&requested()), None);
}

#[test]
fn fields_that_the_turn_does_not_depend_on_may_change() {
    let known = Some(handed_off_first());
    let body = || then(requested(), first_round());
    let changes: [(&str, Value); 6] = [
        ("stream", json!(true)),
        ("user", json!("ann")),
        ("metadata", json!({"a": "b"})),
        ("parallel_tool_calls", json!(false)),
        ("temperature", json!(1)),
        ("tool_choice", json!("auto")),
    ];
    for (field, value) in changes {
        let mut changed = body();
        changed[field] = value;
        assert_eq!(resumed(&changed), known, "{field}");
    }
    for content in [json!(""), json!([]), json!([{"type": "text", "text": ""}])] {
        let mut changed = body();
        changed["messages"][5]["content"] = content;
        assert_eq!(resumed(&changed), known);
    }
    let mut changed = body();
    changed["messages"][5]
        .as_object_mut()
        .unwrap()
        .remove("content");
    changed["messages"][0]["role"] = json!("developer");
    changed["messages"][1]["name"] = json!("ann");
    // As other clients may serialize it, with the results in another order.
    changed["messages"][5]["tool_calls"][0]["function"]["arguments"] =
        json!("{ \"a\":2,\n\"b\":1 }");
    changed["messages"].as_array_mut().unwrap().swap(6, 7);
    assert_eq!(resumed(&changed), known);
    // The same images with other numbers.
    let mut changed = body();
    changed["messages"][1]["content"][1]["image_url"]["url"] = json!("attachment:1");
    changed["messages"][7]["content"][1]["image_url"]["url"] = json!("attachment:0");
    let plan = plan_with(&changed, ["scales", "cat"]);
    assert_eq!(plan.resume.map(|resume| resume.key), known);
}

#[test]
fn an_edited_conversation_is_not_recognized() {
    let known = handed_off_first();
    let body = || then(requested(), first_round());
    for (pointer, value) in [
        ("/model", json!("n")),
        ("/model", json!("default")),
        ("/reasoning_effort", json!("high")),
        ("/reasoning/summary", json!("none")),
        ("/response_format", json!({"type": "text"})),
        ("/response_format", json!({"type": "json_object"})),
        ("/response_format/json_schema/schema/title", json!("t")),
        ("/airlock", Value::Null),
        ("/airlock/candidates/0/hint", json!("Closely.")),
        ("/airlock/candidates/0/model", json!("o")),
        ("/tool_choice", json!("required")),
        (
            "/tool_choice",
            json!({"type": "function", "function": {"name": "weigh"}}),
        ),
        ("/tools/0/function/name", json!("look_up")),
        ("/tools/0/function/description", json!("Sees.")),
        ("/tools/0/function/parameters", json!({})),
        ("/tools/0/function/strict", json!(false)),
        (
            "/tools/1",
            json!({"type": "function", "function": {"name": "measure"}}),
        ),
        ("/messages/0/content", json!("Be long.")),
        ("/messages/1/content/0/text", json!("What was this?")),
        ("/messages/2/content", json!("A dog.")),
        ("/messages/2/role", json!("user")),
        ("/messages/3/content", json!("")),
        ("/messages/4/content", json!("Its weight!")),
        (
            "/messages/4/content",
            json!([{"type": "text", "text": "Its"}, {"type": "text", "text": " weight?"}]),
        ),
        ("/messages/5/content", json!("Let me see.")),
        ("/messages/5/refusal", json!("No.")),
        ("/messages/5/tool_calls/0/function/name", json!("weigh")),
        (
            "/messages/5/tool_calls/0/function/arguments",
            json!("{\"b\":1,\"a\":3}"),
        ),
    ] {
        let mut edited = body();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match edited.pointer_mut(parent).unwrap() {
            Value::Array(members) => members[last.parse::<usize>().unwrap()] = value,
            object => object[last] = value,
        }
        let key = resumed(&edited).unwrap();
        assert_ne!(key, known, "{pointer}");
    }
    // Another image.
    let edited = plan_with(&body(), ["dog", "scales"]);
    assert_ne!(edited.resume.unwrap().key, known);
    // Another id, in the call and its result.
    let text = body().to_string().replace(r#""id":"1""#, r#""id":"9""#);
    let text = text.replace(r#""tool_call_id":"1""#, r#""tool_call_id":"9""#);
    assert_ne!(resumed(&serde_json::from_str(&text).unwrap()), Some(known));
}

#[test]
fn an_earlier_round_counts_with_its_results() {
    let first = then(requested(), first_round());
    let second = then(first.clone(), second_round());
    let known = handed_off(&first, "Once more.", &[("3", "weigh", "{}")]);
    for (pointer, value) in [
        ("/messages/6/content", json!("5 kg")),
        ("/messages/7/content/0/text", json!("Look:")),
        ("/messages/5/content", json!("Let me see.")),
        ("/messages/5/tool_calls/1/function/arguments", json!("}")),
    ] {
        let mut edited = second.clone();
        *edited.pointer_mut(pointer).unwrap() = value;
        assert_ne!(resumed(&edited).unwrap(), known, "{pointer}");
    }
    // The last results are new, so they do not count.
    let mut other = second;
    other["messages"][9]["content"] = json!("anything");
    assert_eq!(resumed(&other), Some(known));
}

#[test]
fn another_continuation_is_not_recognized() {
    let body = || then(requested(), first_round());
    let user = json!({"role": "user", "content": "Well?"});
    assert_eq!(resumed(&then(body(), [user])), None);
    let known = resumed(&body());
    for (field, value) in [
        ("tools", Value::Null),
        ("tools", json!([])),
        ("tool_choice", json!("none")),
        ("parallel_calls", json!(2)),
    ] {
        let mut other = body();
        other[field] = value;
        // Without tools there is a key, which no turn has.
        let key = resumed(&other);
        assert_eq!(key.is_none(), field == "parallel_calls", "{field}");
        assert_ne!(key, known, "{field}");
        assert!(plan(&other).history.len() > 6);
    }
}
