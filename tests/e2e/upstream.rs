//! A model that cannot be reached, or that loops with Codex: the client's errors and the operator's view.

use airlock_tests::fake::Usage;
use airlock_tests::{FakeCodex, Frame, Gate, Gateway, GatewayBuilder, Script, TurnPlan};
use anyhow::{Result, bail};
use serde_json::{Value, json};

const ONE: Usage = Usage {
    input: 100,
    cached: 0,
    output: 5,
    reasoning: 0,
};

/// A gateway whose turns wait for the model this long.
fn waiting(model_wait: &str) -> GatewayBuilder {
    Gateway::with()
        .administered()
        .settings(&format!("[limits]\nmodel_wait = \"{model_wait}\""))
}

/// Codex's report that it has not reached the model and retries (0.163.0 and 0.169.0).
fn unreachable(turn: TurnPlan) -> TurnPlan {
    turn.notify(
        "error",
        json!({"willRetry": true, "error": {"message": "Reconnecting... 1/5", "misalignment": null,
            "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": null}},
            "additionalDetails": "Connection failed: error sending request"}}),
    )
}

/// Requests to the model of this many responses, each with a call that Codex answers itself.
fn rounds(turn: TurnPlan, count: usize) -> TurnPlan {
    (0..count).fold(turn, |turn, _| turn.usage(ONE))
}

fn error(frames: &[Frame]) -> Result<&Value> {
    let [.., failure, Frame::Done] = frames else {
        bail!("no error and [DONE] at the end: {frames:?}");
    };
    let errors = frames.iter().filter(|frame| frame.error().is_some());
    anyhow::ensure!(errors.count() == 1, "{frames:?}");
    failure
        .error()
        .ok_or_else(|| anyhow::anyhow!("no error: {failure:?}"))
}

#[tokio::test]
async fn a_model_that_sends_nothing_ends_the_turn_and_the_next_answer_clears_it() -> Result<()> {
    let script = Script::new().turn(TurnPlan::hang).turn(TurnPlan::hang);
    let fake = FakeCodex::start(script)?;
    let gateway = waiting("300ms").over_fake(&fake).await?;
    let admin = gateway.admin();
    for stream in [false, true] {
        let reply = gateway.client().chat(json!({"stream": stream})).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (504, &json!("upstream_timeout")),
            "{}",
            reply.body
        );
    }
    fake.expect_endings("interrupted", 2).await?;

    let fleet = admin.fleet().await?;
    assert_eq!(fleet["model"]["state"], "unreachable");
    assert_eq!(fleet["stopped_turns"], json!({"timeouts": 2, "loops": 0}));
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(
        (ready.status.as_u16(), ready.error("code")),
        (503, &json!("upstream_unreachable")),
        "{}",
        ready.body
    );
    let message = ready.error("message").to_string();
    assert!(
        message.contains(" since ") && message.contains(" UTC "),
        "{message}"
    );
    let status = gateway.client().with_key(airlock_tests::admin::ADMIN_KEY);
    let status = status.get("/api/codex/status").await?.body;
    assert_eq!(status["model"]["state"], "unreachable");
    assert_eq!(status["model"]["since"], fleet["model"]["since"]);
    let problem = status["problem"].to_string();
    assert!(
        problem.contains("Codex cannot reach the model since "),
        "{problem}"
    );
    let shown = gateway.command(&["status"]).await?;
    assert_eq!(shown.code, Some(1), "{}{}", shown.out, shown.err);
    assert!(
        shown.out.contains("model    unreachable since "),
        "{}",
        shown.out
    );
    admin
        .measured(&[
            "airlock_model_unreachable 1",
            r#"airlock_stopped_turns_total{reason="upstream_timeout"} 2"#,
            r#"airlock_stopped_turns_total{reason="upstream_loop"} 0"#,
        ])
        .await?;

    assert_eq!(
        gateway.client().ask("and now?").await?,
        "You said: and now?"
    );
    gateway.logged("the model answers again").await?;
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(
        (ready.status.as_u16(), &ready.body["model"]),
        (200, &json!({"state": "reachable"}))
    );
    admin
        .measured(&[
            "airlock_model_unreachable 0",
            "airlock_model_outage_seconds 0",
        ])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_model_that_codex_does_not_reach_is_reported_before_the_turn_ends() -> Result<()> {
    let script = Script::new().turn(|turn| unreachable(turn).hang());
    let fake = FakeCodex::start(script)?;
    let gateway = waiting("2s").over_fake(&fake).await?;
    let asking = gateway.client().chat(json!({}));
    let seen = async {
        let line = gateway.logged("the model cannot be reached").await?;
        anyhow::ensure!(line.contains("WARN"), "{line}");
        let ready = gateway.client().get("/readyz").await?;
        anyhow::ensure!(
            ready.error("code") == "upstream_unreachable",
            "{}",
            ready.body
        );
        anyhow::Ok(())
    };
    let (reply, seen) = tokio::join!(asking, seen);
    seen?;
    let reply = reply?;
    // Codex's own report takes precedence over silence.
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("upstream_unreachable")),
        "{}",
        reply.body
    );
    Ok(())
}

