//! Requests of the Messages API. The golden cases have the plans; this has what they cannot show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod continuation;
mod hostile;
mod refused;

use serde_json::{Value, json};

use crate::MESSAGES_DIALECT;
use crate::bindings::airlock::policy::types::{Attachment, Problem, Request, Transport};
use crate::bindings::exports::airlock::policy::prompt::{Action, Plan};
use crate::notes::{DialectNotes, PlanNotes};
use crate::prompt::{planned, render};
use crate::reasoning_signature::ReasoningSignature;

fn request(body: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: MESSAGES_DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: vec![Attachment {
            media_type: "image/png".to_owned(),
            size: 68,
            digest: "cat".to_owned(),
            path: "messages[0].content[1].source.data".to_owned(),
        }],
        settings: String::new(),
        nested: false,
        route: "POST /v1/messages".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

/// The plan of a request with these members besides the required ones.
fn plan(members: Value) -> Plan {
    let body = with_required(members);
    planned(&request(&body.to_string())).unwrap_or_else(|problem| panic!("{}", problem.message))
}

fn problem(members: Value) -> Problem {
    let body = with_required(members);
    planned(&request(&body.to_string())).expect_err(&body.to_string())
}

fn with_required(members: Value) -> Value {
    let mut body = json!({
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "x"}],
    });
    let members = members.as_object().cloned().unwrap_or_default();
    body.as_object_mut().unwrap().extend(members);
    body
}

fn signature(id: &str) -> String {
    ReasoningSignature {
        id: id.to_owned(),
        encrypted_content: Some("gAAA".to_owned()),
    }
    .encode()
}

fn thinking(id: &str) -> Value {
    json!({"type": "thinking", "thinking": "Hm.", "signature": signature(id)})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}})
}

fn tool_result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "done"})
}

/// The kinds of the history's items.
fn kinds(plan: &Plan) -> Vec<String> {
    let kind = |item: &String| {
        let item: Value = serde_json::from_str(item).unwrap();
        item["type"].as_str().unwrap().to_owned()
    };
    plan.history.iter().map(kind).collect()
}

fn count(body: &Value) -> u64 {
    let counted = Request {
        route: "POST /v1/messages/count_tokens".to_owned(),
        ..request(&body.to_string())
    };
    let Ok(Action::Respond(response)) = render(&counted) else {
        panic!("no response to {body}");
    };
    let response: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(response.as_object().unwrap().len(), 1);
    response["input_tokens"].as_u64().unwrap()
}

#[test]
fn reasoning_keeps_its_place_before_what_it_led_to() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let plan = plan(json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            thinking("rs_1"), text("a"), text("b"), thinking("rs_2"), tool_use("1"), tool_use("2"),
        ]},
        {"role": "user", "content": [tool_result("2"), tool_result("1"), text("c")]},
        {"role": "assistant", "content": [thinking("rs_3")]},
        {"role": "user", "content": "d"},
    ]}));
    assert_eq!(
        kinds(&plan),
        [
            "message",
            "reasoning",
            "message",
            "reasoning",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "message",
        ]
    );
    assert_eq!(
        plan.history[1],
        r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"}"#
    );
}

#[test]
fn reasoning_stays_in_a_reply_of_several_messages() {
    let text = json!({"type": "text", "text": "a"});
    let assistant = |blocks: Value| json!({"role": "assistant", "content": blocks});
    for continuation in [text, tool_use("1")] {
        let is_call = continuation["type"] == "tool_use";
        let plan = plan(json!({"messages": [
            {"role": "user", "content": "x"},
            assistant(json!([thinking("rs_1")])),
            assistant(json!([])),
            assistant(json!([continuation])),
            {"role": "user", "content": if is_call { json!([tool_result("1")]) } else { json!("y") }},
        ]}));
        let item = if is_call { "function_call" } else { "message" };
        assert_eq!(kinds(&plan)[..3], ["message", "reasoning", item]);
    }
    // Another message ends the reply, and reasoning that led to nothing with it.
    let plan = plan(json!({"messages": [
        {"role": "user", "content": "x"},
        assistant(json!([thinking("rs_1")])),
        {"role": "user", "content": "y"},
        assistant(json!("a")),
        {"role": "user", "content": "z"},
    ]}));
    assert!(!kinds(&plan).contains(&"reasoning".to_owned()));
}

#[test]
fn reasoning_of_others_is_left_out() {
    let without_content = ReasoningSignature {
        id: "rs_1".to_owned(),
        encrypted_content: None,
    };
    for signature in ["EqQBCkgIARABGAIiQL2", "", &without_content.encode()] {
        let block = json!({"type": "thinking", "thinking": "Hm.", "signature": signature});
        let redacted = json!({"type": "redacted_thinking", "data": signature});
        let plan = plan(json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [block, redacted, {"type": "text", "text": "a"}]},
            {"role": "user", "content": "y"},
        ]}));
        assert_eq!(kinds(&plan), ["message", "message"], "{signature}");
    }
}

