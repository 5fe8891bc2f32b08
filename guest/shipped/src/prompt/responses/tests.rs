//! Requests to the Responses API: refusals with their paths, and what the parser must survive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod not_continued;
mod refused;
mod refused_fields;
mod resumed;
mod retrieved;
mod stored;
mod tools;
mod websocket;

use serde_json::Value;

use crate::RESPONSES_DIALECT;
use crate::bindings::airlock::policy::types::{
    Attachment, Problem, ProblemKind, Request, Transport,
};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{DialectNotes, PlanNotes, ResponsesNotes};
use crate::prompt::planned;
use crate::prompt::tests::mutations::{
    assert_named_if_wrong, assert_refused_at, assert_refused_if_truncated, deep,
};

/// A body that exercises every shape.
const RICH: &str = r#"{"model":"gpt-5.5","instructions":"Be \"brief\".","stream":true,"stream_options":{"include_candidates":false,"x":1},
"input":[{"role":"system","content":"Be kind."},{"type":"message","role":"user","content":[{"type":"input_text","text":"a\u00fc\n"},
{"type":"input_image","image_url":"attachment:0","detail":"low"}]},{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"s"}],
"content":[{"type":"reasoning_text","text":"r"}],"encrypted_content":"e"},{"role":"assistant","phase":"commentary","content":[{"type":"refusal","refusal":"No."}]},
{"type":"web_search_call","id":"ws","status":"completed","action":{"type":"search","query":"q","queries":["q"],"url":"u","pattern":"p"}},
{"type":"function_call","call_id":"c","namespace":"n","name":"f.g","arguments":"{}"},{"type":"custom_tool_call","call_id":"d","name":"x","input":"i"},
{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"r"}]},{"type":"custom_tool_call_output","call_id":"d","output":"o"},
{"type":"compaction","id":"cm","encrypted_content":"airlock.1.eA"},{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"h"}]},
{"role":"user","content":"x"}],
"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},{"type":"web_search"},
{"type":"namespace","name":"n","description":"N","tools":[{"type":"custom","name":"x","format":{"type":"grammar","syntax":"regex","definition":"x"}}]}],
"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"},{"type":"custom","name":"x"}]},
"reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"high","format":{"type":"json_schema","name":"a","strict":true,"description":"d",
"schema":{"type":"object","properties":{"a":{"enum":[1,-2.5e3,null]}}}}},"include":["reasoning.encrypted_content","y"],"metadata":{"a":"b"},
"temperature":0.5,"parallel_tool_calls":true,"safety_identifier":"s","prompt_cache_key":"k","truncation":"auto","made_up":[[]],"top_logprobs":0,
"parallel_calls":2,"airlock":{"synthesis":"judge","candidates":[{"model":"o","effort":"low","hint":"h"},null]}}"#;

