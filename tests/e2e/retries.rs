//! Retries: Codex's own, those of an overloaded Codex, and turns that may have run, which are never retried.

use airlock_tests::{FakeCodex, Frame, Gateway, Script, ScriptedResponse};
use anyhow::{Context, Result};
use serde_json::json;

#[tokio::test]
async fn text_that_codex_repeats_is_delivered_once() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.text("Hel")
            .text("lo ")
            .reconnect(None)
            .text("Hel")
            .text("lo w")
            .text("orld.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "Hello world.");
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "Hello world."
    );
    assert_eq!(
        frames.iter().map(Frame::finish_reason).collect::<String>(),
        "stop"
    );
    Ok(())
}

#[tokio::test]
async fn a_whole_message_that_codex_repeats_is_delivered_once() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.text("Hel")
            .text("lo.")
            .end_message()
            .reconnect(None)
            .text("Hello")
            .text(".")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "Hello.");
    assert_eq!(
        gateway.client().stream(json!({})).await?.text().await?,
        "Hello."
    );
    Ok(())
}

#[tokio::test]
async fn a_retry_that_differs_breaks_a_stream_and_replaces_a_whole_answer() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.text("The answer is 3")
            .reconnect(None)
            .text("It is 4.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "It is 4.");
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    let [.., failure, Frame::Done] = frames.as_slice() else {
        anyhow::bail!("no end: {frames:?}")
    };
    let error = failure
        .error()
        .with_context(|| format!("no error: {frames:?}"))?;
    assert_eq!(error["code"], "stream_restarted");
    assert!(
        frames.iter().all(|frame| frame.finish_reason().is_empty()),
        "{frames:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_retry_that_never_succeeds_ends_with_the_failure() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.text("Hel")
            .reconnect(None)
            .text("Hel")
            .reconnect(None)
            .fail("other", "stream disconnected")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().chat(json!({})).await?.status, 502);
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "Hel");
    assert!(
        frames.iter().any(|frame| frame.error().is_some()),
        "{frames:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_start_that_an_overloaded_codex_refuses_is_retried() -> Result<()> {
    for method in ["thread/start", "thread/inject_items", "turn/start"] {
        let script = Script::new()
            .answer(method, ScriptedResponse::overloaded())
            .answer(method, ScriptedResponse::overloaded());
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"}]);
        let reply = gateway.client().chat(json!({"messages": messages})).await?;
        assert_eq!(reply.text()?, "You said: c", "{method}");
        assert_eq!(fake.received(method).len(), 3, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn a_codex_that_stays_overloaded_is_a_503() -> Result<()> {
    let fake =
        FakeCodex::start(Script::new().always("turn/start", ScriptedResponse::overloaded()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (503, &json!("server_overloaded")),
        "{}",
        reply.body
    );
    assert!(fake.received("turn/start").len() > 1, "it was asked again");
    Ok(())
}

#[tokio::test]
async fn a_turn_is_never_started_twice_for_any_other_reason() -> Result<()> {
    let refused = ScriptedResponse::Error {
        code: -32603,
        message: "internal".to_owned(),
    };
    for (answer, status) in [(refused, 502), (ScriptedResponse::Silence, 504)] {
        let fake = FakeCodex::start(Script::new().answer("turn/start", answer))?;
        let gateway = Gateway::with()
            .settings("[limits]\ncall_timeout = \"400ms\"")
            .over_fake(&fake)
            .await?;
        let reply = gateway.client().chat(json!({})).await?;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
        assert_eq!(fake.received("turn/start").len(), 1);
        assert_eq!(gateway.client().ask("again").await?, "You said: again");
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_whose_start_is_never_answered_but_which_runs_is_interrupted() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.never_respond().hang()))?;
    let gateway = Gateway::with()
        .settings("[limits]\ncall_timeout = \"400ms\"")
        .over_fake(&fake)
        .await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert!(
        reply.status.is_server_error(),
        "{} {}",
        reply.status,
        reply.body
    );
    fake.expect_endings("interrupted", 1).await?;
    assert_eq!(fake.received("turn/start").len(), 1);
    Ok(())
}
