//! Invalid bodies: they are refused with a reason, whatever is wrong with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

pub(in crate::prompt) mod mutations;

use super::*;
use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Attachment, ProblemKind, Transport};
use mutations::{assert_named_if_wrong, assert_refused_at, assert_refused_if_truncated, deep};

/// A body that exercises every shape.
const RICH: &str = r#"{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true,"include_candidates":false,"x":1},
"messages":[{"role":"system","content":"Be \"brief\"."},{"role":"user","name":"ann","content":[{"type":"text","text":"a\u00fc\n"},
{"type":"image_url","image_url":{"url":"attachment:0","detail":"low"}}]},{"role":"assistant","content":null,"refusal":"No.","tool_calls":[]},
{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f.g","arguments":"{}"}}]},
{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"r"}]},{"role":"user","content":"x"}],
"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],
"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}},"reasoning":{"effort":"low","summary":"auto"},"reasoning_effort":"high","include_reasoning":false,
"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"enum":[1,-2.5e3,null]}}}}},
"temperature":0.5,"n":1,"stop":[],"parallel_tool_calls":true,"modalities":["text"],"metadata":{"a":"b"},"made_up":[[]],
"parallel_calls":2,"airlock":{"synthesis":"judge","quorum":1,"grace_ms":0,"deadline_ms":1,"candidates":[{"model":"o","effort":"low","hint":"h"},null]}}"#;

fn request(body: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: vec![Attachment {
            media_type: "image/png".to_owned(),
            size: 68,
            digest: String::new(),
            path: "messages[1].content[1].image_url.url".to_owned(),
        }],
        settings: String::new(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn problem(body: &str) -> Problem {
    planned(&request(body)).expect_err(body)
}

#[test]
fn a_truncated_body_is_refused() {
    assert!(planned(&request(RICH)).is_ok());
    assert_refused_if_truncated(RICH, problem);
}

#[test]
fn wrong_values_in_any_field_are_refused() {
    assert_named_if_wrong(RICH, 201, |body| planned(&request(body)).err());
}

#[test]
fn deep_nesting_is_safe_in_any_field() {
    let deep = deep();
    let open = &deep[..deep.len() / 2];
    let user = r#"{"role":"user","content":"x"}"#;
    let with = |field: &str| format!(r#"{{"model":"m","messages":[{user}],{field}}}"#);

    // A value that is skipped may nest at any depth.
    let plan = planned(&request(&with(&format!(r#""made_up":{deep}"#)))).unwrap();
    assert_eq!(plan.ignored, ["made_up"]);

    let cases = [
        (deep.clone(), None),
        (open.to_owned(), None),
        (format!(r#"{{"model":{deep}}}"#), Some("model")),
        (format!(r#"{{"messages":{deep}}}"#), Some("messages[0]")),
        (
            format!(r#"{{"messages":[{{"content":{deep}}}]}}"#),
            Some("messages[0].content[0]"),
        ),
        (with(&format!(r#""tools":{deep}"#)), Some("tools[0]")),
        (
            with(&format!(
                r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{{"a":{deep}}}}}}}]"#
            )),
            Some("tools[0].function.parameters"),
        ),
        (
            with(&format!(r#""tool_choice":{deep}"#)),
            Some("tool_choice"),
        ),
        (
            with(&format!(r#""parallel_calls":{deep}"#)),
            Some("parallel_calls"),
        ),
        (
            with(&format!(r#""airlock":{{"candidates":{deep}}}"#)),
            Some("airlock.candidates[0]"),
        ),
        (
            with(&format!(
                r#""response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{{"a":{deep}}}}}}}"#
            )),
            Some("response_format.json_schema.schema"),
        ),
    ];
    assert_refused_at(&cases, problem);
    assert_eq!(
        problem(&with(&format!(r#""made_up":{open}"#)))
            .code
            .as_deref(),
        Some("invalid_json")
    );
}

#[test]
fn invalid_json_is_reported_with_line_and_column() {
    let problem = problem(
        "{\"model\": \"m\",\n  \"messages\": [{\"role\": \"user\", \"content\": \"\\ud80g\"}]}",
    );
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert!(
        problem.message.contains("line 2, column "),
        "{}",
        problem.message
    );
    assert!(problem.message.contains("escape"), "{}", problem.message);
}

#[test]
fn repeated_client_text_is_short() {
    let word = "ü".repeat(100_000);
    for body in [
        format!(r#"{{"messages":[{{"role":"{word}"}}]}}"#),
        format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"{word}"}}]}}]}}"#),
        format!(r#"{{"reasoning_effort":"{word}"}}"#),
        format!(r#"{{"verbosity":"{word}"}}"#),
        format!(r#"{{"response_format":{{"type":"{word}"}}}}"#),
        format!(r#"{{"stream":"{word}"}}"#),
        format!(r#"{{"tool_choice":"{word}"}}"#),
        format!(r#"{{"tools":[{{"type":"{word}"}}]}}"#),
        format!(r#"{{"airlock":{{"synthesis":"{word}"}}}}"#),
        format!(r#"{{"airlock":{{"candidates":[{{"effort":"{word}"}}]}}}}"#),
    ] {
        assert!(problem(&body).message.len() < 500);
    }
    let dialect = Request {
        dialect: word.clone(),
        ..request("{}")
    };
    assert!(planned(&dialect).unwrap_err().message.len() < 500);

    let many: Vec<String> = (0..10_000)
        .map(|index| format!(r#""{index}{word:.80}":1"#))
        .collect();
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{}}}"#,
        many.join(",")
    );
    let ignored = planned(&request(&body)).unwrap().ignored;
    assert!(ignored.len() <= 32, "{}", ignored.len());
    assert!(ignored.iter().all(|name| name.chars().count() <= 65));
}

#[test]
fn another_dialect_is_not_found() {
    let other = Request {
        dialect: "completions".to_owned(),
        ..request(RICH)
    };
    let problem = planned(&other).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NotFound);
    assert_eq!(problem.code.as_deref(), Some("unknown_dialect"));
}

#[test]
fn a_plan_is_the_same_every_time() {
    assert_eq!(planned(&request(RICH)), planned(&request(RICH)));
}

#[test]
fn an_ignored_name_fits_into_a_header() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"a b,c\r\nd: ü":1,"plain_1.2":1}"#;
    assert_eq!(
        planned(&request(body)).unwrap().ignored,
        ["a?b?c??d:??", "plain_1.2"]
    );
}
