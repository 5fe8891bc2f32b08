//! The parameters of a fan-out: valid, refused and ignored.

use airlock_tests::client::send;
use airlock_tests::{FakeCodex, Gateway, Script, fan_out};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::{DRAFT, drafts, is_candidate};

#[tokio::test]
async fn values_that_are_wrong_name_the_place_and_start_nothing() -> Result<()> {
    let calls = |value: Value| (json!({"parallel_calls": value}), "parallel_calls");
    let airlock = |value: Value| json!({"parallel_calls": 3, "airlock": value});
    let cases = [
        calls(json!(0)),
        calls(json!(21)),
        calls(json!(-1)),
        calls(json!("3")),
        calls(json!(true)),
        calls(json!(2.5)),
        calls(json!([3])),
        (airlock(json!("merge")), "airlock"),
        (airlock(json!({"synthesis": "best"})), "airlock.synthesis"),
        (airlock(json!({"synthesis": 1})), "airlock.synthesis"),
        (airlock(json!({"quorum": 0})), "airlock.quorum"),
        (airlock(json!({"quorum": 4})), "airlock.quorum"),
        (airlock(json!({"grace_ms": -1})), "airlock.grace_ms"),
        (airlock(json!({"grace_ms": 3_600_001})), "airlock.grace_ms"),
        (airlock(json!({"deadline_ms": 0})), "airlock.deadline_ms"),
        (airlock(json!({"candidates": {}})), "airlock.candidates"),
        (
            airlock(json!({"candidates": [null, null, null, null]})),
            "airlock.candidates",
        ),
        (
            airlock(json!({"candidates": [{}, {"hint": ""}]})),
            "airlock.candidates[1].hint",
        ),
        (
            airlock(json!({"candidates": [{"model": 5}]})),
            "airlock.candidates[0].model",
        ),
        (
            json!({"parallel_calls": 2, "stream": true, "stream_options": {"include_candidates": "yes"}}),
            "stream_options.include_candidates",
        ),
    ];
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (body, param) in cases {
        let reply = gateway.client().refused_at(param, body).await?;
        if param == "parallel_calls" {
            let message = reply.error("message").to_string();
            assert!(message.contains('1') && message.contains("20"), "{message}");
        }
    }
    assert_eq!(fake.received("thread/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_model_that_does_not_exist_names_its_candidate() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let candidates = json!([null, {"model": "gpt-99"}]);
    let body = json!({"parallel_calls": 2, "airlock": {"candidates": candidates}});
    let reply = gateway.client().chat(body).await?;
    assert_eq!(
        (
            reply.status.as_u16(),
            reply.error("code"),
            reply.error("param")
        ),
        (
            404,
            &json!("model_not_found"),
            &json!("airlock.candidates[1].model")
        ),
        "{}",
        reply.body
    );
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn candidates_have_a_model_and_an_effort_of_their_own() -> Result<()> {
    let script = Script::new()
        .when("by another", |turn| turn.text("the answer"))
        .when_model("gpt-6.1-sol", |turn| turn.text("by another"))
        .when_model("gpt-5.5", |turn| turn.text("by the usual"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let candidates = json!([null, {"model": "gpt-6.1-sol"}, {"effort": "low"}]);
    let body = json!({"reasoning_effort": "high", "airlock": {"candidates": candidates}});
    let answered = gateway.client().fan_out(3, body).await?;
    let models: Vec<_> = answered.tabs.iter().map(|tab| tab.model.as_str()).collect();
    assert_eq!(models, ["gpt-5.5", "gpt-6.1-sol", "gpt-5.5"]);
    assert_eq!(
        (answered.closed(1), answered.closed(2), answered.closed(3)),
        (
            Some("by the usual"),
            Some("by another"),
            Some("by the usual")
        )
    );
    let starts = fake.received("turn/start");
    let mut efforts: Vec<_> = starts
        .iter()
        .filter(|start| is_candidate(start))
        .map(|start| start["params"]["effort"].as_str())
        .collect();
    efforts.sort_unstable();
    assert_eq!(efforts, [None, Some("high"), Some("low")]);
    let synthesis = starts.iter().find(|start| !is_candidate(start));
    assert_eq!(synthesis.context("none")?["params"]["effort"], "high");
    Ok(())
}

/// The text of a response without the fields that differ between any two.
fn bytes(text: &str) -> Result<String> {
    let whole = text.strip_prefix("data: ").unwrap_or(text);
    let first: Value = serde_json::from_str(whole.lines().next().context("nothing")?)?;
    let id = first["id"].as_str().context("no id")?;
    let created = format!("\"created\":{}", first["created"]);
    Ok(text.replace(id, "ID").replace(&created, "\"created\":0"))
}

#[tokio::test]
async fn one_candidate_is_a_plain_request() -> Result<()> {
    // One delta: the number of deltas in a chunk depends on timing.
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text("Hello.")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    for more in [json!({}), json!({"stream": true})] {
        let mut answers = Vec::new();
        for calls in [None, Some(json!(1)), Some(Value::Null)] {
            let mut body = more.clone();
            body["model"] = json!("gpt-5.5");
            body["messages"] = json!([{"role": "user", "content": "hi"}]);
            if let Some(calls) = calls {
                body["parallel_calls"] = calls;
            }
            let request = gateway
                .client()
                .request(Method::POST, "/v1/chat/completions")
                .json(&body);
            let response = airlock_tests::soon("an answer", request.send()).await??;
            answers.push(bytes(&response.text().await?)?);
        }
        assert!(answers[0].contains("Hello."), "{}", answers[0]);
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
    }
    // The requests to Codex are equal too.
    let mut inputs = fake.received("turn/start");
    let plain = inputs.remove(0)["params"]["input"].take();
    assert_eq!(plain[0]["text"], "hi");
    assert!(inputs.iter().all(|start| start["params"]["input"] == plain));
    Ok(())
}

#[tokio::test]
async fn what_only_a_fan_out_has_is_named_where_there_is_none() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway
        .client()
        .chat(json!({"airlock": {"synthesis": "vote", "quorum": 1}}))
        .await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let ignored = reply.header("x-airlock-ignored");
    assert!(
        ignored.contains("airlock.synthesis") && ignored.contains("airlock.quorum"),
        "{ignored}"
    );
    assert!(reply.body.get("airlock").is_none(), "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_candidates_own_request_cannot_fan_out_again() -> Result<()> {
    let fake = FakeCodex::start(Script::new().when("long", |turn| turn.text("Once").hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let long = json!({"messages": [{"role": "user", "content": "a long one"}]});
    let mut running = gateway.client().stream(long).await?;
    running.next_text().await?;
    let started = fake.received("turn/start");
    let thread = started.first().context("no turn")?["params"]["threadId"]
        .as_str()
        .context("no thread")?;
    let ask = async |calls: u32, name: &str, value: &str| {
        let body = json!({"model": "gpt-5.5", "parallel_calls": calls,
            "messages": [{"role": "user", "content": "hi"}]});
        let request = gateway
            .client()
            .request(Method::POST, "/v1/chat/completions")
            .header(name, value)
            .json(&body);
        send(request).await
    };
    // The gateway's own header, Codex's `originator`, and the id of a thread that runs here.
    let marks = [
        ("x-airlock-depth", "1"),
        ("originator", "airlock"),
        ("thread-id", thread),
    ];
    for (name, value) in marks {
        for calls in [2, 20] {
            let reply = ask(calls, name, value).await?;
            assert_eq!(
                (
                    reply.status.as_u16(),
                    reply.error("code"),
                    reply.error("param")
                ),
                (400, &json!("nested_fan_out"), &json!("parallel_calls")),
                "{name}: {}",
                reply.body
            );
        }
        let reply = ask(1, name, value).await?;
        assert_eq!(reply.status.as_u16(), 200, "{name}: {}", reply.body);
    }
    for (name, value) in [
        ("x-airlock-depth", "0"),
        ("originator", "codex_cli_rs"),
        ("thread-id", "another"),
    ] {
        let reply = ask(2, name, value).await?;
        assert_eq!(reply.status.as_u16(), 200, "{name}: {}", reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_holds_for_the_candidates_and_the_synthesis() -> Result<()> {
    let script = Script::new()
        .when("\"answer\":", |turn| turn.text("{\"answer\":2}"))
        .every_turn(|turn| turn.text("{\"answer\":1}"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    let body = fan_out(2, json!({"response_format": format}));
    assert_eq!(gateway.client().chat(body).await?.text()?, "{\"answer\":2}");
    let starts = fake.received("turn/start");
    assert_eq!(starts.len(), 3);
    assert!(
        starts
            .iter()
            .all(|start| start["params"]["outputSchema"] == schema),
        "{starts:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_image_reaches_every_candidate_and_the_synthesis() -> Result<()> {
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let fake = FakeCodex::start(drafts(2, |turn| turn.text("a pixel")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let content = json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": pixel}}]);
    let body = fan_out(
        2,
        json!({"messages": [{"role": "user", "content": content}]}),
    );
    assert_eq!(gateway.client().chat(body).await?.text()?, "a pixel");
    let injected = fake.received("thread/inject_items");
    assert_eq!(injected.len(), 3);
    for items in injected {
        let image = &items["params"]["items"][0]["content"][1];
        assert_eq!(
            (&image["type"], &image["image_url"]),
            (&json!("input_image"), &json!(pixel))
        );
    }
    assert!(
        fake.received("turn/start")
            .iter()
            .any(|start| !is_candidate(start)
                && start["params"]["input"].to_string().contains(DRAFT))
    );
    Ok(())
}