#[test]
fn redacted_reasoning_has_no_summary() {
    let plan = plan(json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "redacted_thinking", "data": signature("rs_1")},
            {"type": "text", "text": "a"},
        ]},
        {"role": "user", "content": "y"},
    ]}));
    assert_eq!(
        plan.history[1],
        r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#
    );
}

#[test]
fn the_system_prompt_precedes_system_messages_wherever_it_stands() {
    let messages = r#""messages":[{"role":"system","content":"b"},{"role":"user","content":"x"},{"role":"system","content":"c"},{"role":"user","content":"y"}]"#;
    let system = r#""system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"a"}]"#;
    for [one, other] in [[messages, system], [system, messages]] {
        let body = format!(r#"{{"model":"m","max_tokens":1,{one},{other}}}"#);
        let plan = planned(&request(&body)).unwrap();
        assert_eq!(plan.instructions, "a\n\nb");
        assert_eq!(kinds(&plan), ["message", "message"]);
        assert!(plan.history[1].contains(r#""role":"developer""#));
    }
}

#[test]
fn a_thinking_budget_becomes_an_effort() {
    for (thinking, config, effort) in [
        (
            json!({"type": "enabled", "budget_tokens": 1024}),
            json!({}),
            Some("low"),
        ),
        (
            json!({"type": "enabled", "budget_tokens": 4095}),
            json!({}),
            Some("low"),
        ),
        (
            json!({"type": "enabled", "budget_tokens": 4096}),
            json!({}),
            Some("medium"),
        ),
        (
            json!({"type": "enabled", "budget_tokens": 16384}),
            json!({}),
            Some("high"),
        ),
        (
            json!({"type": "enabled", "budget_tokens": 31999}),
            json!({"effort": "low"}),
            Some("low"),
        ),
        (
            json!({"type": "adaptive"}),
            json!({"effort": "max"}),
            Some("max"),
        ),
        (json!({"type": "adaptive"}), json!({}), None),
        (json!({"type": "disabled"}), json!({}), None),
    ] {
        let plan = plan(json!({"thinking": thinking, "output_config": config}));
        let chosen = plan.briefs[0].effort.as_ref();
        assert_eq!(
            chosen.map(|chosen| chosen.name.as_str()),
            effort,
            "{thinking}"
        );
        let is_disabled = thinking["type"] == "disabled";
        assert_eq!(plan.raw_items, !is_disabled);
        let summary = if is_disabled { "none" } else { "auto" };
        assert_eq!(plan.briefs[0].summary.as_deref(), Some(summary));
    }
}

#[test]
fn the_count_is_the_estimate_of_the_stream() {
    let mut body = with_required(json!({
        "system": "Be brief.",
        "tools": [{"name": "f", "description": "Looks.", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "attachment:0"}},
            ]},
            {"role": "assistant", "content": [thinking("rs_1"), tool_use("1")]},
            {"role": "user", "content": [tool_result("1")]},
        ],
    }));
    let plan = planned(&request(&body.to_string())).unwrap();
    let DialectNotes::Messages(notes) = PlanNotes::from_text(&plan.notes).dialect else {
        panic!("other notes: {}", plan.notes);
    };
    body.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(count(&body), notes.input_tokens);
    assert!(notes.input_tokens > 1_200, "{}", notes.input_tokens);

    body["system"] = json!("Be brief, please.");
    assert!(count(&body) > notes.input_tokens);
    body["messages"] = json!([{"role": "user", "content": ""}]);
    body["system"] = Value::Null;
    body["tools"] = json!([]);
    assert_eq!(count(&body), 4);
}

#[test]
fn a_count_needs_a_model_and_messages() {
    for (body, param) in [
        (
            json!({"messages": [{"role": "user", "content": "x"}]}),
            "model",
        ),
        (json!({"model": "m"}), "messages"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{}]}]}),
            "messages.0.content.0.type",
        ),
    ] {
        let counted = Request {
            route: "POST /v1/messages/count_tokens".to_owned(),
            ..request(&body.to_string())
        };
        let problem = render(&counted).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(param));
    }
    let unknown = Request {
        route: "POST /v1/messages/batches".to_owned(),
        ..request("{}")
    };
    assert_eq!(
        render(&unknown).unwrap_err().code.as_deref(),
        Some("unknown_route")
    );
}

#[test]
fn max_tokens_is_required_and_named_even_under_strict() {
    let body = with_required(json!({}));
    let strict = Request {
        settings: r#"{"strict":true}"#.to_owned(),
        ..request(&body.to_string())
    };
    assert_eq!(planned(&strict).unwrap().ignored, ["max_tokens"]);
    let without = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let problem = planned(&request(without)).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("max_tokens"));
}