fn request(body: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: RESPONSES_DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: vec![Attachment {
            media_type: "image/png".to_owned(),
            size: 68,
            digest: String::new(),
            path: "input[1].content[1].image_url".to_owned(),
        }],
        settings: String::new(),
        nested: false,
        route: "POST /v1/responses".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn plan(body: &str) -> Plan {
    planned(&request(body)).unwrap_or_else(|problem| panic!("{}: {body}", problem.message))
}

fn problem(body: &str) -> Problem {
    planned(&request(body)).expect_err(body)
}

fn notes(plan: &Plan) -> ResponsesNotes {
    match PlanNotes::from_text(&plan.notes).dialect {
        DialectNotes::Responses(notes) => notes,
        other => panic!("{other:?}"),
    }
}

fn echo(plan: &Plan) -> Value {
    serde_json::from_str(&notes(plan).echo).unwrap()
}

#[test]
fn a_truncated_body_is_refused() {
    plan(RICH);
    assert_refused_if_truncated(RICH, problem);
}

#[test]
fn wrong_values_in_any_field_are_refused() {
    assert_named_if_wrong(RICH, 401, |body| {
        let plan = match planned(&request(body)) {
            Ok(plan) => plan,
            Err(problem) => return Some(problem),
        };
        for item in &plan.history {
            let item: Value = serde_json::from_str(item).unwrap();
            assert!(item["type"].is_string(), "{body}");
        }
        assert!(echo(&plan).is_object(), "{body}");
        None
    });
}

#[test]
fn deep_nesting_is_safe_in_any_field() {
    let deep = deep();
    let with = |field: &str| format!(r#"{{"model":"m","input":"x",{field}}}"#);

    // A value that is skipped may nest at any depth.
    for skipped in [
        with(&format!(r#""made_up":{deep}"#)),
        with(&format!(r#""tools":[{{"type":"web_search","a":{deep}}}]"#)),
        format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_text","text":"x","annotations":{deep}}}]}}]}}"#
        ),
    ] {
        plan(&skipped);
    }
    let cases = [
        (format!(r#"{{"input":{deep}}}"#), "input[0]"),
        (
            format!(r#"{{"input":[{{"role":"user","content":{deep}}}]}}"#),
            "input[0].content[0]",
        ),
        (
            format!(r#"{{"input":[{{"type":"reasoning","summary":{deep}}}]}}"#),
            "input[0].summary[0]",
        ),
        (
            format!(r#"{{"input":[{{"type":"web_search_call","action":{deep}}}]}}"#),
            "input[0].action",
        ),
        (with(&format!(r#""tools":{deep}"#)), "tools[0]"),
        (
            with(&format!(
                r#""tools":[{{"type":"namespace","name":"n","tools":{deep}}}]"#
            )),
            "tools[0].tools[0]",
        ),
        (
            with(&format!(
                r#""tools":[{{"type":"function","name":"f","parameters":{{"a":{deep}}}}}]"#
            )),
            "tools[0].parameters",
        ),
        (with(&format!(r#""tool_choice":{deep}"#)), "tool_choice"),
        (with(&format!(r#""metadata":{{"a":{deep}}}"#)), "metadata"),
        (with(&format!(r#""include":{deep}"#)), "include[0]"),
        (
            with(&format!(
                r#""text":{{"format":{{"type":"json_schema","name":"a","schema":{{"a":{deep}}}}}}}"#
            )),
            "text.format.schema",
        ),
    ]
    .map(|(body, param)| (body, Some(param)));
    assert_refused_at(&cases, problem);
}

#[test]
fn an_unreadable_number_within_an_item_is_invalid_json() {
    let body = "{\"model\":\"m\",\n\"input\":[{\"role\":\"user\",\"content\":1e400}]}";
    let problem = problem(body);
    assert_eq!(problem.code.as_deref(), Some("invalid_json"));
    assert_eq!(
        problem.message,
        "the body is not valid JSON: number out of range, at line 2, column 41"
    );
}

#[test]
fn repeated_client_text_is_short() {
    let word = "ü".repeat(100_000);
    for body in [
        format!(r#"{{"input":[{{"role":"{word}"}}]}}"#),
        format!(r#"{{"input":[{{"type":"{word}"}}]}}"#),
        format!(r#"{{"input":[{{"role":"user","content":[{{"type":"{word}"}}]}}]}}"#),
        format!(
            r#"{{"input":[{{"type":"reasoning","summary":[{{"type":"{word}","text":""}}]}}]}}"#
        ),
        format!(r#"{{"tools":[{{"type":"{word}"}}]}}"#),
        format!(r#"{{"tools":[{{"type":"custom","name":"c","format":{{"type":"{word}"}}}}]}}"#),
        format!(r#"{{"tool_choice":"{word}"}}"#),
        format!(r#"{{"tool_choice":{{"type":"{word}"}}}}"#),
        format!(r#"{{"text":{{"verbosity":"{word}"}}}}"#),
        format!(r#"{{"text":{{"format":{{"type":"{word}"}}}}}}"#),
        format!(r#"{{"metadata":{{"{word}":"x"}}}}"#),
        format!(r#"{{"metadata":{{"{word}":1}}}}"#),
        format!(r#"{{"metadata":{{"x":"{word}"}}}}"#),
    ] {
        assert!(problem(&body).message.len() < 500);
    }
}

#[test]
fn the_echo_has_what_is_in_effect() {
    let plan = plan(
        r#"{"model":"m","input":"x","temperature":0.3,"max_output_tokens":9,"service_tier":"flex","store":true,"truncation":"auto",
        "tools":[{"type":"web_search"},{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}}"#,
    );
    let expected = serde_json::json!({
        "instructions": null,
        "tools": [{"type": "function", "name": "f", "description": null, "parameters": null, "strict": false}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": true,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "reasoning": {"effort": null, "summary": null},
        "metadata": {},
        "safety_identifier": null,
        "prompt_cache_key": null,
        "previous_response_id": null,
        "truncation": "disabled",
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": 1,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "store": true,
        "background": false,
        "service_tier": "default",
    });
    assert_eq!(echo(&plan), expected);
}

#[test]
fn the_echo_is_one_line_to_every_reader() {
    let breaks = "\u{85}\u{2028}\u{2029}";
    let body = format!(
        r#"{{"model":"m","input":"x","instructions":"{breaks}","metadata":{{"{breaks}":"{breaks}"}},
        "tools":[{{"type":"function","name":"f","parameters":{{"type":"object","description":"{breaks}"}}}}],
        "text":{{"format":{{"type":"json_schema","name":"a{breaks}","schema":{{"description":"{breaks}"}}}}}}}}"#
    );
    let plan = plan(&body);
    let text = notes(&plan).echo;
    let is_break = |character: char| "\n\r\u{85}\u{2028}\u{2029}".contains(character);
    assert!(!text.contains(is_break), "{text}");
    let echo = echo(&plan);
    for member in [
        &echo["instructions"],
        &echo["metadata"][breaks],
        &echo["tools"][0]["parameters"]["description"],
        &echo["text"]["format"]["schema"]["description"],
    ] {
        assert_eq!(member, breaks);
    }
    assert_eq!(echo["text"]["format"]["name"], format!("a{breaks}"));
}

#[test]
fn tools_that_are_no_plain_functions_are_noted() {
    let plan = plan(
        r#"{"model":"m","input":"x","tools":[{"type":"function","name":"f"},{"type":"custom","name":"exec_command"},
        {"type":"namespace","name":"n","tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]}]}"#,
    );
    let names: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
    let notes = notes(&plan);
    let renamed: Vec<(&str, &str, Option<&str>, bool)> = notes
        .renamed_tools
        .iter()
        .map(|it| (&*it.function, &*it.name, it.namespace.as_deref(), it.custom))
        .collect();
    assert_eq!(names[0], "f");
    assert_ne!(names[1], "exec_command");
    assert_eq!(names[2..], ["n__f", "n__g"]);
    let expected = [
        (names[1], "exec_command", None, true),
        ("n__f", "f", Some("n"), false),
        ("n__g", "g", Some("n"), true),
    ];
    assert_eq!(renamed, expected);
}
