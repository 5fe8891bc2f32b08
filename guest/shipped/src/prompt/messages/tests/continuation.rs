//! A request with results resumes exactly the turn that it continues.

use super::*;
use crate::tools::{FunctionCall, key, text_digest};

fn requested() -> Value {
    with_required(json!({
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=1;"},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        ],
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }))
}

/// The conversation with these messages more.
fn then(mut body: Value, messages: [Value; 2]) -> Value {
    body["messages"].as_array_mut().unwrap().extend(messages);
    body
}

/// What the client sends back of a reply with thinking, two texts and calls, and the results.
fn round(texts: [&str; 2], ids: &[&str]) -> [Value; 2] {
    let mut blocks = vec![thinking("rs_1")];
    blocks.extend(texts.map(|text| json!({"type": "text", "text": text})));
    blocks.extend(ids.iter().copied().map(tool_use));
    let results: Vec<Value> = ids.iter().copied().map(tool_result).collect();
    [
        json!({"role": "assistant", "content": blocks}),
        json!({"role": "user", "content": results}),
    ]
}

/// The key that the translator gives to the host after it has sent this text and these calls.
fn handed_off(body: &Value, text: &str, ids: &[&str]) -> Option<String> {
    let plan = planned(&request(&body.to_string())).unwrap();
    let tools = PlanNotes::from_text(&plan.notes).tools.unwrap();
    let call = |id: &&'static str| FunctionCall {
        id: (*id).into(),
        name: "f".into(),
        arguments: "{\"a\":\n1.0}".into(),
    };
    let ids: Vec<&'static str> = ids.iter().map(|id| &*(*id).to_owned().leak()).collect();
    let calls: Vec<FunctionCall<'_>> = ids.iter().map(call).collect();
    Some(key(&tools.conversation, &text_digest(text), &calls))
}

fn resumed(body: &Value) -> Option<String> {
    let plan = planned(&request(&body.to_string())).unwrap();
    plan.resume.map(|resume| resume.key)
}

#[test]
fn a_continuation_is_recognized_in_each_round() {
    let first = then(requested(), round(["Let me ", "see."], &["1", "2"]));
    assert_eq!(
        resumed(&first),
        handed_off(&requested(), "Let me see.", &["1", "2"])
    );
    let second = then(first.clone(), round(["", "More."], &["3"]));
    assert_eq!(resumed(&second), handed_off(&first, "More.", &["3"]));
    assert_eq!(resumed(&requested()), None);
}

#[test]
fn what_clients_leave_out_or_change_does_not_count() {
    let known = handed_off(&requested(), "ab", &["1"]);
    let next = || then(requested(), round(["a", "b"], &["1"]));

    let mut without_thinking = next();
    let blocks = without_thinking["messages"][1]["content"].as_array_mut();
    blocks.unwrap().remove(0);
    assert_eq!(resumed(&without_thinking), known);

    let mut other_header = next();
    other_header["system"][0]["text"] = json!("x-anthropic-billing-header: cch=2;");
    assert_eq!(resumed(&other_header), known);

    let mut marked = next();
    marked["messages"][1]["content"][3]["cache_control"] = json!({"type": "ephemeral"});
    marked["messages"][2]["content"][0]["cache_control"] = json!({"type": "ephemeral"});
    assert_eq!(resumed(&marked), known);

    // A reply in two messages is one reply.
    let mut divided = next();
    let messages = divided["messages"].as_array_mut().unwrap();
    let calls = messages[1]["content"].as_array_mut().unwrap().split_off(2);
    messages.insert(2, json!({"role": "assistant", "content": calls}));
    assert_eq!(resumed(&divided), known);
}

#[test]
fn other_conversations_resume_nothing_else() {
    let known = handed_off(&requested(), "ab", &["1"]);
    let next = || then(requested(), round(["a", "b"], &["1"]));

    let mut other_text = next();
    other_text["messages"][1]["content"][1]["text"] = json!("A");
    assert_ne!(resumed(&other_text), known);

    let mut other_input = next();
    other_input["messages"][1]["content"][3]["input"] = json!({"a": 2});
    assert_ne!(resumed(&other_input), known);

    let mut other_system = next();
    other_system["system"][1]["text"] = json!("Be long.");
    assert_ne!(resumed(&other_system), known);

    // Text after the results is a new question.
    let mut asked_on = next();
    let results = asked_on["messages"][2]["content"].as_array_mut().unwrap();
    results.push(json!({"type": "text", "text": "And now?"}));
    assert_eq!(resumed(&asked_on), None);
}
