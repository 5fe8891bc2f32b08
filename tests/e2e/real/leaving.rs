//! Clients that leave and children that die, on the real Codex, observed at the model's socket and in the process table.

use std::time::Duration;

use airlock_tests::{Frame, Gateway, ModelAnswer, ScriptedModel};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::recorded::RecordedCodex;

#[tokio::test]
async fn a_client_that_leaves_mid_stream_closes_the_models_connection() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().text("Hel").hang());
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    let call = model.call().await?;
    assert!(!call.was_left());
    drop(stream);
    call.left().await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_closes_the_models_connection() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    for stream in [true, false] {
        model.next(ModelAnswer::new().hang());
        let call = {
            let asking = gateway.client().chat(json!({"stream": stream}));
            tokio::select! {
                reply = asking => bail!("an answer: {:?}", reply?.body),
                call = model.call() => call?,
            }
        };
        call.left().await?;
    }
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_killed_mid_turn_is_an_error_and_the_next_request_works() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().text("Hel").hang());
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    gateway.kill_children();
    let frames = stream.frames().await?;
    let [failure, Frame::Done] = frames.as_slice() else {
        bail!("no error and [DONE]: {frames:?}")
    };
    assert_eq!(failure.error().context("no error")?["code"], "codex_exited");
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_killed_takes_codex_with_it() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let mut gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().text("Hel").hang());
    let mut stream = gateway.client().stream(json!({})).await?;
    stream.next_text().await?;
    let processes = gateway.processes();
    assert!(
        processes
            .iter()
            .any(|process| process.command.contains("app-server")),
        "{processes:?}"
    );
    gateway.signal(Signal::KILL);
    for process in processes {
        assert!(
            process.ended_within(Duration::from_secs(1))?,
            "{} lives on",
            process.command
        );
    }
    model.call().await?.left().await?;
    gateway.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_thread_is_unloaded_after_its_turn() -> Result<()> {
    let codex = RecordedCodex::new()?;
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with()
        .over_real_at(codex.program(), &model)
        .await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    codex.expect_unloaded().await
}
