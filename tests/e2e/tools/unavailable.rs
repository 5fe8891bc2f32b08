//! A Codex that cannot offer plain functions: it serves requests without tools, and reports the limitation.

use airlock_tests::{FakeCodex, Gateway, Script, tool};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::WEATHER;

/// The attribute of each model in the list: whether it supports tools.
async fn supports_tools(gateway: &Gateway) -> Result<Vec<Value>> {
    let mut list = gateway.client().get("/v1/models").await?.body;
    let models = list["data"].as_array_mut().context("no list")?;
    Ok(models
        .iter_mut()
        .map(|model| model["supports_tools"].take())
        .collect())
}

#[tokio::test]
async fn the_list_shows_which_models_take_tools() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let supported = supports_tools(&gateway).await?;
    assert!(!supported.is_empty());
    assert!(
        supported.iter().all(|supported| *supported == true),
        "{supported:?}"
    );
    let one = gateway.client().get("/v1/models/gpt-5.5").await?;
    assert_eq!(one.body["supports_tools"], true, "{}", one.body);
    Ok(())
}

#[tokio::test]
async fn a_codex_without_a_catalogue_serves_all_but_tools() -> Result<()> {
    let fake = FakeCodex::start(Script::new().no_bundled_models())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let supported = supports_tools(&gateway).await?;
    assert!(!supported.is_empty());
    assert!(
        supported.iter().all(|supported| *supported == false),
        "{supported:?}"
    );

    let tools = json!([tool(WEATHER)]);
    for body in [
        json!({"tools": tools}),
        json!({"tools": tools, "tool_choice": "required"}),
        json!({"tools": tools, "stream": true}),
    ] {
        let reply = gateway.client().chat(body.clone()).await?;
        assert_eq!(
            (
                reply.status.as_u16(),
                reply.error("code"),
                reply.error("param")
            ),
            (400, &json!("tools_unavailable"), &json!("tools")),
            "{body}: {}",
            reply.body
        );
    }
    assert_eq!(fake.received("thread/start").len(), 0);

    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    let none = json!({"tools": tools, "tool_choice": "none"});
    assert_eq!(gateway.client().chat(none).await?.text()?, "You said: hi");
    // Calls of an earlier gateway are history like any other.
    let call = json!({"id": "call_1", "type": "function", "function": {"name": WEATHER, "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "How is Oslo?"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
    ]);
    let reply = gateway.client().chat(json!({"messages": messages})).await?;
    assert_eq!(reply.text()?, "You said: How is Oslo?");
    fake.expect_threads_returned().await
}
