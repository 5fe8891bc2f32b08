//! Turns that are parked until the results of their calls arrive, and then resume.

use airlock_tests::{FakeCodex, Gate, Gateway, Script};
use anyhow::Result;
use futures_util::future::try_join;
use serde_json::json;

use super::{BERGEN, OSLO, WEATHER, asking, outcome};

#[tokio::test]
async fn a_turn_that_waits_goes_on_in_its_own_thread() -> Result<()> {
    let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    assert_eq!(fake.received("thread/unsubscribe").len(), 0, "it waits");
    assert_eq!(fake.received("turn/interrupt").len(), 0, "it waits");
    let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
    for (method, count) in [
        ("thread/start", 1),
        ("turn/start", 1),
        ("turn/interrupt", 0),
    ] {
        assert_eq!(fake.received(method).len(), count, "{method}");
    }
    let started = fake.expect("turn/start").await?;
    assert_eq!(
        started["params"]["threadId"],
        json!(fake.expect_result().await?.thread)
    );
    fake.expect_endings("completed", 1).await?;
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn a_turn_goes_on_whichever_way_its_requests_are_answered() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        talk.ask().await?;
        let reply = talk
            .streaming(!streaming)
            .answer(&[("call_1", "7")])
            .await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
    }
    Ok(())
}

#[tokio::test]
async fn several_turns_wait_and_each_gets_its_own_results() -> Result<()> {
    let script = Script::new()
        .when("Oslo", |turn| {
            turn.call("call_1", WEATHER, OSLO).text("7 degrees.")
        })
        .when("Bergen", |turn| {
            turn.call("call_1", WEATHER, BERGEN).text("9 degrees.")
        });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    // The same id, in another conversation.
    let mut oslo = asking(&gateway, "Oslo?");
    let mut bergen = asking(&gateway, "Bergen?");
    oslo.ask().await?;
    bergen.ask().await?;
    let reply = bergen.answer(&[("call_1", "nine")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "9 degrees."));
    assert_eq!(fake.expect_result().await?.output, "nine");
    let reply = oslo.answer(&[("call_1", "seven")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "7 degrees."));
    assert_eq!(fake.expect_result().await?.output, "seven");
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn a_turn_that_waits_has_no_place_and_takes_one_to_go_on() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .turn(|turn| {
            turn.call("call_1", WEATHER, OSLO)
                .text("It is ")
                .hold(&gate)
                .text("cold.")
        })
        .turn(|turn| turn.text("Another."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 1\nqueue = 1\nqueue_wait = \"500ms\"")
        .over_fake(&fake)
        .await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    assert_eq!(gateway.client().ask("and else?").await?, "Another.");

    talk.result("call_1", "7");
    let mut stream = gateway.client().stream(talk.request()).await?;
    assert_eq!(stream.next_text().await?, "It is ");
    let refused = gateway.client().chat(json!({})).await?;
    assert_eq!(refused.status.as_u16(), 503, "{}", refused.body);
    gate.open();
    assert_eq!(stream.text().await?, "cold.");
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn a_client_that_leaves_a_turn_that_went_on_interrupts_it() -> Result<()> {
    let script =
        Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("It is ").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.result("call_1", "7");
    let mut stream = gateway.client().stream(talk.request()).await?;
    assert_eq!(stream.next_text().await?, "It is ");
    drop(stream);
    fake.expect_endings("interrupted", 1).await?;
    fake.expect_threads_returned().await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn of_two_concurrent_follow_ups_one_is_resumed_and_one_rebuilt() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."))
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    talk.result("call_1", "7");
    let (one, other) = try_join(talk.send(), talk.send()).await?;
    assert_eq!((one.text.as_str(), other.text.as_str()), ("Cold.", "Cold."));
    let mut turns = [one.turn, other.turn];
    turns.sort();
    assert_eq!(turns, ["rebuilt", "resumed"]);
    assert_eq!(fake.results().len(), 1);
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn a_turn_with_a_call_of_codexs_own_affair_does_not_wait() -> Result<()> {
    let script = Script::new()
        .turn(|turn| {
            turn.call("call_1", "nope", "{}")
                .call("call_2", WEATHER, OSLO)
                .text("never told")
        })
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    assert_eq!(talk.ask().await?.ids(), ["call_2"]);
    fake.expect_endings("interrupted", 1).await?;
    let reply = talk.answer(&[("call_2", "7")]).await?;
    assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn turns_that_wait_end_with_the_gateway() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
    let fake = FakeCodex::start(script)?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    for question in ["one", "two"] {
        asking(&gateway, question).ask().await?;
    }
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await?.success());
    Ok(())
}
