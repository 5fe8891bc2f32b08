//! Policies besides the embedded one: those that misbehave, each of which fails its own request alone, and the example with a
//! strategy of its own.

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script};
use anyhow::{Context, Result};
use serde_json::json;

const DEEDS: [&str; 3] = ["trap", "loop", "hoard"];

async fn hostile(gate: &Gate) -> Result<(FakeCodex, Gateway)> {
    let script = Script::new()
        .when("tell me", |turn| turn.text("word ").text("more"))
        .when("beside", |turn| {
            turn.text("before ").hold(gate).text("after")
        });
    hostile_over(script).await
}

async fn hostile_over(script: Script) -> Result<(FakeCodex, Gateway)> {
    let fake = FakeCodex::start(script)?;
    let settings = "[sandbox]\ncall_timeout = \"100ms\"\nmemory_bytes = \"16MiB\"";
    let gateway = Gateway::with()
        .settings(settings)
        .policy(airlock_tests::components::HOSTILE);
    let gateway = gateway.over_fake(&fake).await?;
    Ok((fake, gateway))
}

#[tokio::test]
async fn a_policy_that_fails_while_it_reads_the_request_is_a_500() -> Result<()> {
    let (fake, gateway) = hostile(&Gate::new()).await?;
    for deed in DEEDS {
        let reply = gateway
            .client()
            .chat(json!({"user": format!("hostile:render:{deed}")}))
            .await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("type")),
            (500, &json!("server_error")),
            "{deed}: {}",
            reply.body
        );
        assert!(
            !reply.body.to_string().contains("wasm"),
            "{deed}: {}",
            reply.body
        );
        assert_eq!(
            gateway.client().ask("fine").await?,
            "You said: fine",
            "{deed}"
        );
    }
    assert_eq!(
        fake.received("turn/start").len(),
        DEEDS.len(),
        "the failed requests became no turn"
    );
    Ok(())
}

