//! Turns that are rebuilt in a new thread, because the parked one is gone or does not match.

use airlock_tests::{Conversation, FakeCodex, Gateway, Script, Stream};
use anyhow::Result;
use serde_json::{Value, json};

use super::{OSLO, WEATHER, asking, called, injected, outcome};

/// A Codex whose first turn makes a call, and whose second answers `Cold.`
fn twice() -> Script {
    Script::new()
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("never told"))
        .turn(|turn| turn.text("Cold."))
}

/// Sends the result, and checks that a new thread receives it after the whole conversation.
async fn expect_rebuilt(fake: &FakeCodex, talk: &mut Conversation) -> Result<()> {
    let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
    assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
    let items = injected(fake);
    assert!(
        items.ends_with(&called("call_1", OSLO, "7 degrees")),
        "{items:?}"
    );
    assert_eq!(items[0]["role"], "user", "{items:?}");
    assert_eq!(items.len(), 3, "{items:?}");
    let started = fake.received("turn/start");
    let input = started.last().map(|started| &started["params"]["input"]);
    assert_eq!(input, Some(&json!([])));
    Ok(())
}

#[tokio::test]
async fn an_edited_conversation_is_rebuilt() -> Result<()> {
    let fake = FakeCodex::start(twice())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.messages[0]["content"] = json!("How is Oslo today?");
    expect_rebuilt(&fake, &mut talk).await?;
    assert_eq!(
        injected(&fake)[0]["content"][0]["text"],
        "How is Oslo today?"
    );
    assert_eq!(
        fake.results().len(),
        0,
        "nobody answered the turn that waits"
    );
    Ok(())
}

#[tokio::test]
async fn edited_calls_are_rebuilt_as_edited() -> Result<()> {
    let fake = FakeCodex::start(twice())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    let other = r#"{"city":"Trondheim"}"#;
    talk.messages[1]["tool_calls"][0]["function"]["arguments"] = json!(other);
    let reply = talk.answer(&[("call_1", "3")]).await?;
    assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
    assert!(injected(&fake).ends_with(&called("call_1", other, "3")));
    Ok(())
}

