//! Threads after a turn: Codex reports that each is unloaded.

use airlock_tests::{Conversation, Gateway, ModelAnswer, ScriptedModel};
use anyhow::Result;
use serde_json::{Value, json};

use super::{BERGEN, OSLO, WEATHER, asking, outcome};
use crate::real::recorded::RecordedCodex;

/// A model that makes one call for each question, and answers its result with `Cold.`
async fn weather() -> Result<ScriptedModel> {
    let model = ScriptedModel::start().await?;
    model.when_answered("call_1", ModelAnswer::words("Cold."));
    let endless = ModelAnswer::new().text("Let me see.").hang();
    model.when("leave", endless.clone());
    model.when_answered("call_left", endless);
    model.otherwise(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    Ok(model)
}

/// Sends the result, and checks whether the turn was resumed or rebuilt.
async fn expect(talk: &mut Conversation, turn: &str) -> Result<()> {
    let reply = talk.answer(&[("call_1", "7")]).await?;
    assert_eq!(
        outcome(&reply),
        (turn, "stop", "Cold."),
        "{}",
        talk.messages[0]
    );
    Ok(())
}

#[tokio::test]
async fn no_thread_is_left_behind() -> Result<()> {
    let codex = RecordedCodex::new()?;
    let model = weather().await?;
    let gateway = Gateway::with()
        .settings("[limits]\nparked_turns = 1")
        .over_real_at(codex.program(), &model)
        .await?;
    let about = |question: &str, more: Value| {
        let mut talk = asking(&gateway, more);
        talk.messages[0]["content"] = json!(question);
        talk
    };
    let mut threads = 0;
    for streaming in [false, true] {
        let about = |question: &str, more| about(question, more).streaming(streaming);
        // The turn resumes in its thread.
        let mut resumed = about("resumed", json!({}));
        resumed.ask().await?;
        expect(&mut resumed, "resumed").await?;
        threads += 1;
        codex.expect_closed(threads).await?;

        // Three turns make calls and one may be parked; the client of the first edits the conversation.
        let mut edited = about("edited", json!({}));
        edited.ask().await?;
        edited.messages[0]["content"] = json!("another");
        expect(&mut edited, "rebuilt").await?;
        let mut displaced = about("displaced", json!({}));
        displaced.ask().await?;
        let mut newest = about("newest", json!({}));
        newest.ask().await?;
        expect(&mut newest, "resumed").await?;
        expect(&mut displaced, "rebuilt").await?;
        threads += 5;
        codex.expect_closed(threads).await?;

        // These turns are not parked.
        model.next(
            ModelAnswer::new()
                .call("call_1", WEATHER, OSLO)
                .call("call_2", WEATHER, BERGEN),
        );
        let mut single = about("single", json!({"parallel_tool_calls": false}));
        assert_eq!(single.ask().await?.ids(), ["call_1"]);
        model.next(ModelAnswer::new().call("call_1", WEATHER, "not json"));
        let reply = about("unreadable", json!({})).ask().await?;
        assert_eq!(reply.call()?.arguments, "not json");
        threads += 2;
        codex.expect_closed(threads).await?;

        // The client leaves before the calls, and after it has sent the results.
        let leaving = about("leave", json!({}));
        let mut stream = gateway.client().stream(leaving.request()).await?;
        stream.next_text().await?;
        drop(stream);
        model.next(ModelAnswer::new().call("call_left", WEATHER, OSLO));
        let mut leaving = about("later", json!({}));
        leaving.ask().await?;
        leaving.result("call_left", "7");
        let mut stream = gateway.client().stream(leaving.request()).await?;
        stream.next_text().await?;
        drop(stream);
        threads += 2;
        codex.expect_closed(threads).await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_thread_waits_for_ever() -> Result<()> {
    let codex = RecordedCodex::new()?;
    let model = weather().await?;
    let gateway = Gateway::with()
        .settings("[limits]\npark_time = \"1ms\"")
        .over_real_at(codex.program(), &model)
        .await?;
    let mut talk = asking(&gateway, json!({}));
    talk.ask().await?;
    codex.expect_closed(1).await?;
    expect(&mut talk, "rebuilt").await?;
    codex.expect_closed(2).await
}