#[tokio::test]
async fn a_policy_cannot_speak_to_codex_itself() -> Result<()> {
    let (fake, gateway) = hostile(&Gate::new()).await?;
    for place in ["history", "schema"] {
        let body = json!({"user": format!("hostile:smuggle:{place}")});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (500, &json!("policy_failed")),
            "{place}: {}",
            reply.body
        );
        assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    }
    assert_eq!(fake.received("fs/writeFile").len(), 0);
    assert_eq!(fake.received("turn/start").len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_policy_that_fails_while_it_translates_ends_its_own_reply() -> Result<()> {
    for deed in DEEDS {
        let gate = Gate::new();
        let (fake, gateway) = hostile(&gate).await?;
        let asking = |place: &str| json!({"messages": [{"role": "user", "content": "tell me"}], "user": format!("hostile:{place}:{deed}")});
        // Another client in the middle of its reply.
        let messages = json!([{"role": "user", "content": "beside"}]);
        let mut beside = gateway
            .client()
            .stream(json!({"messages": messages}))
            .await?;
        assert_eq!(beside.next_text().await?, "before ");
        for place in ["feed", "finish"] {
            let reply = gateway.client().chat(asking(place)).await?;
            assert_eq!(reply.status.as_u16(), 500, "{place} {deed}: {}", reply.body);
        }
        let mut stream = gateway.client().stream(asking("finish")).await?;
        let frames = stream.frames().await?;
        assert!(
            frames.iter().any(|frame| frame.error().is_some()),
            "{deed}: {frames:?}"
        );
        assert_eq!(
            frames.iter().filter(|frame| **frame == Frame::Done).count(),
            1,
            "{deed}: {frames:?}"
        );
        assert_eq!(frames.last(), Some(&Frame::Done));
        gate.open();
        assert_eq!(beside.text().await?, "after");
        assert_eq!(
            gateway.client().ask("fine").await?,
            "You said: fine",
            "{deed}"
        );
        // Every turn of the failed requests has ended.
        fake.expect_count("thread/unsubscribe", 5).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_that_fails_over_how_a_text_goes_on_ends_its_own_reply() -> Result<()> {
    for deed in DEEDS {
        let (first, second) = (Gate::new(), Gate::new());
        let script = Script::new().when("slowly", |turn| {
            let turn = turn.text("one ").hold(&first).text("two ");
            turn.hold(&second).text("three")
        });
        let (fake, gateway) = hostile_over(script).await?;
        let client = gateway.client();
        let asking = |user: String| {
            let messages = json!([{"role": "user", "content": "slowly"}]);
            client.stream(json!({"messages": messages, "user": user}))
        };
        let mut beside = asking("me".to_owned()).await?;
        let mut requested = asking(format!("hostile:offer:{deed}")).await?;
        let mut informed = asking(format!("hostile:relayed:{deed}")).await?;
        for stream in [&mut beside, &mut requested, &mut informed] {
            assert_eq!(stream.next_text().await?, "one ", "{deed}");
        }
        // The text continues: `offer` is called after the first piece, `relayed` after the next.
        first.open();
        for stream in [&mut beside, &mut informed] {
            assert_eq!(stream.next_text().await?, "two ", "{deed}");
        }
        second.open();
        assert_eq!(beside.text().await?, "three");
        for mut stream in [requested, informed] {
            let frames = stream.frames().await?;
            assert_eq!(frames.last(), Some(&Frame::Done), "{deed}: {frames:?}");
            let errors = frames.iter().filter_map(Frame::error);
            let codes: Vec<_> = errors.map(|error| error["code"].clone()).collect();
            assert_eq!(codes, ["policy_failed"], "{deed}: {frames:?}");
        }
        assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
        fake.expect_count("thread/unsubscribe", 4).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_that_cannot_be_loaded_stops_the_start() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.wasm");
    std::fs::write(&file, b"not a component")?;
    let refused = Gateway::with().policy(&file).refused(fake.binary()).await?;
    assert_ne!(refused.code.context("a signal")?, 0);
    assert!(refused.log.contains("policy"), "{}", refused.log);
    Ok(())
}

#[tokio::test]
async fn a_panel_that_fails_or_breaks_its_contract_is_a_500() -> Result<()> {
    let (fake, gateway) = hostile(&Gate::new()).await?;
    let deeds = DEEDS.map(|deed| format!("hostile:panel:{deed}"));
    let whims = ["wait", "absent", "endless"].map(|whim| format!("hostile:verdict:{whim}"));
    for word in deeds.iter().chain(&whims) {
        // The scripted Codex echoes the prompt, so each candidate's answer triggers the fault.
        let messages = json!([{"role": "user", "content": word}]);
        let body = json!({"parallel_calls": 2, "messages": messages});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (500, &json!("policy_failed")),
            "{word}: {}",
            reply.body
        );
        assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    }
    let starts = fake.received("turn/start");
    let consulted = starts
        .iter()
        .filter(|start| start["params"]["input"].to_string().contains("and now?"));
    assert_eq!(consulted.count(), 8, "as many as a panel may ask for");
    Ok(())
}

#[tokio::test]
async fn a_policy_brings_a_strategy_unknown_to_the_host() -> Result<()> {
    let script = Script::new()
        .when_instructed("Write a critique", |turn| turn.text("the second forgets"))
        .when_instructed("a critic has examined", |turn| turn.text("the answer"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .policy(airlock_tests::components::CRITIQUE)
        .over_fake(&fake)
        .await?;
    let response = gateway.client().fan_out(2, json!({})).await?;
    assert_eq!(response.text, "the answer");
    assert_eq!(response.airlock["synthesis"]["strategy"], "critique");
    let starts = fake.received("turn/start");
    let last = starts.last().context("no turn")?["params"]["input"].to_string();
    assert!(last.contains("the second forgets"), "{last}");
    // The critic's usage is part of the synthesis's.
    let consulted = &response.airlock["usage"]["synthesis"]["completion_tokens"];
    assert_eq!(consulted, 2);
    // The shipped strategies are still there.
    let body = json!({"airlock": {"synthesis": "first"}});
    let response = gateway.client().fan_out(2, body).await?;
    assert_eq!(response.airlock["synthesis"]["strategy"], "first");
    Ok(())
}