#[tokio::test]
async fn arguments_that_are_only_written_anew_are_the_same() -> Result<()> {
    let script = Script::new().turn(|turn| {
        turn.call("call_1", WEATHER, r#"{"city":"Oslo","days":2}"#)
            .text("Cold.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    let anew = json!(r#"{ "days": 2, "city": "Oslo" }"#);
    talk.messages[1]["tool_calls"][0]["function"]["arguments"] = anew;
    let reply = talk.answer(&[("call_1", "3")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
    Ok(())
}

#[tokio::test]
async fn a_user_message_after_the_results_is_rebuilt() -> Result<()> {
    let fake = FakeCodex::start(twice())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.result("call_1", "7");
    talk.say("Be brief.");
    let reply = talk.ask().await?;
    assert_eq!(reply.text, "Cold.");
    assert_ne!(reply.turn, "resumed");
    assert!(injected(&fake).ends_with(&called("call_1", OSLO, "7")));
    fake.expect_turn_containing("Be brief.").await?;
    Ok(())
}

#[tokio::test]
async fn a_restarted_gateway_rebuilds_the_conversation() -> Result<()> {
    for streaming in [false, true] {
        let fake = FakeCodex::start(twice())?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        talk.ask().await?;
        drop(gateway);
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = talk.at(gateway.client());
        expect_rebuilt(&fake, &mut talk).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_killed_takes_its_turns_with_it() -> Result<()> {
    let fake = FakeCodex::start(twice())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    fake.kill().await?;
    expect_rebuilt(&fake, &mut talk).await?;
    assert_eq!(fake.starts(), 2);
    Ok(())
}

#[tokio::test]
async fn a_turn_that_waits_too_long_is_ended() -> Result<()> {
    let fake = FakeCodex::start(twice())?;
    let gateway = Gateway::with()
        .settings("[limits]\npark_time = \"200ms\"")
        .over_fake(&fake)
        .await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    fake.expect_endings("interrupted", 1).await?;
    expect_rebuilt(&fake, &mut talk).await?;
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn of_too_many_turns_that_wait_the_oldest_is_ended() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("never told"))
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Waited."))
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nparked_turns = 1")
        .over_fake(&fake)
        .await?;
    let mut first = asking(&gateway, "first");
    let mut second = asking(&gateway, "second");
    first.ask().await?;
    second.ask().await?;
    fake.expect_endings("interrupted", 1).await?;
    let reply = second.answer(&[("call_1", "9")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "Waited."));
    expect_rebuilt(&fake, &mut first).await?;
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn where_no_turn_may_be_parked_each_is_rebuilt() -> Result<()> {
    for streaming in [false, true] {
        let fake = FakeCodex::start(twice())?;
        let gateway = Gateway::with()
            .settings("[limits]\nparked_turns = 0")
            .over_fake(&fake)
            .await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        talk.ask().await?;
        fake.expect_endings("interrupted", 1).await?;
        expect_rebuilt(&fake, &mut talk).await?;
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn arguments_that_are_no_json_reach_the_client_and_their_turn_does_not_wait() -> Result<()> {
    let broken = r#"{"city":"#;
    for streaming in [false, true] {
        // The second call could wait, but its turn is not parked, because Codex has answered the first itself.
        for more in [false, true] {
            let script = Script::new()
                .turn(|turn| {
                    let turn = turn.call("call_1", WEATHER, broken);
                    let turn = if more {
                        turn.call("call_2", WEATHER, OSLO)
                    } else {
                        turn
                    };
                    turn.respond().hang()
                })
                .turn(|turn| turn.text("Cold."));
            let fake = FakeCodex::start(script)?;
            let gateway = Gateway::over_fake(&fake).await?;
            let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
            let reply = talk.ask().await?;
            assert_eq!(reply.calls[0].arguments, broken);
            fake.expect_endings("interrupted", 1).await?;
            let mut results = vec![("call_1", "no such city")];
            if more {
                results.push(("call_2", "7"));
            }
            let reply = talk.answer(&results).await?;
            assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
            let calls = injected(&fake);
            let calls = calls.iter().filter(|item| item["type"] == "function_call");
            assert_eq!(calls.clone().count(), results.len());
            let first = calls.map(|call| &call["arguments"]).next();
            assert_eq!(first, Some(&json!(broken)));
            fake.expect_threads_returned().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_repeated_follow_up_is_rebuilt() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."))
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.result("call_1", "7");
    assert_eq!(outcome(&talk.send().await?), ("resumed", "stop", "Cold."));
    assert_eq!(outcome(&talk.send().await?), ("rebuilt", "stop", "Cold."));
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn text_before_a_call_stands_before_it_in_the_history() -> Result<()> {
    let script = Script::new()
        .turn(|turn| {
            turn.text("Let me see.")
                .call("call_1", WEATHER, OSLO)
                .text("never told")
        })
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nparked_turns = 0")
        .over_fake(&fake)
        .await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.answer(&[("call_1", "7")]).await?;
    let items = injected(&fake);
    let kinds: Vec<_> = items.iter().map(|item| &item["type"]).collect();
    assert_eq!(
        kinds,
        [
            "message",
            "message",
            "function_call",
            "function_call_output"
        ]
    );
    let said: Option<&Value> = items[1].pointer("/content/0/text");
    assert_eq!(
        (&items[1]["role"], said),
        (&json!("assistant"), Some(&json!("Let me see.")))
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_at_its_calls_still_leaves_a_turn_that_waits() -> Result<()>
{
    let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    // Some clients close as soon as they have read the finish reason.
    let mut stream: Stream = gateway.client().stream(talk.request()).await?;
    stream
        .frames_until(|frame| frame.finish_reason() == "tool_calls")
        .await?;
    drop(stream);
    let call = json!({"id": "call_1", "type": "function", "function": {"name": WEATHER, "arguments": OSLO}});
    talk.messages
        .push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
    let reply = talk.answer(&[("call_1", "7")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
    Ok(())
}
