//! Features that only the scripted Codex has.

use airlock_tests::{Gate, Script};
use anyhow::{Context, Result};
use serde_json::json;

use super::{fake, methods};

#[tokio::test]
async fn an_unsubscribed_thread_is_closed_and_a_second_turn_steers() -> Result<()> {
    let gate = Gate::new();
    let (_fake, mut server) = fake(Script::new().turn(|turn| turn.text("a").hold(&gate))).await?;
    let thread = server.thread("gpt-5.5").await?;
    let params = json!({"threadId": thread, "input": [{"type": "text", "text": "hi"}]});
    let first = server.call("turn/start", params.clone()).await?;
    let second = server.call("turn/start", params).await?;
    assert_eq!(first["turn"]["id"], second["turn"]["id"]);
    server
        .call("thread/unsubscribe", json!({"threadId": thread}))
        .await?;
    gate.open();
    while server.next().await?["method"] != "thread/closed" {}
    let loaded = server.call("thread/loaded/list", json!({})).await?;
    assert_eq!(loaded["data"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_fake_sends_bursts_and_requests_exits_and_is_killed() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.burst(1000, 10))
        .turn(|turn| {
            turn.ask(
                "item/tool/call",
                json!({"callId": "c", "tool": "t", "arguments": {}}),
            )
            .text("after")
        })
        .turn(|turn| turn.text("a").then_exit(3));
    let (fake, mut server) = fake(script).await?;
    let thread = server.thread("gpt-5.5").await?;
    let received = server.turn(&thread, "one").await?;
    assert_eq!(
        methods(&received)
            .iter()
            .filter(|method| method.ends_with("delta"))
            .count(),
        1000
    );
    assert_eq!(
        received.last().context("nothing")?["params"]["turn"]["items"][0]["text"]
            .as_str()
            .map(str::len),
        Some(10_000)
    );

    let input = json!([{"type": "text", "text": "two"}]);
    server
        .call("turn/start", json!({"threadId": thread, "input": input}))
        .await?;
    let request = loop {
        let message = server.next().await?;
        if message["method"] == "item/tool/call" {
            break message;
        }
    };
    server
        .send(&json!({"id": request["id"], "error": {"code": -32601, "message": "no"}}))
        .await?;
    assert_eq!(fake.expect_answer().await?["error"]["message"], "no");
    while server.next().await?["method"] != "turn/completed" {}

    let hello = fake.expect_start().await?;
    server.turn(&thread, "three").await?;
    fake.expect_end(hello.pid).await?;
    fake.expect_endings("completed", 3).await?;
    Ok(())
}
