//! Turns of the scripted Codex against the real one: the same events, in the same order, of the same shape.

use airlock_tests::direct::AppServer;
use airlock_tests::{Gate, ModelAnswer, Script, ScriptedModel};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{INCIDENTAL, fake, methods, real, shape};

#[tokio::test]
async fn the_fake_reports_a_turn_as_the_real_codex_does() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(
        ModelAnswer::new()
            .reasoning("**Hm** ")
            .reasoning("so. ")
            .message(Some("commentary"))
            .text("Wait. ")
            .message(Some("final_answer"))
            .text("Hel")
            .text("lo."),
    );
    let (_home, mut codex) = real(&model, 0).await?;
    let thread = codex.thread("gpt-5.5").await?;
    let truth = codex.turn(&thread, "hi").await?;

    let script = Script::new().turn(|turn| {
        turn.reasoning("**Hm** ")
            .reasoning("so. ")
            .message(Some("commentary"))
            .text("Wait. ")
            .message(Some("final_answer"))
            .text("Hel")
            .text("lo.")
    });
    let (_fake, mut fake) = fake(script).await?;
    let thread = fake.thread("gpt-5.5").await?;
    let received = fake.turn(&thread, "hi").await?;

    assert_eq!(methods(&received), methods(&truth));
    let incidental =
        |message: &&Value| !INCIDENTAL.contains(&message["method"].as_str().unwrap_or_default());
    for (received, truth) in received
        .iter()
        .filter(incidental)
        .zip(truth.iter().filter(incidental))
    {
        assert_eq!(shape(received), shape(truth), "{}", truth["method"]);
    }
    Ok(())
}

#[tokio::test]
async fn the_fake_fails_a_turn_as_the_real_codex_does() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::status(429, "rate_limit_exceeded"));
    let (_home, mut codex) = real(&model, 0).await?;
    let thread = codex.thread("gpt-5.5").await?;
    let truth = codex.turn(&thread, "hi").await?;

    let info =
        truth.last().context("nothing")?["params"]["turn"]["error"]["codexErrorInfo"].clone();
    assert_eq!(
        info,
        json!({"responseTooManyFailedAttempts": {"httpStatusCode": 429}})
    );
    let (_fake, mut fake) =
        fake(Script::new().turn(|turn| turn.fail(info, "exceeded retry limit"))).await?;
    let thread = fake.thread("gpt-5.5").await?;
    let received = fake.turn(&thread, "hi").await?;
    assert_eq!(methods(&received), methods(&truth));
    for (received, truth) in received.iter().rev().zip(truth.iter().rev()).take(1) {
        assert_eq!(shape(received), shape(truth));
    }
    Ok(())
}

#[tokio::test]
async fn the_fake_is_interrupted_as_the_real_codex_is() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::new().text("Hel").hang());
    let (_home, mut codex) = real(&model, 0).await?;
    let truth = interrupted(&mut codex).await?;
    model.call().await?.left().await?;

    let gate = Gate::new();
    let (_fake, mut fake) =
        fake(Script::new().turn(|turn| turn.start_at(&gate).text("Hel").hang())).await?;
    let thread = fake.thread("gpt-5.5").await?;
    let input = json!([{"type": "text", "text": "hi"}]);
    let turn = fake
        .call("turn/start", json!({"threadId": thread, "input": input}))
        .await?;
    let early = json!({"threadId": thread, "turnId": turn["turn"]["id"]});
    let error = fake
        .call("turn/interrupt", early)
        .await
        .err()
        .context("there is no turn yet")?;
    assert!(
        error.to_string().contains("no active turn to interrupt"),
        "{error}"
    );
    gate.open();
    let received = wait_and_interrupt(&mut fake, &thread, &turn["turn"]["id"]).await?;

    assert_eq!(received["params"]["turn"]["status"], "interrupted");
    assert_eq!(shape(&received), shape(&truth));
    Ok(())
}

async fn interrupted(server: &mut AppServer) -> Result<Value> {
    let thread = server.thread("gpt-5.5").await?;
    let input = json!([{"type": "text", "text": "hi"}]);
    let turn = server
        .call("turn/start", json!({"threadId": thread, "input": input}))
        .await?;
    wait_and_interrupt(server, &thread, &turn["turn"]["id"]).await
}

/// Interrupts the turn after its first delta. Returns the notification of its end.
async fn wait_and_interrupt(server: &mut AppServer, thread: &str, turn: &Value) -> Result<Value> {
    while server.next().await?["method"] != "item/agentMessage/delta" {}
    server
        .call(
            "turn/interrupt",
            json!({"threadId": thread, "turnId": turn}),
        )
        .await?;
    loop {
        let message = server.next().await?;
        if message["method"] == "turn/completed" {
            return Ok(message);
        }
    }
}

#[tokio::test]
async fn the_fake_refuses_what_the_real_codex_refuses() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let (_home, mut codex) = real(&model, 0).await?;
    let (_fake, mut fake) = fake(Script::new()).await?;
    for server in [&mut codex, &mut fake] {
        let thread = server.thread("gpt-5.5").await?;
        let refused = [
            (
                "initialize",
                json!({"clientInfo": {"name": "x", "title": null, "version": "1"}}),
                "Already initialized",
            ),
            (
                "thread/inject_items",
                json!({"threadId": thread, "items": []}),
                "items must not be empty",
            ),
            (
                "turn/start",
                json!({"threadId": thread, "input": [{"type": "image", "url": "https://example.invalid/a.png"}]}),
                "remote image URLs are not supported",
            ),
            (
                "turn/interrupt",
                json!({"threadId": thread, "turnId": "x"}),
                "no active turn to interrupt",
            ),
            ("no/such/method", json!({}), "unknown variant"),
        ];
        for (method, params, words) in refused {
            let error = server
                .call(method, params)
                .await
                .err()
                .context(method)?
                .to_string();
            assert!(
                error.contains(words) && error.contains("-32600"),
                "{method}: {error}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_model_breaks_once_and_codex_retries() -> Result<()> {
    let model = ScriptedModel::start().await?;
    // A broken connection loses unread data, so it breaks only after Codex's first delta.
    let read = Gate::new();
    model.next(ModelAnswer::new().text("Hel").hold(&read).disconnect());
    model.next(ModelAnswer::new().text("Hel").text("lo."));
    let (_home, mut codex) = real(&model, 1).await?;
    let thread = codex.thread("gpt-5.5").await?;
    let truth = codex.turn_with(&thread, "hi", |message| {
        if message["method"] == "item/agentMessage/delta" {
            read.open();
        }
    });
    let truth = truth.await?;

    let script =
        Script::new().turn(|turn| turn.text("Hel").reconnect(None).text("Hel").text("lo."));
    let (_fake, mut fake) = fake(script).await?;
    let thread = fake.thread("gpt-5.5").await?;
    let received = fake.turn(&thread, "hi").await?;

    assert_eq!(methods(&received), methods(&truth));
    assert_eq!(model.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn messages_without_deltas_and_answers_without_usage_are_reported_as_such() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::new().whole("Hello.").usage(None));
    let (_home, mut codex) = real(&model, 0).await?;
    let thread = codex.thread("gpt-5.5").await?;
    let truth = codex.turn(&thread, "hi").await?;

    let (_fake, mut fake) =
        fake(Script::new().turn(|turn| turn.whole("Hello.", None).no_usage())).await?;
    let thread = fake.thread("gpt-5.5").await?;
    let received = fake.turn(&thread, "hi").await?;

    assert_eq!(methods(&received), methods(&truth));
    assert!(!methods(&truth).contains(&"thread/tokenUsage/updated"));
    Ok(())
}
