//! Encodes an answer as server-sent events of the Responses API, word by word.

use std::io;

use axum::body::Bytes;
use futures_util::stream::{Stream, StreamExt as _, iter};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::answer::ScriptedAnswer;
use super::request::ModelRequest;
use super::scenario::Scenario;

/// Bytes of a request or an answer per token, about.
const TOKEN_BYTES: usize = 4;

/// The events of one response, with the scenario's delay between two words. A broken one ends with an error, which makes the
/// server cut the connection.
pub(super) fn events(
    request: &ModelRequest,
    answer: &ScriptedAnswer,
    scenario: Scenario,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let word_delay = scenario.word_delay();
    let events = iter(script(request, answer, scenario)).then(move |event| async move {
        if event["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with(".delta"))
        {
            sleep(word_delay).await;
        }
        let kind = event["type"].as_str().unwrap_or_default();
        Ok(Bytes::from(format!("event: {kind}\ndata: {event}\n\n")))
    });
    let cut = (scenario == Scenario::Broken).then(|| Err(io::ErrorKind::ConnectionReset.into()));
    events.chain(iter(cut))
}

/// All events of one response, in order.
pub(super) fn script(
    request: &ModelRequest,
    answer: &ScriptedAnswer,
    scenario: Scenario,
) -> Vec<Value> {
    let id = uuid::Uuid::now_v7().simple();
    let mut script = Script::default();
    let response = |status: &str| json!({ "id": format!("resp_{id}"), "object": "response", "status": status, "model": request.model });
    script.push(json!({ "type": "response.created", "response": response("in_progress") }));
    if let Scenario::Failed(code) = scenario {
        let mut failed = response("failed");
        failed["error"] = json!({ "code": code, "message": "this is a rehearsal of a failure" });
        script.push(json!({ "type": "response.failed", "response": failed }));
        return script.events;
    }
    if let Some(summary) = &answer.summary {
        script.reasoning(&format!("rs_{id}"), summary);
    }
    let text = answer.text.as_deref();
    let text = text.map(|text| if scenario.cuts() { half(text) } else { text });
    if let Some(text) = text {
        script.message(&format!("msg_{id}"), text, scenario);
    }
    if scenario == Scenario::Broken {
        return script.events;
    }
    for (index, (name, arguments)) in answer.calls.iter().enumerate() {
        script.call(&format!("{id}_{index}"), name, arguments);
    }

    let (kind, mut whole) = match scenario {
        Scenario::Incomplete(reason) => {
            let mut whole = response("incomplete");
            whole["incomplete_details"] = json!({ "reason": reason });
            ("response.incomplete", whole)
        }
        Scenario::Answer
        | Scenario::Slow
        | Scenario::Broken
        | Scenario::Failed(_)
        | Scenario::TooManyRequests(_) => ("response.completed", response("completed")),
    };
    let reasoning = answer.summary.as_deref().map_or(0, tokens);
    let calls = answer.calls.iter().map(|(_, arguments)| tokens(arguments));
    let output = text.map_or(0, tokens) + calls.sum::<usize>() + reasoning;
    let input = request.bytes.div_ceil(TOKEN_BYTES);
    whole["output"] = Value::Array(std::mem::take(&mut script.output));
    whole["usage"] = json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": reasoning },
        "total_tokens": input + output,
    });
    script.push(json!({ "type": kind, "response": whole }));
    script.events
}

/// The first half of a text's words.
fn half(text: &str) -> &str {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let bytes: usize = words
        .iter()
        .take(words.len().div_ceil(2))
        .map(|word| word.len())
        .sum();
    &text[..bytes]
}

#[derive(Default)]
struct Script {
    events: Vec<Value>,
    /// The finished items.
    output: Vec<Value>,
}

impl Script {
    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = self.events.len().into();
        self.events.push(event);
    }

    fn reasoning(&mut self, id: &str, summary: &str) {
        let index = self.output.len();
        let location = |kind: &str| json!({ "type": kind, "item_id": id, "output_index": index, "summary_index": 0 });
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        self.added(&json!({ "id": id, "type": "reasoning", "summary": [] }));
        self.push(with(
            location("response.reasoning_summary_part.added"),
            "part",
            part(""),
        ));
        for word in summary.split_inclusive(' ') {
            self.push(with(
                location("response.reasoning_summary_text.delta"),
                "delta",
                word.into(),
            ));
        }
        self.push(with(
            location("response.reasoning_summary_text.done"),
            "text",
            summary.into(),
        ));
        self.push(with(
            location("response.reasoning_summary_part.done"),
            "part",
            part(summary),
        ));
        self.done(json!({ "id": id, "type": "reasoning", "summary": [part(summary)] }));
    }

    fn message(&mut self, id: &str, text: &str, scenario: Scenario) {
        let index = self.output.len();
        let location = |kind: &str| json!({ "type": kind, "item_id": id, "output_index": index, "content_index": 0 });
        let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
        let item = |status: &str, content: Value| json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
        self.added(&item("in_progress", json!([])));
        self.push(with(
            location("response.content_part.added"),
            "part",
            part(""),
        ));
        for word in text.split_inclusive(' ') {
            self.push(with(
                location("response.output_text.delta"),
                "delta",
                word.into(),
            ));
        }
        if scenario == Scenario::Broken {
            return;
        }
        self.push(with(
            location("response.output_text.done"),
            "text",
            text.into(),
        ));
        self.push(with(
            location("response.content_part.done"),
            "part",
            part(text),
        ));
        self.done(item("completed", json!([part(text)])));
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str) {
        let index = self.output.len();
        let location = |kind: &str| json!({ "type": kind, "item_id": format!("fc_{id}"), "output_index": index });
        let item = |status: &str, arguments: &str| {
            json!({ "id": format!("fc_{id}"), "type": "function_call", "status": status,
                "call_id": format!("call_{id}"), "name": name, "arguments": arguments })
        };
        self.added(&item("in_progress", ""));
        self.push(with(
            location("response.function_call_arguments.delta"),
            "delta",
            arguments.into(),
        ));
        self.push(with(
            location("response.function_call_arguments.done"),
            "arguments",
            arguments.into(),
        ));
        self.done(item("completed", arguments));
    }

    fn added(&mut self, item: &Value) {
        let index = self.output.len();
        self.push(
            json!({ "type": "response.output_item.added", "output_index": index, "item": item }),
        );
    }

    fn done(&mut self, item: Value) {
        let index = self.output.len();
        self.push(
            json!({ "type": "response.output_item.done", "output_index": index, "item": item }),
        );
        self.output.push(item);
    }
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

fn tokens(text: &str) -> usize {
    text.len().div_ceil(TOKEN_BYTES)
}
