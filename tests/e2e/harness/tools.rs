//! Calls of a client's tools: the scripted Codex against the real one, event by event.

use airlock_tests::direct::AppServer;
use airlock_tests::{Gate, ModelAnswer, Script, ScriptedModel};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{INCIDENTAL, fake, methods, real, shape};

const WEATHER: &str = "get_weather";

fn spec(name: &str, schema: &Value) -> Value {
    json!({"type": "function", "name": name, "description": "Weather for a city", "inputSchema": schema})
}

async fn thread(server: &mut AppServer) -> Result<String> {
    let tools = json!([spec(WEATHER, &json!({"type": "object", "properties": {}}))]);
    let more = json!({"dynamicTools": tools, "experimentalRawEvents": true});
    server.thread_with("gpt-5.5", more).await
}

fn call(number: usize) -> (String, String) {
    (format!("call_{number}"), format!("{{\"n\":{number}}}"))
}

/// Runs a turn whose calls are answered in order, each once the result before it is in the conversation, and opens a
/// gate for each call that is sent to the client, so that the order of events is determined.
async fn run(server: &mut AppServer, thread: &str, gates: &[Gate]) -> Result<Vec<Value>> {
    run_to(server, thread, gates, "rawResponse/completed").await
}

/// The same, with the first result after the first notification or request of this `method`.
async fn run_to(
    server: &mut AppServer,
    thread: &str,
    gates: &[Gate],
    first: &str,
) -> Result<Vec<Value>> {
    let input = json!([{"type": "text", "text": "hi"}]);
    let params = json!({"threadId": thread, "input": input});
    server.call("turn/start", params).await?;
    let mut gates = gates.iter();
    let mut requested = Vec::new();
    let mut received: Vec<Value> = Vec::new();
    loop {
        let message = server.next().await?;
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let is_output = message["params"]["item"]["type"] == "function_call_output";
        if method == "item/tool/call" {
            requested.push(message["id"].clone());
            gates.next().context("more calls than gates")?.open();
        }
        if method == "turn/started" || !(received.is_empty() || is_preamble(&message)) {
            received.push(message);
        }
        if (method == first || is_output) && !requested.is_empty() {
            let content = json!([{"type": "inputText", "text": "ok"}]);
            let result = json!({"contentItems": content, "success": true});
            server
                .send(&json!({"id": requested.remove(0), "result": result}))
                .await?;
        }
        if method == "turn/completed" {
            return Ok(received);
        }
    }
}

/// Notifications that Codex sends at the start of a thread because of its configuration.
fn is_preamble(message: &Value) -> bool {
    let item = &message["params"]["item"];
    let text = item["content"][0]["text"].as_str().unwrap_or_default();
    item["role"] == "developer" || text.starts_with("<environment_context>")
}

fn compare(received: &[Value], truth: &[Value]) {
    assert_eq!(methods(received), methods(truth));
    let incidental =
        |message: &&Value| !INCIDENTAL.contains(&message["method"].as_str().unwrap_or_default());
    let received = received.iter().filter(incidental);
    for (received, truth) in received.zip(truth.iter().filter(incidental)) {
        assert_eq!(shape(received), shape(truth), "{}", truth["method"]);
    }
}

/// The output of each call in the conversation.
fn outputs(received: &[Value]) -> Vec<&Value> {
    let items = received.iter().map(|message| &message["params"]["item"]);
    let outputs = items.filter(|item| item["type"] == "function_call_output");
    outputs.map(|item| &item["output"]).collect()
}

