//! A request with outputs resumes exactly the turn that it continues.

use serde_json::{Value, json};

use super::*;
use crate::tools::{FunctionCall, key, text_digest};

/// The request with all inputs of a turn.
pub(super) fn requested() -> Value {
    json!({
        "model": "m",
        "instructions": "Be brief.",
        "reasoning": {"effort": "low"},
        "input": [
            {"role": "user", "content": "Hi!"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "a"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}], "phase": "final_answer"},
            {"role": "user", "content": "Edit it."},
        ],
        "tools": [
            {"type": "function", "name": "look.up"},
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
        ],
    })
}

/// The model's next items, and the outputs of its calls.
pub(super) fn first_round() -> Vec<Value> {
    vec![
        json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "b"}),
        json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "First. "}]}),
        json!({"type": "message", "id": "msg_2", "role": "assistant", "content": [{"type": "output_text", "text": "Second."}]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "1", "name": "look.up", "arguments": "{\"b\":1,\"a\":2}"}),
        json!({"type": "custom_tool_call", "call_id": "2", "name": "patch", "input": "x\n"}),
        json!({"type": "function_call", "call_id": "3", "name": "f", "namespace": "n", "arguments": "{}"}),
        json!({"type": "function_call_output", "call_id": "3", "output": "three"}),
        json!({"type": "function_call_output", "call_id": "1", "output": "one"}),
        json!({"type": "custom_tool_call_output", "call_id": "2", "output": "two"}),
    ]
}

/// The request with further items.
pub(super) fn then(mut body: Value, items: impl IntoIterator<Item = Value>) -> Value {
    body["input"].as_array_mut().unwrap().extend(items);
    body
}

/// The key that the translator gives to the host after it has sent this text and these calls.
fn handed_off(body: &Value, text: &str, calls: &[(&str, &str, &str)]) -> String {
    let notes = PlanNotes::from_text(&plan(&body.to_string()).notes);
    let calls: Vec<FunctionCall<'_>> = calls
        .iter()
        .map(|&(id, name, arguments)| FunctionCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        })
        .collect();
    key(
        &notes.tools.unwrap().conversation,
        &text_digest(text),
        &calls,
    )
}

fn handed_off_first() -> String {
    let calls = [
        ("1", "look.up", "{\"a\": 2, \"b\": 1.0}"),
        ("2", "patch", "{\"input\": \"x\\n\"}"),
        ("3", "n__f", "{}"),
    ];
    handed_off(&requested(), "First. Second.", &calls)
}

fn resumed(body: &Value) -> Option<String> {
    plan(&body.to_string()).resume.map(|resume| resume.key)
}

#[test]
fn a_continuation_is_recognized_in_each_round() {
    let second = then(requested(), first_round());
    let resume = plan(&second.to_string()).resume.unwrap();
    assert_eq!(resume.key, handed_off_first());
    let results: Vec<&str> = resume.results.iter().map(|it| it.call.as_str()).collect();
    assert_eq!(results, ["1", "2", "3"]);

    let key = handed_off(&second, "", &[("4", "look.up", "{}")]);
    let third = then(
        second,
        [
            json!({"type": "function_call", "call_id": "4", "name": "look.up", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "4", "output": ""}),
        ],
    );
    assert_eq!(resumed(&third), Some(key));
}

#[test]
fn what_clients_change_in_returned_items_does_not_count() {
    let key = Some(handed_off_first());
    // Clients leave out reasoning, ids and phases, and write absent members as null.
    let mut items = first_round();
    items.remove(0);
    items[0]["phase"] = json!("commentary");
    items[1].as_object_mut().unwrap().remove("id");
    items[2]["status"] = Value::Null;
    items[2]["arguments"] = json!("{ \"a\": 2, \"b\": 1 }");
    let mut earlier = requested();
    earlier["input"].as_array_mut().unwrap().remove(1);
    earlier["input"][1] = json!({"role": "assistant", "content": "Hi."});
    assert_eq!(resumed(&then(earlier, items)), key);

    let mut other = requested();
    other["metadata"] = json!({"a": "b"});
    other["stream"] = json!(true);
    assert_eq!(resumed(&then(other, first_round())), key);
}

#[test]
fn an_edited_conversation_is_not_recognized() {
    let key = Some(handed_off_first());
    for (pointer, value) in [
        ("/instructions", json!("Be long.")),
        ("/reasoning/effort", json!("high")),
        ("/input/0/content", json!("Hi")),
        ("/input/5/content/0/text", json!("First.")),
        ("/input/7/arguments", json!("{}")),
        ("/input/8/input", json!("y")),
        ("/input/9/namespace", json!("o")),
        ("/tools/1/description", json!("d")),
        ("/include", json!(["reasoning.encrypted_content"])),
    ] {
        let mut body = then(requested(), first_round());
        match body.pointer_mut(pointer) {
            Some(place) => *place = value,
            None if pointer == "/include" => body["include"] = value,
            None => body["tools"][1]["description"] = value,
        }
        assert_ne!(resumed(&body), key, "{pointer}");
    }
    // An item after the outputs is a new question.
    let asked = json!({"role": "user", "content": "And now?"});
    let body = then(then(requested(), first_round()), [asked]);
    assert_eq!(resumed(&body), None);
}
