//! Stored, continued and background responses, conversations, and the Responses API on WebSockets.

mod background;
mod conversations;
mod open_responses;
mod stored;
mod websocket;

use airlock_tests::{FakeCodex, Frame, Gateway, Reply, Stream};
use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

const RESPONSES: &str = "/v1/responses";

/// The body of a successful response.
fn body(reply: &Reply) -> Result<Value> {
    anyhow::ensure!(reply.status == 200, "{}: {}", reply.status, reply.body);
    Ok(reply.body.clone())
}

/// Creates a response.
async fn create(gateway: &Gateway, request: Value) -> Result<Value> {
    let reply = gateway.client().post(RESPONSES, request.to_string());
    body(&reply.await?)
}

/// A request without a body.
async fn request(gateway: &Gateway, method: Method, path: &str) -> Result<Reply> {
    airlock_tests::client::send(gateway.client().request(method, path)).await
}

async fn get(gateway: &Gateway, path: &str) -> Result<Reply> {
    request(gateway, Method::GET, path).await
}

/// The id of an object.
fn id(object: &Value) -> Result<&str> {
    object["id"].as_str().context("an object without an id")
}

/// The text of a response's messages.
fn text(response: &Value) -> String {
    let items = response["output"].as_array().into_iter().flatten();
    let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The role and text of each message that the last turn of Codex received as history.
fn history(fake: &FakeCodex) -> Vec<(String, String)> {
    let injected = fake.received("thread/inject_items");
    let items = injected
        .last()
        .map(|call| call["params"]["items"].clone())
        .unwrap_or_default();
    let shown = |item: &Value| {
        let role = item["role"].as_str().unwrap_or_default().to_owned();
        let parts = item["content"].as_array().into_iter().flatten();
        let text = parts.filter_map(|part| part["text"].as_str()).collect();
        (role, text)
    };
    items.as_array().into_iter().flatten().map(shown).collect()
}

/// The events of a stream to its end, without `[DONE]` and comments.
async fn events(stream: &mut Stream) -> Result<Vec<Value>> {
    let frames = stream.frames().await?;
    let data = frames.into_iter().filter_map(|frame| match frame {
        Frame::Data(data) => Some(data),
        Frame::Done | Frame::Comment(_) => None,
    });
    Ok(data.collect())
}

fn message(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

/// The envelope of what is not found, whichever way it came to be so.
fn not_found(reply: &Reply, what: &str) {
    assert_eq!(reply.status.as_u16(), 404, "{what}: {}", reply.body);
    assert_eq!(reply.error("type"), &json!("invalid_request_error"));
}
