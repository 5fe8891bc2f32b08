//! The client's functions on the scripted Codex.

mod broken; // streams that break or pause after a call
mod calling; // offered functions, and calls
mod candidates; // candidates of a fan-out with tools
mod many; // a thousand parked turns
mod parked; // turns that are parked and resume
mod rebuilt; // turns that are rebuilt
mod refused; // invalid uses, and wrong calls of the model
mod unavailable; // a Codex that cannot offer plain functions

use airlock_tests::{Completion, Conversation, FakeCodex, Gateway, tool};
use serde_json::{Value, json};

const WEATHER: &str = "get_weather";
const OSLO: &str = r#"{"city":"Oslo"}"#;
const BERGEN: &str = r#"{"city":"Bergen"}"#;

/// A conversation with the function of the weather.
fn asking(gateway: &Gateway, question: &str) -> Conversation {
    asking_with(gateway, question, json!({}))
}

/// The same, with these further members in its requests.
fn asking_with(gateway: &Gateway, question: &str, mut more: Value) -> Conversation {
    if let Some(members) = more.as_object_mut() {
        members.entry("tools").or_insert(json!([tool(WEATHER)]));
    }
    Conversation::new(gateway.client(), question, more)
}

/// How the turn continued, the finish reason and the text of a reply.
fn outcome(reply: &Completion) -> (&str, &str, &str) {
    (&reply.turn, &reply.finish_reason, &reply.text)
}

/// The items of the last `thread/inject_items`.
fn injected(fake: &FakeCodex) -> Vec<Value> {
    let requests = fake.received("thread/inject_items");
    let items = requests
        .last()
        .and_then(|requests| requests["params"]["items"].as_array());
    items.cloned().unwrap_or_default()
}

/// The items of a call and its result in a history.
fn called(id: &str, arguments: &str, output: &str) -> [Value; 2] {
    [
        json!({"type": "function_call", "call_id": id, "name": WEATHER, "arguments": arguments}),
        json!({"type": "function_call_output", "call_id": id, "output": output}),
    ]
}
