//! The checks of Open Responses' compliance suite (seventeen, of 2026-04-24), from its specification, over the real Codex.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use airlock_tests::images::{STILLS, data_url};
use airlock_tests::{Gateway, ModelAnswer, ScriptedModel};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::websocket::Socket;
use super::{RESPONSES, create, events, id, text};

/// A model that answers every message with a text, and calls the weather's function where it is asked for it.
async fn gateway() -> Result<(ScriptedModel, Gateway)> {
    let model = ScriptedModel::start().await?;
    let calling = ModelAnswer::new().call("call_1", "get_weather", r#"{"location":"Oslo"}"#);
    model.when("weather like", calling);
    model.otherwise(ModelAnswer::words("Hello there, friend."));
    let gateway = Gateway::over_real(&model).await?;
    Ok((model, gateway))
}

fn message(role: &str, content: impl Into<Value>) -> Value {
    json!({"type": "message", "role": role, "content": content.into()})
}

fn request(input: impl Into<Value>) -> Value {
    json!({"model": "gpt-5.5", "input": input.into()})
}

fn user(content: impl Into<Value>) -> Value {
    request(json!([message("user", content)]))
}

fn weather() -> Value {
    let location = json!({"type": "string", "description": "The city and state"});
    let parameters =
        json!({"type": "object", "properties": {"location": location}, "required": ["location"]});
    let tool = json!({"type": "function", "name": "get_weather", "description": "The weather", "parameters": parameters});
    let mut asked = user("What's the weather like in San Francisco?");
    asked["tools"] = json!([tool]);
    asked
}

/// Checks the members of the schema `ResponseResource`.
fn check_response(response: &Value) {
    let is_text = |value: &Value| value.is_string();
    let is_text_or_null = |value: &Value| value.is_string() || value.is_null();
    let is_count_or_null = |value: &Value| value.is_u64() || value.is_null();
    let is_object_or_null = |value: &Value| value.is_object() || value.is_null();
    let is_choice = |value: &Value| value.is_string() || value.is_object();
    type Check<'a> = &'a dyn Fn(&Value) -> bool;
    let members: [(&str, Check<'_>); 31] = [
        ("id", &is_text),
        ("object", &|value| value == "response"),
        ("created_at", &Value::is_u64),
        ("completed_at", &is_count_or_null),
        ("status", &is_text),
        ("incomplete_details", &is_object_or_null),
        ("model", &is_text),
        ("previous_response_id", &is_text_or_null),
        ("instructions", &is_text_or_null),
        ("output", &Value::is_array),
        ("error", &is_object_or_null),
        ("tools", &Value::is_array),
        ("tool_choice", &is_choice),
        ("truncation", &is_text),
        ("parallel_tool_calls", &Value::is_boolean),
        ("text", &|value| value["format"]["type"].is_string()),
        ("top_p", &Value::is_number),
        ("presence_penalty", &Value::is_number),
        ("frequency_penalty", &Value::is_number),
        ("top_logprobs", &Value::is_u64),
        ("temperature", &Value::is_number),
        ("reasoning", &is_object_or_null),
        ("usage", &is_object_or_null),
        ("max_output_tokens", &is_count_or_null),
        ("max_tool_calls", &is_count_or_null),
        ("store", &Value::is_boolean),
        ("background", &Value::is_boolean),
        ("service_tier", &is_text),
        ("metadata", &Value::is_object),
        ("safety_identifier", &is_text_or_null),
        ("prompt_cache_key", &is_text_or_null),
    ];
    for (name, is_valid) in members {
        let value = response.get(name);
        assert!(value.is_some_and(is_valid), "{name} of {response}");
    }
    for item in response["output"].as_array().unwrap() {
        check_item(item);
    }
}

fn check_item(item: &Value) {
    assert!(item["id"].is_string(), "{item}");
    match item["type"].as_str() {
        Some("message") => {
            assert_eq!(
                (&item["role"], item["status"].is_string()),
                (&json!("assistant"), true),
                "{item}"
            );
            let phase = item.get("phase");
            let phases = [json!("commentary"), json!("final_answer")];
            assert!(phase.is_none_or(|phase| phases.contains(phase)), "{item}");
            for part in item["content"].as_array().unwrap() {
                assert_eq!(part["type"], "output_text", "{item}");
                assert!(
                    part["text"].is_string() && part["annotations"].is_array(),
                    "{item}"
                );
            }
        }
        Some("function_call") => {
            for name in ["call_id", "name", "arguments", "status"] {
                assert!(item[name].is_string(), "{name} of {item}");
            }
        }
        Some("reasoning") => assert!(item["summary"].is_array(), "{item}"),
        other => panic!("{other:?}: {item}"),
    }
}

/// Checks the events of a stream, and returns its completed response.
fn check_events(events: &[Value]) -> Result<Value> {
    let of = |kind: &str| match kind.strip_prefix("response.").unwrap_or_default() {
        "created" | "queued" | "in_progress" | "completed" => &["response"][..],
        "output_item.added" | "output_item.done" => &["output_index", "item"],
        "content_part.added" | "content_part.done" => {
            &["item_id", "output_index", "content_index", "part"]
        }
        "output_text.delta" => &["item_id", "output_index", "content_index", "delta"],
        "output_text.done" => &["item_id", "output_index", "content_index", "text"],
        "function_call_arguments.delta" => &["item_id", "output_index", "delta"],
        "function_call_arguments.done" => &["item_id", "output_index", "arguments"],
        other => panic!("an event of no known type: {other}"),
    };
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number), "{event}");
        for name in of(event["type"].as_str().unwrap_or_default()) {
            assert!(event.get(*name).is_some(), "{name} of {event}");
        }
        if let Some(response) = event.get("response") {
            check_response(response);
        }
    }
    let last = events.last().context("no events")?;
    assert_eq!(last["type"], "response.completed");
    completed(&last["response"]);
    Ok(last["response"].clone())
}

