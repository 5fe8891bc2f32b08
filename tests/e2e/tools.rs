//! Functions that the client runs, on the scripted Codex.

mod broken; // streams that break after a call, or are slow
mod calling; // what is offered, and what the client gets
mod candidates; // those of a fan-out, where a policy gives them tools
mod many; // a thousand that wait
mod parked; // turns that wait, and go on
mod rebuilt; // turns that are told anew
mod refused; // wrong use, and promises that the model breaks
mod unavailable; // a Codex that cannot be brought to plain functions

use airlock_tests::{Completion, Conversation, FakeCodex, Gateway, tool};
use serde_json::{Value, json};

const WEATHER: &str = "get_weather";
const OSLO: &str = r#"{"city":"Oslo"}"#;
const BERGEN: &str = r#"{"city":"Bergen"}"#;

/// A conversation that offers the weather.
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

/// How the last request was carried on, and what came of it.
fn outcome(reply: &Completion) -> (&str, &str, &str) {
    (&reply.turn, &reply.finish_reason, &reply.text)
}

/// The items that were injected last.
fn injected(fake: &FakeCodex) -> Vec<Value> {
    let requests = fake.received("thread/inject_items");
    let items = requests
        .last()
        .and_then(|requests| requests["params"]["items"].as_array());
    items.cloned().unwrap_or_default()
}

/// How a call and its result stand in a history.
fn called(id: &str, arguments: &str, output: &str) -> [Value; 2] {
    [
        json!({"type": "function_call", "call_id": id, "name": WEATHER, "arguments": arguments}),
        json!({"type": "function_call_output", "call_id": id, "output": output}),
    ]
}