#[tokio::test]
async fn a_silent_model_is_reported_within_ten_seconds() -> Result<()> {
    let script = Script::new().when("slow", TurnPlan::hang);
    let fake = FakeCodex::start(script)?;
    let gateway = waiting("60s").over_fake(&fake).await?;
    let slow = json!({"messages": [{"role": "user", "content": "slow"}]});
    let mut stream = std::pin::pin!(gateway.client().stream(slow));
    tokio::select! {
        _ = &mut stream => bail!("an answer"),
        line = gateway.logged("the model has sent nothing for a turn") => {
            let line = line?;
            assert!(line.contains("WARN") && line.contains("seconds=8"), "{line}");
        }
    }
    // The model may only be slow, so the gateway stays ready, and reports the silence.
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(
        (ready.status.as_u16(), &ready.body["model"]["state"]),
        (200, &json!("silent")),
        "{}",
        ready.body
    );
    Ok(())
}

#[tokio::test]
async fn a_model_that_goes_on_with_another_answer_is_reached() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when("long", |turn| turn.text("a").hold(&gate).text("b").hang())
        .when("slow", TurnPlan::hang);
    let fake = FakeCodex::start(script)?;
    let gateway = waiting("2s").over_fake(&fake).await?;
    let admin = gateway.admin();
    let asking = |words: &str| json!({"messages": [{"role": "user", "content": words}]});
    let mut long = gateway.client().stream(asking("long")).await?;
    assert_eq!(long.next_text().await?, "a");
    let slow = gateway.client().chat(asking("slow"));
    let goes_on = async {
        let begun = |fleet: &Value| fleet["turns_begun"] == 2;
        admin.fleet_is("both turns", begun).await?;
        gate.open();
        long.next_text().await
    };
    let (slow, piece) = tokio::join!(slow, goes_on);
    assert_eq!((slow?.status.as_u16(), &*piece?), (504, "b"));
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(
        (ready.status.as_u16(), &ready.body["model"]),
        (200, &json!({"state": "reachable"})),
        "{}",
        ready.body
    );
    Ok(())
}

#[tokio::test]
async fn a_model_that_goes_on_after_a_pause_is_awaited_anew() -> Result<()> {
    // Each response comes within the wait, all together take longer.
    let pause = std::time::Duration::from_millis(900);
    let script = Script::new().turn(|turn| {
        turn.pause(pause)
            .usage(ONE)
            .pause(pause)
            .usage(ONE)
            .pause(pause)
            .text("done")
            .usage(ONE)
    });
    let fake = FakeCodex::start(script)?;
    let gateway = waiting("2s").over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "done");
    Ok(())
}

#[tokio::test]
async fn a_turn_with_too_many_model_requests_is_stopped() -> Result<()> {
    let script = Script::new()
        .when("at once", |turn| rounds(turn, 8).hang())
        .when("later", |turn| rounds(turn.text("so "), 9).hang())
        .when("just so", |turn| rounds(turn, 7).text("done").usage(ONE));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let asking = |words: &str| json!({"messages": [{"role": "user", "content": words}]});

    for stream in [false, true] {
        let mut body = asking("at once");
        body["stream"] = json!(stream);
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (
                reply.status.as_u16(),
                reply.error("code"),
                reply.error("type")
            ),
            (502, &json!("upstream_loop"), &json!("server_error")),
            "{}",
            reply.body
        );
        assert!(
            reply
                .error("message")
                .to_string()
                .contains("after 8 requests")
        );
    }
    let mut stream = gateway.client().stream(asking("later")).await?;
    let frames = stream.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "so ");
    assert_eq!(error(&frames)?["code"], "upstream_loop");
    fake.expect_endings("interrupted", 3).await?;

    let reply = gateway.client().chat(asking("just so")).await?;
    assert_eq!(reply.text()?, "done");
    gateway
        .admin()
        .measured(&[r#"airlock_stopped_turns_total{reason="upstream_loop"} 3"#])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_turn_of_the_clients_own_tools_has_all_of_its_requests_each_time() -> Result<()> {
    let tool = airlock_tests::tool("weather");
    let script = Script::new().turn(|turn| {
        (0..5)
            .fold(turn, |turn, round| {
                turn.call(&format!("call_{round}"), "weather", "{}")
                    .respond()
            })
            .text("done")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nmodel_requests = 2")
        .over_fake(&fake)
        .await?;
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    for round in 0..5 {
        let body = json!({"messages": messages, "tools": [tool]});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(reply.status, 200, "{round}: {}", reply.body);
        let message = reply.body["choices"][0]["message"].clone();
        let call = message["tool_calls"][0]["id"].clone();
        assert_eq!(call, format!("call_{round}"), "{}", reply.body);
        messages.push(message);
        messages.push(json!({"role": "tool", "tool_call_id": call, "content": "fine"}));
    }
    let reply = gateway
        .client()
        .chat(json!({"messages": messages, "tools": [tool]}))
        .await?;
    assert_eq!(reply.text()?, "done");
    assert_eq!(reply.header("x-airlock-turn"), "resumed");
    Ok(())
}
