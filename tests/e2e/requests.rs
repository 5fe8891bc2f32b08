//! The content of a request: what is passed on, ignored and named, or refused.

mod attachments; // references of the host in a body

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::{Value, json};

/// A PNG of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn image(url: &str) -> Value {
    json!([{"role": "user", "content": [
        {"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]}])
}

#[tokio::test]
async fn a_conversation_reaches_codex_as_instructions_history_and_input() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": [{"type": "text", "text": "three"}]},
    ]);
    assert_eq!(
        gateway
            .client()
            .chat(json!({"messages": messages}))
            .await?
            .text()?,
        "You said: three"
    );
    let start = fake.expect("thread/start").await?["params"].take();
    assert_eq!(
        (&start["approvalPolicy"], &start["sandbox"]),
        (&json!("never"), &json!("read-only"))
    );
    assert_eq!(
        (&start["ephemeral"], &start["environments"]),
        (&json!(true), &json!([]))
    );
    assert!(
        start["baseInstructions"]
            .as_str()
            .is_some_and(|text| text.contains("Be brief.")),
        "{start}"
    );
    let items = fake.expect("thread/inject_items").await?["params"]["items"].take();
    let injected: Vec<_> = items
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| {
            (
                item["role"].clone(),
                item["content"][0]["type"].clone(),
                item["content"][0]["text"].clone(),
            )
        })
        .collect();
    assert_eq!(
        injected,
        [
            (json!("user"), json!("input_text"), json!("one")),
            (json!("assistant"), json!("output_text"), json!("two")),
        ]
    );
    let turn = fake.expect("turn/start").await?["params"].take();
    assert_eq!(turn["input"][0]["text"], "three");
    Ok(())
}

#[tokio::test]
async fn requests_that_are_wrong_name_the_place() -> Result<()> {
    let said = |content: Value| json!([{"role": "user", "content": "a"}, {"role": "user", "content": content}]);
    let cases = [
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": [{"content": "a"}]}), "messages[0].role"),
        (
            json!({"messages": [{"role": "wizard", "content": "a"}]}),
            "messages[0].role",
        ),
        (json!({"messages": said(json!(5))}), "messages[1].content"),
        (
            json!({"messages": said(json!([{"type": "text", "text": 5}]))}),
            "messages[1].content[0].text",
        ),
        (
            json!({"messages": said(json!([{"type": "hologram"}]))}),
            "messages[1].content[0].type",
        ),
        (json!({"model": 5}), "model"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"temperature": "hot"}), "temperature"),
        (
            json!({"response_format": {"type": "poem"}}),
            "response_format.type",
        ),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
        ),
        (json!({"n": 21}), "n"),
        (json!({"stop": [""]}), "stop[0]"),
        (json!({"logprobs": true}), "logprobs"),
        (
            json!({"audio": {"voice": "alloy", "format": "wav"}}),
            "audio",
        ),
        (
            json!({"messages": image("https://example.invalid/cat.png")}),
            "messages[0].content[1].image_url.url",
        ),
        (
            json!({"model": "text-only", "messages": image(PIXEL)}),
            "messages[0].content[1].image_url.url",
        ),
    ];
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (body, param) in cases {
        gateway.client().refused_at(param, body).await?;
    }
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_no_json_are_a_400() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for body in ["", "{", "[]", "null", "\"hi\"", "{\"messages\": [}"] {
        let reply = gateway.client().post("/v1/chat/completions", body).await?;
        assert_eq!(reply.status, 400, "{body:?}: {}", reply.body);
        assert_eq!(reply.error("type"), "invalid_request_error", "{body:?}");
    }
    let reply = gateway
        .client()
        .post("/v1/chat/completions", b"\xff\xfe{}".to_vec())
        .await?;
    assert_eq!(reply.status, 400);
    let nested = format!("{{\"messages\":{}", "[".repeat(100_000));
    assert_eq!(
        gateway
            .client()
            .post("/v1/chat/completions", nested)
            .await?
            .status,
        400
    );
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_errors_in_the_envelope() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().get("/v1/nowhere").await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("type")),
        (404, &json!("invalid_request_error"))
    );
    let reply = gateway.client().get("/v1/chat/completions").await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("type")),
        (405, &json!("invalid_request_error"))
    );
    Ok(())
}

