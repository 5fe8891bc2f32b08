//! Parked turns that do not resume: the follow-up is rebuilt, and the model receives the same conversation.

use airlock_tests::{Conversation, Gateway, ModelAnswer, ScriptedModel};
use anyhow::{Context, Result};
use serde_json::json;

use super::{OSLO, WEATHER, asking, outcome, output};

/// A model that makes one call, and answers its result with `It is cold.`
async fn weather() -> Result<ScriptedModel> {
    let model = ScriptedModel::start().await?;
    model.when_answered("call_1", ModelAnswer::words("It is cold."));
    model.otherwise(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    Ok(model)
}

async fn expect_rebuilt(model: &ScriptedModel, talk: &mut Conversation) -> Result<()> {
    let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
    assert_eq!(outcome(&reply), ("rebuilt", "stop", "It is cold."));
    let request = model.calls().pop().context("none")?;
    assert_eq!(
        request.calls(),
        [("call_1".to_owned(), WEATHER.to_owned(), OSLO.to_owned())]
    );
    assert_eq!(request.outputs(), [output("call_1", "7 degrees")]);
    Ok(())
}

#[tokio::test]
async fn an_edited_conversation_is_rebuilt() -> Result<()> {
    let model = weather().await?;
    let gateway = Gateway::over_real(&model).await?;
    let mut talk = asking(&gateway, json!({}));
    talk.ask().await?;
    talk.messages[0]["content"] = json!("How is Oslo today?");
    expect_rebuilt(&model, &mut talk).await?;
    assert_eq!(model.calls()[1].user_text(), "How is Oslo today?");
    Ok(())
}

#[tokio::test]
async fn a_restarted_gateway_rebuilds_the_conversation() -> Result<()> {
    for streaming in [false, true] {
        let model = weather().await?;
        let gateway = Gateway::over_real(&model).await?;
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        talk.ask().await?;
        drop(gateway);
        let gateway = Gateway::over_real(&model).await?;
        expect_rebuilt(&model, &mut talk.at(gateway.client())).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_killed_takes_its_turns_with_it() -> Result<()> {
    let model = weather().await?;
    let gateway = Gateway::over_real(&model).await?;
    let mut talk = asking(&gateway, json!({}));
    talk.ask().await?;
    gateway.kill_children();
    expect_rebuilt(&model, &mut talk).await
}

#[tokio::test]
async fn a_turn_that_waits_too_long_is_ended() -> Result<()> {
    let model = weather().await?;
    let gateway = Gateway::with()
        .settings("[limits]\npark_time = \"1ms\"")
        .over_real(&model)
        .await?;
    let mut talk = asking(&gateway, json!({}));
    talk.ask().await?;
    // A turn of the real Codex takes longer than this.
    model.when("else", ModelAnswer::words("Nothing."));
    assert_eq!(gateway.client().ask("And else?").await?, "Nothing.");
    expect_rebuilt(&model, &mut talk).await
}

#[tokio::test]
async fn of_too_many_parked_turns_the_oldest_are_rebuilt() -> Result<()> {
    const ALL: usize = 12;
    const BOUND: usize = 4;
    let model = weather().await?;
    let gateway = Gateway::with()
        .settings(&format!("[limits]\nparked_turns = {BOUND}"))
        .over_real(&model)
        .await?;
    let mut talks = Vec::new();
    for number in 0..ALL {
        let mut talk = asking(&gateway, json!({}));
        talk.messages[0]["content"] = json!(format!("How is Oslo on day {number}?"));
        talk.ask().await?;
        talks.push(talk);
    }
    for (number, talk) in talks.iter_mut().enumerate() {
        let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
        let turn = if number < ALL - BOUND {
            "rebuilt"
        } else {
            "resumed"
        };
        assert_eq!(outcome(&reply), (turn, "stop", "It is cold."), "{number}");
    }
    assert_eq!(model.calls().len(), 2 * ALL);
    Ok(())
}
