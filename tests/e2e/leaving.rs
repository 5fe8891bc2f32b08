//! Clients that leave: at whatever stage, Codex stops working for them.

use airlock_tests::{FakeCodex, Gate, Gateway, Script, Stream};
use anyhow::{Result, bail};
use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};

#[tokio::test]
async fn a_client_that_leaves_mid_stream_interrupts_its_turn() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("Hel").hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    drop(stream);
    fake.expect("turn/interrupt").await?;
    fake.expect_endings("interrupted", 1).await?;
    fake.expect("thread/unsubscribe").await?;
    assert_eq!(
        gateway.client().ask("still there?").await?,
        "You said: still there?"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_interrupts_its_turn() -> Result<()> {
    for streaming in [true, false] {
        let fake = FakeCodex::start(Script::new().turn(airlock_tests::TurnPlan::hang))?;
        let gateway = Gateway::over_fake(&fake).await?;
        {
            let asking = gateway.client().chat(json!({"stream": streaming}));
            tokio::select! {
                reply = asking => bail!("an answer: {:?}", reply?.body),
                started = fake.expect("turn/start") => drop(started?),
            }
        }
        fake.expect_endings("interrupted", 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_interrupt_that_comes_too_early_is_repeated_until_it_holds() -> Result<()> {
    let start = Gate::new();
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.start_at(&start).hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    {
        let asking = gateway.client().chat(json!({}));
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            started = fake.expect("turn/start") => drop(started?),
        }
    }
    fake.expect("turn/interrupt").await?;
    start.open();
    fake.expect_endings("interrupted", 1).await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_while_its_thread_starts_leaves_no_turn_behind() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().answer("thread/start", airlock_tests::ScriptedResponse::Silence),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    {
        let asking = gateway.client().chat(json!({}));
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            started = fake.expect("thread/start") => drop(started?),
        }
    }
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    assert_eq!(
        fake.received("turn/start").len(),
        1,
        "only the second request became a turn"
    );
    Ok(())
}

#[tokio::test]
async fn a_thread_whose_client_left_while_it_started_is_given_back() -> Result<()> {
    let busy = airlock_tests::ScriptedResponse::overloaded();
    let fake = FakeCodex::start(Script::new().answer("thread/start", busy))?;
    let gateway = Gateway::over_fake(&fake).await?;
    {
        let asking = gateway.client().chat(json!({}));
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            started = fake.expect("thread/start") => drop(started?),
        }
    }
    fake.expect("thread/start").await?;
    fake.expect("thread/unsubscribe").await?;
    Ok(())
}

#[tokio::test]
async fn an_interrupt_that_is_never_answered_holds_up_nobody() -> Result<()> {
    let fake =
        FakeCodex::start(Script::new().turn(|turn| turn.text("a").ignore_interrupt().hang()))?;
    let settings = "[limits]\nturns = 2\ncall_timeout = \"300ms\"";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    stream.next_text().await?;
    drop(stream);
    fake.expect("turn/interrupt").await?;
    for question in ["one", "two", "three"] {
        assert_eq!(
            gateway.client().ask(question).await?,
            format!("You said: {question}")
        );
    }
    Ok(())
}

#[tokio::test]
async fn thirty_two_clients_leave_at_once_and_all_are_interrupted() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when("stay", |turn| turn.text("ok").hold(&gate))
        .every_turn(|turn| turn.text("Hel").hang());
    let fake = FakeCodex::start(script)?;
    let settings = "[limits]\nturns = 32\nqueue = 32";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let streams = all_talking(&gateway, json!({}), "Hel").await?;
    drop(streams);
    fake.expect_endings("interrupted", 32).await?;
    fake.expect_count("thread/unsubscribe", 32).await?;

    // Every permit is free again: if one were lost, the last of these requests would never run.
    let stay = json!({"messages": [{"role": "user", "content": "stay"}]});
    let streams = all_talking(&gateway, stay, "ok").await?;
    gate.open();
    for mut stream in streams {
        assert_eq!(stream.text().await?, "");
    }
    Ok(())
}

/// Thirty-two streams that have all sent their first text, and continue.
async fn all_talking(gateway: &Gateway, body: Value, words: &str) -> Result<Vec<Stream>> {
    let asking = (0..32).map(|_| gateway.client().stream(body.clone()));
    let mut streams = try_join_all(asking).await?;
    for text in join_all(streams.iter_mut().map(Stream::next_text)).await {
        assert_eq!(text?, words);
    }
    Ok(streams)
}

#[tokio::test]
async fn a_thread_is_given_back_after_its_turn() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("a").fail("other", "no")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    gateway.client().chat(json!({})).await?;
    let failed = fake.expect("thread/unsubscribe").await?;
    gateway.client().ask("hi").await?;
    let completed = fake.expect("thread/unsubscribe").await?;
    assert_ne!(
        failed["params"]["threadId"], completed["params"]["threadId"],
        "one thread a request"
    );
    Ok(())
}