#[tokio::test]
async fn three_calls_at_once_are_reported_as_by_the_real_codex() -> Result<()> {
    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
    let model = ScriptedModel::start().await?;
    let answer = gates
        .iter()
        .zip(1..)
        .fold(ModelAnswer::new(), |answer, (gate, number)| {
            let (id, arguments) = call(number);
            answer.call(&id, WEATHER, arguments).hold(gate)
        });
    model.next(answer);
    model.next(ModelAnswer::words("all of them"));
    let (_home, mut codex) = real(&model, 0).await?;
    let started = thread(&mut codex).await?;
    let truth = run(&mut codex, &started, &gates).await?;
    let offered = model.call().await?.tool_names();
    assert!(offered.iter().any(|name| name == WEATHER), "{offered:?}");
    let brought = model.call().await?.outputs();
    assert_eq!(brought.len(), 3, "{brought:?}");

    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
    let script = Script::new().turn(|turn| {
        let turn = gates.iter().zip(1..).fold(turn, |turn, (gate, number)| {
            let (id, arguments) = call(number);
            turn.call(&id, WEATHER, arguments).hold(gate)
        });
        turn.text("all ").text("of ").text("them")
    });
    let (fake, mut server) = fake(script).await?;
    let started = thread(&mut server).await?;
    let received = run(&mut server, &started, &gates).await?;
    compare(&received, &truth);
    assert_eq!(outputs(&received), outputs(&truth));
    let results = fake.results();
    assert_eq!(results.len(), 3);
    assert!(
        results
            .iter()
            .all(|result| result.success && result.output == "ok"),
        "{results:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_call_after_text_is_reported_as_by_the_real_codex() -> Result<()> {
    let gate = Gate::new();
    let (id, arguments) = call(1);
    let model = ScriptedModel::start().await?;
    let answer = ModelAnswer::words("Let me see.").call(&id, WEATHER, &*arguments);
    model.next(answer.hold(&gate));
    model.next(ModelAnswer::words("It rains."));
    let (_home, mut codex) = real(&model, 0).await?;
    let started = thread(&mut codex).await?;
    let truth = run(&mut codex, &started, std::slice::from_ref(&gate)).await?;

    let gate = Gate::new();
    let script = Script::new().turn(|turn| {
        turn.text("Let ")
            .text("me ")
            .text("see.")
            .call(&id, WEATHER, &*arguments)
            .hold(&gate)
            .text("It ")
            .text("rains.")
    });
    let (_fake, mut server) = fake(script).await?;
    let started = thread(&mut server).await?;
    let received = run(&mut server, &started, std::slice::from_ref(&gate)).await?;
    compare(&received, &truth);
    Ok(())
}

#[tokio::test]
async fn a_response_that_breaks_after_a_call_waits_for_its_answer() -> Result<()> {
    let (id, arguments) = call(1);
    let gate = Gate::new();
    let model = ScriptedModel::start().await?;
    let answer = ModelAnswer::new().call(&id, WEATHER, &*arguments);
    model.next(answer.hold(&gate).disconnect());
    model.next(ModelAnswer::words("It rains."));
    let (_home, mut codex) = real(&model, 1).await?;
    let started = thread(&mut codex).await?;
    let gates = std::slice::from_ref(&gate);
    let truth = run_to(&mut codex, &started, gates, "item/tool/call").await?;
    assert_eq!(model.calls().len(), 2);

    let gate = Gate::new();
    let script = Script::new().turn(|turn| {
        turn.call(&id, WEATHER, &*arguments)
            .hold(&gate)
            .reconnect(None)
            .text("It ")
            .text("rains.")
    });
    let (_fake, mut server) = fake(script).await?;
    let started = thread(&mut server).await?;
    let gates = std::slice::from_ref(&gate);
    let received = run_to(&mut server, &started, gates, "item/tool/call").await?;
    assert_eq!(methods(&received), methods(&truth));
    Ok(())
}

#[tokio::test]
async fn calls_that_are_none_are_answered_by_codex_itself() -> Result<()> {
    for (name, arguments) in [(WEATHER, "{\"city\":"), (WEATHER, ""), ("nope", "{}")] {
        let model = ScriptedModel::start().await?;
        model.next(ModelAnswer::new().call("call_1", name, arguments));
        model.next(ModelAnswer::words("never mind"));
        let (_home, mut codex) = real(&model, 0).await?;
        let started = thread(&mut codex).await?;
        let truth = run(&mut codex, &started, &[]).await?;

        let script = Script::new().turn(|turn| {
            turn.call("call_1", name, arguments)
                .text("never ")
                .text("mind")
        });
        let (_fake, mut server) = fake(script).await?;
        let started = thread(&mut server).await?;
        let received = run(&mut server, &started, &[]).await?;
        compare(&received, &truth);
        assert_eq!(outputs(&received), outputs(&truth));
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_becomes_the_output_that_the_real_codex_makes_of_it() -> Result<()> {
    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let text = |text: &str| json!({"type": "inputText", "text": text});
    let image = json!({"type": "inputImage", "imageUrl": PIXEL});
    let content = |items: Value| json!({"result": {"contentItems": items, "success": true}});
    let rows = [
        content(json!([text("")])),
        content(json!([text("a"), text("b")])),
        content(json!([text("a"), image])),
        content(json!([])),
        json!({"result": {"contentItems": [text("a")], "success": false}}),
        json!({"result": {"contentItems": [text("a")]}}),
        json!({"error": {"code": -32601, "message": "no"}}),
    ];
    let model = ScriptedModel::start().await?;
    let (_home, mut codex) = real(&model, 0).await?;
    let script = Script::new().every_turn(|turn| {
        turn.call("call_1", WEATHER, "{}")
            .text("never ")
            .text("mind")
    });
    let (_fake, mut server) = fake(script).await?;
    for answer in rows {
        model.next(ModelAnswer::new().call("call_1", WEATHER, "{}"));
        model.next(ModelAnswer::words("never mind"));
        let truth = answered(&mut codex, &answer).await?;
        let received = answered(&mut server, &answer).await?;
        assert_eq!(received, truth, "{answer}");
    }
    Ok(())
}

/// Runs a turn with one call, sends its result, and returns the resulting item and output.
async fn answered(server: &mut AppServer, answer: &Value) -> Result<Vec<Value>> {
    let thread = thread(server).await?;
    let input = json!([{"type": "text", "text": "hi"}]);
    let params = json!({"threadId": thread, "input": input});
    server.call("turn/start", params).await?;
    let mut received = Vec::new();
    loop {
        let mut message = server.next().await?;
        let method = message["method"].take();
        let item = &mut message["params"]["item"];
        if method == "item/tool/call" {
            let mut answer = answer.clone();
            answer["id"] = message["id"].take();
            server.send(&answer).await?;
        } else if method == "item/completed" && item["type"] == "dynamicToolCall" {
            received
                .extend(["status", "success", "contentItems"].map(|member| item[member].take()));
        } else if item["type"] == "function_call_output" {
            received.push(item["output"].take());
        } else if method == "turn/completed" {
            return Ok(received);
        }
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_call_as_the_real_codex_ends_it() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::new().call("call_1", WEATHER, "{}"));
    let (_home, mut codex) = real(&model, 0).await?;
    let truth = interrupted(&mut codex).await?;
    let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, "{}").text("never"));
    let (_fake, mut server) = fake(script).await?;
    let received = interrupted(&mut server).await?;
    compare(&received, &truth);
    assert_eq!(outputs(&received), outputs(&truth));
    Ok(())
}

/// The notifications after an interrupt of a turn with a pending call.
async fn interrupted(server: &mut AppServer) -> Result<Vec<Value>> {
    let thread = thread(server).await?;
    let input = json!([{"type": "text", "text": "hi"}]);
    let params = json!({"threadId": thread, "input": input});
    let turn = server.call("turn/start", params).await?;
    let (mut is_asked, mut is_whole) = (false, false);
    while !(is_asked && is_whole) {
        let method = server.next().await?["method"].take();
        is_asked |= method == "item/tool/call";
        is_whole |= method == "rawResponse/completed";
    }
    let params = json!({"threadId": thread, "turnId": turn["turn"]["id"]});
    server.request("turn/interrupt", params).await?;
    let mut received = Vec::new();
    loop {
        let message = server.next().await?;
        let is_last = message["method"] == "turn/completed";
        // The response to the interrupt is among them.
        if message["method"].is_string() {
            received.push(message);
        }
        if is_last {
            return Ok(received);
        }
    }
}

#[tokio::test]
async fn injected_items_are_sent_to_the_model_as_by_the_real_codex() -> Result<()> {
    let items = json!([
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "call_1", "name": WEATHER, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "ok"},
    ]);
    let model = ScriptedModel::start().await?;
    let (_home, mut codex) = real(&model, 0).await?;
    let (_fake, mut server) = fake(Script::new()).await?;
    let mut received = Vec::new();
    for server in [&mut codex, &mut server] {
        let started = thread(server).await?;
        let params = json!({"threadId": started, "items": items});
        server.call("thread/inject_items", params).await?;
        let mut raw = Vec::new();
        while raw.len() < 3 {
            let message = server.next().await?;
            if message["method"] == "rawResponseItem/completed" && !is_preamble(&message) {
                raw.push((
                    message["params"]["turnId"].clone(),
                    message["params"]["item"]["type"].clone(),
                ));
            }
        }
        received.push(raw);
    }
    assert_eq!(received.first(), received.last());
    Ok(())
}

