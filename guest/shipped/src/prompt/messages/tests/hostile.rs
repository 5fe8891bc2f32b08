//! Bodies that are cut, wrong or deep: they are refused with a reason, whatever is wrong with them.

use super::*;
use crate::prompt::tests::mutations::{
    assert_named_if_wrong, assert_refused_at, assert_refused_if_truncated, deep,
};

/// A body that exercises every shape.
const RICH: &str = r#"{"model":"gpt-5.5","max_tokens":1,"stream":true,"system":[{"type":"text","text":"Be \"brief\".","cache_control":{"type":"ephemeral"}}],
"messages":[{"role":"user","content":[{"type":"text","text":"a\u00fc\n"},
{"type":"image","source":{"type":"base64","media_type":"image/png","data":"attachment:0"}}]},
{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"airlock.1.eyJpZCI6InJzXzEifQ"},{"type":"redacted_thinking","data":"x"},
{"type":"text","text":"b","citations":null},{"type":"tool_use","id":"c","name":"f.g","input":{"a":[1,-2.5e3,null]},"caller":{"type":"direct"}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":[{"type":"text","text":"r"}]}]},
{"role":"system","content":"Now."},{"role":"user","content":"x"}],
"tools":[{"type":"custom","name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"defer_loading":true,"input_examples":[{}]},{"type":"web_search_20250305","name":"web_search"}],
"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"thinking":{"type":"adaptive","display":"omitted"},
"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"enum":[1,-2.5e3,null]}}}}},
"temperature":0.5,"stop_sequences":["a"],"metadata":{"user_id":"b"},"made_up":[[]],"mcp_servers":[],"context_management":{"edits":[]}}"#;

fn refused(body: &str) -> Problem {
    planned(&request(body)).expect_err(body)
}

#[test]
fn a_truncated_body_is_refused() {
    assert!(planned(&request(RICH)).is_ok());
    assert_refused_if_truncated(RICH, refused);
}

#[test]
fn wrong_values_in_any_field_are_refused() {
    assert_named_if_wrong(RICH, 201, |body| planned(&request(body)).err());
}

#[test]
fn deep_nesting_is_safe_in_any_field() {
    let deep = deep();
    let in_object = format!(r#"{{"a":{deep}}}"#);
    let with = |field: &str| {
        format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"x"}}],{field}}}"#
        )
    };
    let plan = planned(&request(&with(&format!(r#""made_up":{deep}"#)))).unwrap();
    assert_eq!(plan.ignored, ["max_tokens", "made_up"]);
    let cases = [
        (deep.clone(), None),
        (with(&format!(r#""system":{deep}"#)), Some("system.0")),
        (format!(r#"{{"messages":{deep}}}"#), Some("messages.0")),
        (
            format!(r#"{{"messages":[{{"content":{deep}}}]}}"#),
            Some("messages.0.content.0"),
        ),
        (with(&format!(r#""tools":{deep}"#)), Some("tools.0")),
        (
            with(&format!(
                r#""tools":[{{"name":"f","input_schema":{in_object}}}]"#
            )),
            Some("tools.0.input_schema"),
        ),
        (
            with(&format!(r#""tool_choice":{deep}"#)),
            Some("tool_choice"),
        ),
        (
            with(&format!(
                r#""output_config":{{"format":{{"type":"json_schema","schema":{in_object}}}}}"#
            )),
            Some("output_config.format.schema"),
        ),
    ];
    assert_refused_at(&cases, refused);
    // The input of a call is text to the model, at any depth.
    let called = format!(
        r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"f","input":{in_object}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"1"}}]}}]}}"#
    );
    assert_eq!(planned(&request(&called)).unwrap().history.len(), 2);
}

#[test]
fn repeated_client_text_is_short() {
    let word = "ü".repeat(100_000);
    for body in [
        format!(r#"{{"messages":[{{"role":"{word}"}}]}}"#),
        format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"{word}"}}]}}]}}"#),
        format!(r#"{{"thinking":{{"type":"{word}"}}}}"#),
        format!(r#"{{"output_config":{{"format":{{"type":"{word}"}}}}}}"#),
        format!(r#"{{"tool_choice":{{"type":"{word}"}}}}"#),
        format!(r#"{{"tools":[{{"type":"{word}"}}]}}"#),
        format!(r#"{{"system":[{{"type":"{word}"}}]}}"#),
    ] {
        assert!(refused(&body).message.len() < 500);
    }
}
