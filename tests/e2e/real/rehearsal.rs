//! The rehearsal: the real Codex over Airlock's own scripted model.

use airlock_tests::{Gateway, TabEnd, programs};
use anyhow::{Context, Result};
use serde_json::{Value, json};

async fn rehearsal() -> Result<Gateway> {
    Gateway::with()
        .flag("--rehearsal")
        .over(programs::real_codex()?)
        .await
}

/// A request with this user message.
fn request(content: &str) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

#[tokio::test]
async fn a_rehearsal_needs_no_account_and_states_what_it_is() -> Result<()> {
    let gateway = rehearsal().await?;
    let reply = gateway.client().chat(json!({"model": "default"})).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(!reply.text()?.is_empty());
    assert_eq!(reply.header("x-airlock-rehearsal"), "true");
    let mut stream = gateway.client().stream(json!({"model": "default"})).await?;
    assert_eq!(
        stream
            .headers()
            .get("x-airlock-rehearsal")
            .context("no header")?,
        "true"
    );
    assert!(!stream.text().await?.is_empty());
    let format = json!({"model": "default", "response_format": {"type": "json_object"}});
    let reply = gateway.client().chat(format).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let object: Value = serde_json::from_str(reply.text()?)?;
    assert!(object.is_object(), "{object}");
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(
        ready.body.to_string().contains("rehearsal"),
        "{}",
        ready.body
    );
    assert!(gateway.log().await?.to_lowercase().contains("rehearsal"));
    Ok(())
}

#[tokio::test]
async fn a_model_that_no_login_has_is_not_found() -> Result<()> {
    let gateway = rehearsal().await?;
    let reply = gateway.client().chat(json!({"model": "gpt-4o"})).await?;
    assert_eq!(reply.status, 404, "{}", reply.body);
    assert_eq!(
        (reply.error("code"), reply.error("param")),
        (&json!("model_not_found"), &json!("model"))
    );
    Ok(())
}

#[tokio::test]
async fn candidates_differ_and_repeat_their_hints() -> Result<()> {
    let gateway = rehearsal().await?;
    let fan_out = gateway
        .client()
        .fan_out(3, json!({"airlock": {"synthesis": "vote"}}))
        .await?;
    let mut texts = Vec::new();
    for (tab, number) in fan_out.tabs.iter().zip(1..) {
        let hint = format!("The hint was: “angle-{number:02}”.");
        assert!(tab.pieces.contains(&hint), "{}", tab.pieces);
        texts.push(tab.pieces.replace(&hint, ""));
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 3, "they differ besides: {texts:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_can_provoke_each_failure_of_a_model() -> Result<()> {
    let gateway = rehearsal().await?;
    let client = gateway.client();
    for (name, status, code) in [
        ("rate-limit", 429, "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota"),
        ("overloaded", 503, "server_overloaded"),
        ("context-length", 400, "context_length_exceeded"),
    ] {
        let reply = client
            .chat(request(&format!("Please rehearse:{name}.")))
            .await?;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
        assert_eq!(reply.error("code"), code, "{name}: {}", reply.body);
    }
    for (name, finish_reason) in [("length", "length"), ("content-filter", "content_filter")] {
        let reply = client.chat(request(&format!("rehearse:{name}"))).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        assert_eq!(
            reply.body["choices"][0]["finish_reason"], finish_reason,
            "{name}: {}",
            reply.body
        );
        assert!(!reply.text()?.is_empty(), "{name}: half of the answer");
    }
    // A stream that breaks has sent half of its text, and ends with an error.
    let frames = client
        .stream(request("rehearse:broken"))
        .await?
        .frames()
        .await?;
    let text: String = frames.iter().map(airlock_tests::Frame::text).collect();
    assert!(text.starts_with("This is a rehearsal"), "{text}");
    let error = frames.iter().find_map(airlock_tests::Frame::error);
    let error = error.context("no error frame")?;
    assert_eq!(error["code"], "upstream_error", "{error}");
    Ok(())
}

#[tokio::test]
async fn a_hint_makes_one_candidate_fail() -> Result<()> {
    let gateway = rehearsal().await?;
    let candidates = json!([{}, {"hint": "rehearse:rate-limit"}]);
    let body = json!({"airlock": {"candidates": candidates, "synthesis": "vote"}});
    let fan_out = gateway.client().fan_out(2, body).await?;
    assert_eq!(fan_out.finish_reason, "stop");
    assert!(matches!(fan_out.tabs[0].end, Some(TabEnd::Closed { .. })));
    let Some(TabEnd::Failed { exception_type, .. }) = &fan_out.tabs[1].end else {
        anyhow::bail!("it did not fail: {:?}", fan_out.tabs[1]);
    };
    assert_eq!(exception_type, "rate_limit_error");
    Ok(())
}