fn completed(response: &Value) {
    check_response(response);
    assert_eq!(response["status"], "completed", "{response}");
    assert!(
        !response["output"].as_array().unwrap().is_empty(),
        "{response}"
    );
}

/// Sends a request over HTTP, whole.
async fn answered(gateway: &Gateway, request: Value) -> Result<Value> {
    let response = create(gateway, request).await?;
    completed(&response);
    Ok(response)
}

/// Sends a request over HTTP, streamed.
async fn streamed(gateway: &Gateway, mut request: Value) -> Result<Vec<Value>> {
    request["stream"] = json!(true);
    events(&mut gateway.client().events(RESPONSES, &request).await?).await
}

/// Sends a request on a WebSocket, as nothing that is to be stored.
async fn sent(
    socket: &mut Socket,
    mut request: Value,
    previous: Option<&Value>,
) -> Result<Vec<Value>> {
    request["store"] = json!(false);
    if let Some(previous) = previous {
        request["previous_response_id"] = previous.clone();
    }
    socket.send(request).await?;
    socket.events().await
}

/// Checks that these events are the error of an unknown previous response.
fn check_not_found(events: &[Value]) {
    let [error] = events else {
        panic!("{events:?}");
    };
    assert_eq!(
        (&error["type"], &error["status"]),
        (&json!("error"), &json!(400)),
        "{error}"
    );
    assert_eq!(
        error["error"]["code"], "previous_response_not_found",
        "{error}"
    );
    assert!(error["error"]["message"].is_string(), "{error}");
}

