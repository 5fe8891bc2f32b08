//! The metrics of requests, as Prometheus scrapes them.

use airlock_tests::{
    Conversation, FakeCodex, Frame, Gate, Gateway, Script, Usage, angle, fan_out, tool,
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The answer of candidates, by which a synthesis is recognised.
const DRAFT: &str = "a draft";

/// The usage of each response of the model.
const USED: Usage = Usage {
    input: 1000,
    cached: 600,
    output: 20,
    reasoning: 8,
};

/// All frames of a stream.
async fn frames(gateway: &Gateway, body: Value) -> Result<Vec<Frame>> {
    gateway.client().stream(body).await?.frames().await
}

#[tokio::test]
async fn streams_whole_answers_and_fan_outs_are_counted() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer").usage(USED))
        .when_instructed(&angle(3), |turn| turn.fail("internalServerError", "no"))
        .when_instructed("angle-", |turn| turn.text(DRAFT).usage(USED))
        .every_turn(|turn| turn.text("a ").text("b").usage(USED));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let plain = frames(&gateway, json!({})).await?;
    let fanned_out = frames(&gateway, fan_out(3, json!({}))).await?;
    assert_eq!(gateway.client().ask("whole?").await?, "a b");

    let chunks = format!("airlock_chunks_total {}", plain.len() + fanned_out.len());
    let text = gateway
        .admin()
        .measured(&[
            chunks.as_str(),
            "gen_ai_server_request_duration_seconds_count 3",
            // The request for the metrics.
            r#"http_server_active_requests{route="/metrics"} 1"#,
            r#"http_server_active_requests{route="/v1/chat/completions"} 0"#,
            "gen_ai_server_time_to_first_token_seconds_count 2",
            "airlock_overhead_seconds_count 3",
            "airlock_queue_seconds_count 3",
            // Six turns, of which one has failed.
            "airlock_codex_turns_total 6",
            r#"gen_ai_client_token_usage_count{gen_ai_token_type="input"} 5"#,
            r#"gen_ai_client_token_usage_sum{gen_ai_token_type="input"} 5000.0"#,
            r#"gen_ai_client_token_usage_bucket{le="16.0",gen_ai_token_type="output"} 0"#,
            r#"gen_ai_client_token_usage_bucket{le="64.0",gen_ai_token_type="output"} 5"#,
            r#"airlock_tokens_total{kind="input"} 5000"#,
            r#"airlock_tokens_total{kind="cached_input"} 3000"#,
            r#"airlock_tokens_total{kind="output"} 100"#,
            r#"airlock_tokens_total{kind="reasoning_output"} 40"#,
            "airlock_fan_out_candidates_count 1",
            "airlock_fan_out_candidates_sum 3.0",
            r#"airlock_candidates_total{outcome="answered"} 2"#,
            r#"airlock_candidates_total{outcome="failed"} 1"#,
            r#"airlock_candidates_total{outcome="stopped"} 0"#,
            "airlock_synthesis_seconds_count 1",
            // Series with the value 0 exist too: otherwise Prometheus would miss the first increment.
            r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release="1"} 0"#,
            r#"airlock_policy_faults_total{release="1",kind="trap"} 0"#,
        ])
        .await?;
    for name in ["process_cpu_seconds_total ", "process_max_fds "] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn candidates_that_are_cut_are_counted_as_stopped() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(1), |turn| turn.text(DRAFT).usage(USED))
        .every_turn(|turn| turn.text("half").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let first = json!({"airlock": {"synthesis": "first"}});
    assert_eq!(gateway.client().fan_out(3, first).await?.text, DRAFT);
    // A client that leaves while both turns run.
    let mut stream = gateway
        .client()
        .stream(json!({"parallel_calls": 2}))
        .await?;
    stream.next().await?;
    drop(stream);
    gateway
        .admin()
        .measured(&[
            "airlock_fan_out_candidates_sum 5.0",
            r#"airlock_candidates_total{outcome="answered"} 1"#,
            r#"airlock_candidates_total{outcome="failed"} 0"#,
            r#"airlock_candidates_total{outcome="stopped"} 4"#,
            "airlock_synthesis_seconds_count 1",
            // Also for a client that has left.
            "airlock_overhead_seconds_count 2",
            r#"airlock_tokens_total{kind="input"} 1000"#,
        ])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_synthesis_that_is_cut_is_timed_too() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("half").hang())
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(2, json!({}))).await?;
    assert_eq!(stream.next_text().await?, "half");
    drop(stream);
    gateway
        .admin()
        .measured(&[
            r#"airlock_requests_total{route="/v1/chat/completions",status="left",release="1"} 1"#,
            "airlock_synthesis_seconds_count 1",
        ])
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_first_token_is_one_of_the_answer() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when(DRAFT, |turn| turn.hold(&gate).text("the answer"))
        .when("How is Oslo?", |turn| {
            turn.call("call_1", "get_weather", r#"{"city":"Oslo"}"#)
                .text("Cold.")
        })
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let admin = gateway.admin();
    let mut stream = gateway.client().stream(fan_out(2, json!({}))).await?;
    stream.next_tool_event().await?;
    admin
        .measured(&["gen_ai_server_time_to_first_token_seconds_count 0"])
        .await?;
    gate.open();
    assert_eq!(stream.next_text().await?, "the answer");
    admin
        .measured(&["gen_ai_server_time_to_first_token_seconds_count 1"])
        .await?;
    let tools = json!({"tools": [tool("get_weather")]});
    let talk = Conversation::new(gateway.client(), "How is Oslo?", tools);
    let response = talk.streaming(true).send().await?;
    assert_eq!(response.finish_reason, "tool_calls");
    admin
        .measured(&["gen_ai_server_time_to_first_token_seconds_count 2"])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_turn_over_two_requests_is_one_and_its_tokens_are_counted_once() -> Result<()> {
    let script = Script::new().turn(|turn| {
        turn.call("call_1", "get_weather", r#"{"city":"Oslo"}"#)
            .usage(USED)
            .text("Cold.")
            .usage(USED)
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let tools = json!({"tools": [tool("get_weather")]});
    let mut talk = Conversation::new(gateway.client(), "How is Oslo?", tools);
    assert_eq!(talk.ask().await?.finish_reason, "tool_calls");
    gateway
        .admin()
        .measured(&[
            r#"airlock_tokens_total{kind="input"} 1000"#,
            "airlock_overhead_seconds_count 1",
        ])
        .await?;
    assert_eq!(talk.answer(&[("call_1", "7")]).await?.text, "Cold.");
    gateway
        .admin()
        .measured(&[
            r#"gen_ai_client_token_usage_count{gen_ai_token_type="output"} 2"#,
            r#"airlock_tokens_total{kind="input"} 2000"#,
            "airlock_codex_turns_total 1",
            "airlock_overhead_seconds_count 2",
            "airlock_queue_seconds_count 2",
        ])
        .await?;
    Ok(())
}

#[tokio::test]
async fn no_text_of_a_client_becomes_a_label() -> Result<()> {
    const SECRET: &str = "sk-secret-of-a-client";
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let client = gateway.client().with_key(SECRET);
    client.get(&format!("/{SECRET}")).await?;
    client.get(&format!("/v1/models/{SECRET}")).await?;
    client.chat_as(SECRET, json!({"messages": SECRET})).await?;
    assert_eq!(client.ask(SECRET).await?, format!("You said: {SECRET}"));
    let text = gateway
        .admin()
        .measured(&[
            r#"airlock_requests_total{route="other",status="refused",release=""} 1"#,
            r#"airlock_requests_total{route="/v1/models",status="refused",release=""} 1"#,
            r#"airlock_requests_total{route="/v1/chat/completions",status="refused",release="1"} 1"#,
            r#"airlock_requests_total{route="/v1/chat/completions",status="ok",release="1"} 1"#,
            // The refused requests have not reached Codex.
            "airlock_overhead_seconds_count 1",
        ])
        .await?;
    assert!(!text.contains(SECRET), "{text}");
    Ok(())
}

#[tokio::test]
async fn lists_of_models_are_counted_for_the_release_that_wrote_them() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    for path in ["/v1/models", "/v1/models/gpt-5.5"] {
        assert_eq!(gateway.client().get(path).await?.status, 200, "{path}");
    }
    let lines = [r#"airlock_requests_total{route="/v1/models",status="ok",release="1"} 2"#];
    gateway.admin().measured(&lines).await?;
    Ok(())
}

#[tokio::test]
async fn a_call_into_a_policy_counts_though_its_client_leaves() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[sandbox]\ncall_timeout = \"30s\"")
        .policy(airlock_tests::components::HOSTILE)
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    {
        let asking = gateway
            .client()
            .chat(json!({"user": "hostile:render:loop"}));
        let begun = [r#"airlock_policy_call_seconds_count{export="instantiate",role="serving"} 1"#];
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            begun = admin.measured(&begun) => drop(begun?),
        }
    }
    admin
        .measured(&[
            r#"airlock_policy_call_seconds_count{export="render",role="serving"} 1"#,
            r#"airlock_requests_total{route="/v1/chat/completions",status="left",release="1"} 1"#,
        ])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_releases_number_is_exposed_with_its_name_and_build() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let admin = gateway.admin();
    let report = admin.report().await?;
    let release = &report["releases"][0];
    let version = release["version"].as_str().context("no version")?;
    let digest = release["digest"].as_str().and_then(|all| all.get(..12));
    let digest = digest.context("no digest")?;
    let line = format!(
        r#"airlock_policy_release_info{{release="1",name="shipped",version="{version}",digest="{digest}"}} 1"#
    );
    admin.measured(&[line.as_str()]).await?;
    Ok(())
}