#[tokio::test]
async fn images_are_handed_to_codex_as_they_came() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for model in ["gpt-5.5", "silent"] {
        let reply = gateway
            .client()
            .chat(json!({"model": model, "messages": image(PIXEL)}))
            .await?;
        assert_eq!(reply.text()?, "You said: what is this?");
        let input = fake.expect("turn/start").await?["params"]["input"].take();
        assert_eq!(input[1]["type"], "image");
        assert_eq!(input[1]["url"], PIXEL);
    }
    let mut messages = image(PIXEL);
    messages
        .as_array_mut()
        .into_iter()
        .for_each(|messages| messages.push(json!({"role": "user", "content": "and?"})));
    gateway
        .client()
        .chat(json!({"messages": messages}))
        .await?
        .text()?;
    let items = fake.expect("thread/inject_items").await?["params"]["items"].take();
    assert_eq!(
        items[0]["content"][1],
        json!({"type": "input_image", "image_url": PIXEL})
    );
    Ok(())
}

#[tokio::test]
async fn hints_are_ignored_and_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let hints = json!({"temperature": 0.2, "seed": 7, "max_completion_tokens": 10, "user": "u", "store": false,
        "metadata": {"a": "b"}, "service_tier": "auto", "n": 1, "logprobs": false});
    let reply = gateway.client().chat(hints.clone()).await?;
    assert_eq!(reply.text()?, "You said: hi");
    let mut named: Vec<_> = reply.header("x-airlock-ignored").split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["max_completion_tokens", "seed", "temperature"]);

    let mut stream = gateway.client().stream(hints).await?;
    assert!(stream.headers().contains_key("x-airlock-ignored"));
    assert_eq!(stream.text().await?, "You said: hi");
    assert_eq!(
        gateway
            .client()
            .chat(json!({}))
            .await?
            .header("x-airlock-ignored"),
        ""
    );
    Ok(())
}

#[tokio::test]
async fn a_strict_gateway_refuses_hints() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().flag("--strict").over_fake(&fake).await?;
    for hint in ["temperature", "top_p", "max_tokens"] {
        let reply = gateway.client().chat(json!({hint: 1})).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("param")),
            (400, &json!(hint)),
            "{}",
            reply.body
        );
    }
    assert_eq!(
        gateway.client().chat(json!({"user": "u"})).await?.text()?,
        "You said: hi"
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_model_is_a_404_before_any_turn() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for stream in [false, true] {
        let reply = gateway
            .client()
            .chat(json!({"model": "gpt-99", "stream": stream}))
            .await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (404, &json!("model_not_found")),
            "{}",
            reply.body
        );
        assert_eq!(reply.error("type"), "invalid_request_error");
    }
    assert_eq!(
        fake.received("thread/start").len() + fake.received("turn/start").len(),
        0
    );
    assert_eq!(
        gateway
            .client()
            .chat(json!({"model": "default"}))
            .await?
            .body["model"],
        "gpt-6.1-sol"
    );
    Ok(())
}

#[tokio::test]
async fn models_are_listed_and_shown() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let list = gateway.client().get("/v1/models").await?;
    assert_eq!(
        (list.status.as_u16(), &list.body["object"]),
        (200, &json!("list")),
        "{}",
        list.body
    );
    let ids: Vec<_> = list.body["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(ids, ["gpt-6.1-sol", "gpt-5.5", "text-only", "silent"]);

    let shown = gateway.client().get("/v1/models/gpt-5.5").await?;
    assert_eq!(shown.body["id"], "gpt-5.5");
    assert_eq!(shown.body["object"], "model");
    assert!(
        shown.body["owned_by"].is_string() && shown.body["created"].is_u64(),
        "{}",
        shown.body
    );
    assert_eq!(
        shown.body["reasoning_efforts"],
        json!(["low", "medium", "high", "xhigh"])
    );
    assert_eq!(shown.body["input_modalities"], json!(["text", "image"]));
    let text_only = gateway.client().get("/v1/models/text-only").await?;
    assert_eq!(text_only.body["input_modalities"], json!(["text"]));

    let missing = gateway.client().get("/v1/models/gpt-99").await?;
    assert_eq!(
        (missing.status.as_u16(), missing.error("code")),
        (404, &json!("model_not_found"))
    );
    Ok(())
}