#[tokio::test]
async fn responses_over_http() -> Result<()> {
    let (model, gateway) = gateway().await?;
    // basic-response
    answered(&gateway, user("Say hello in exactly 3 words.")).await?;
    // streaming-response
    check_events(&streamed(&gateway, user("Count from 1 to 5.")).await?)?;
    // system-prompt
    let pirate = message(
        "system",
        "You are a pirate. Always respond in pirate speak.",
    );
    answered(
        &gateway,
        request(json!([pirate, message("user", "Say hello.")])),
    )
    .await?;
    assert!(
        model
            .calls()
            .last()
            .unwrap()
            .instructions()
            .contains("pirate")
    );
    // multi-turn
    let said = message("assistant", "Hello Alice! How can I help you?");
    let turns = json!([
        message("user", "My name is Alice."),
        said,
        message("user", "What is my name?")
    ]);
    answered(&gateway, request(turns)).await?;
    // image-input
    let (media_type, bytes) = STILLS[0];
    let image = json!({"type": "input_image", "image_url": data_url(media_type, bytes)});
    let parts = json!([{"type": "input_text", "text": "What do you see?"}, image]);
    answered(&gateway, user(parts)).await?;
    // assistant-phase
    let mut commentary = message("assistant", "I will look.");
    commentary["phase"] = json!("commentary");
    let mut last = message("assistant", "It is there.");
    last["phase"] = json!("final_answer");
    let phases = json!([
        message("user", "Where?"),
        commentary,
        last,
        message("user", "Thanks.")
    ]);
    answered(&gateway, request(phases)).await?;
    // response-output-phase-schema
    model.when(
        "in two phases",
        ModelAnswer::new()
            .message(Some("commentary"))
            .text("Looking.")
            .message(Some("final_answer"))
            .text("Found."),
    );
    let response = answered(&gateway, user("in two phases")).await?;
    let phases: Vec<_> = response["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["phase"])
        .collect();
    assert_eq!(phases, ["commentary", "final_answer"], "{response}");
    Ok(())
}

#[tokio::test]
async fn calls_over_http() -> Result<()> {
    let (_model, gateway) = gateway().await?;
    // tool-calling
    let response = answered(&gateway, weather()).await?;
    let calls = response["output"].as_array().unwrap().iter();
    assert!(
        calls.clone().any(|item| item["type"] == "function_call"),
        "{response}"
    );
    let events = streamed(&gateway, weather()).await?;
    check_events(&events)?;
    let done = |kind: &str| events.iter().any(|event| event["type"] == kind);
    assert!(
        done("response.function_call_arguments.delta")
            && done("response.function_call_arguments.done")
    );
    Ok(())
}

#[tokio::test]
async fn compaction() -> Result<()> {
    let (_model, gateway) = gateway().await?;
    let path = format!("{RESPONSES}/compact");
    let conversation = json!([
        message("user", "My name is Alice."),
        message("assistant", "Hello Alice!")
    ]);
    // compact-missing-model
    let reply = gateway
        .client()
        .post(&path, json!({"input": conversation}).to_string())
        .await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("param")),
        (400, &json!("model"))
    );
    // compact-response
    let reply = gateway
        .client()
        .post(&path, request(conversation).to_string())
        .await?;
    let compacted = super::body(&reply)?;
    assert_eq!(compacted["object"], "response.compaction", "{compacted}");
    assert!(
        compacted["id"].is_string()
            && compacted["created_at"].is_u64()
            && compacted["usage"].is_object()
    );
    let items = compacted["output"].as_array().unwrap();
    assert_eq!(
        items
            .iter()
            .filter(|item| item["type"] == "compaction")
            .count(),
        1,
        "{compacted}"
    );
    // websocket-compact-new-chain
    let mut input = items.clone();
    input.push(message("user", "What is my name?"));
    let mut socket = Socket::open(&gateway).await?;
    let first = check_events(&sent(&mut socket, request(json!(input)), None).await?)?;
    check_events(&sent(&mut socket, user("Again."), Some(&first["id"])).await?)?;
    Ok(())
}

#[tokio::test]
async fn responses_on_a_websocket() -> Result<()> {
    let (_model, gateway) = gateway().await?;
    let mut socket = Socket::open(&gateway).await?;
    // websocket-response
    let first = check_events(&sent(&mut socket, user("Say hello."), None).await?)?;
    // websocket-sequential-responses
    let second = check_events(&sent(&mut socket, user("Say goodbye."), None).await?)?;
    assert_ne!(id(&first)?, id(&second)?);
    // websocket-continuation
    let third = check_events(&sent(&mut socket, user("Go on."), Some(&second["id"])).await?)?;
    assert_eq!(third["previous_response_id"], second["id"]);
    assert_eq!(text(&third), "Hello there, friend.");
    // websocket-previous-response-not-found
    check_not_found(&sent(&mut socket, user("Go on."), Some(&json!("resp_none"))).await?);
    // websocket-failed-continuation-evicts-cache
    let orphan = json!([{"type": "function_call_output", "call_id": "call_none", "output": "1"}]);
    let failed = sent(&mut socket, request(orphan), Some(&third["id"])).await?;
    assert_eq!(
        (&failed[0]["type"], &failed[0]["status"]),
        (&json!("error"), &json!(400))
    );
    check_not_found(&sent(&mut socket, user("Go on."), Some(&third["id"])).await?);
    // websocket-reconnect-store-false-recovery
    let mut again = Socket::open(&gateway).await?;
    check_not_found(&sent(&mut again, user("Go on."), Some(&first["id"])).await?);
    let whole = json!([
        message("user", "Say hello."),
        message("assistant", text(&first)),
        message("user", "Go on.")
    ]);
    check_events(&sent(&mut again, request(whole), None).await?)?;
    Ok(())
}