#[tokio::test]
async fn tools_that_the_real_codex_refuses_are_refused() -> Result<()> {
    let object = || json!({"type": "object", "properties": {}});
    let rows = [
        json!([spec("has space", &object())]),
        json!([spec("dots.in.name", &object())]),
        json!([spec("", &object())]),
        json!([spec(&"a".repeat(129), &object())]),
        json!([spec("mcp__x", &object())]),
        json!([spec(WEATHER, &Value::Null)]),
        json!([spec(WEATHER, &object()), spec(WEATHER, &object())]),
    ];
    let taken = [
        json!([]),
        json!([spec(&"a".repeat(128), &object())]),
        json!([spec("exec_command", &object())]),
        json!([spec(WEATHER, &json!({"type": "array"}))]),
    ];
    let model = ScriptedModel::start().await?;
    let (_home, mut codex) = real(&model, 0).await?;
    let (_fake, mut server) = fake(Script::new()).await?;
    for tools in rows {
        let more = json!({"dynamicTools": tools});
        let truth = codex.thread_with("gpt-5.5", more.clone()).await.err();
        let received = server.thread_with("gpt-5.5", more).await.err();
        assert_eq!(
            received.context("taken by the fake")?.to_string(),
            truth.context("taken by Codex")?.to_string()
        );
    }
    for tools in taken {
        let more = json!({"dynamicTools": tools});
        codex.thread_with("gpt-5.5", more.clone()).await?;
        server.thread_with("gpt-5.5", more).await?;
    }
    Ok(())
}
