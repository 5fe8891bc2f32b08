//! Each failure of the model through the real Codex, as the client receives it.

use airlock_tests::{Frame, Gate, Gateway, ModelAnswer, ScriptedModel, programs};
use anyhow::{Context, Result};
use serde_json::json;

#[tokio::test]
async fn a_model_that_fails_at_once_is_a_status() -> Result<()> {
    let status = ModelAnswer::status;
    let failed = |code| ModelAnswer::new().failed(code);
    let rows = [
        (
            "429",
            status(429, "rate_limit_exceeded"),
            429,
            "rate_limit_exceeded",
        ),
        (
            "429 usage",
            status(429, "usage_limit_reached"),
            429,
            "insufficient_quota",
        ),
        (
            "429 quota",
            status(429, "insufficient_quota"),
            429,
            "insufficient_quota",
        ),
        ("500", status(500, "server_error"), 502, "upstream_error"),
        (
            "503 overloaded",
            status(503, "server_is_overloaded"),
            503,
            "server_overloaded",
        ),
        (
            "503 slow down",
            status(503, "slow_down"),
            429,
            "rate_limit_exceeded",
        ),
        (
            "400",
            status(400, "invalid_request"),
            400,
            "upstream_bad_request",
        ),
        (
            "400 context",
            status(400, "context_length_exceeded"),
            400,
            "context_length_exceeded",
        ),
        (
            "401",
            status(401, "unauthorized"),
            503,
            "codex_not_signed_in",
        ),
        ("403", status(403, "forbidden"), 503, "codex_not_signed_in"),
        ("413", status(413, "too_large"), 413, "request_too_large"),
        (
            "404",
            status(404, "model_not_found"),
            404,
            "model_not_found",
        ),
        (
            "failed limit",
            failed("rate_limit_exceeded"),
            429,
            "rate_limit_exceeded",
        ),
        (
            "failed error",
            failed("server_error"),
            502,
            "upstream_error",
        ),
        (
            "failed overloaded",
            failed("server_is_overloaded"),
            503,
            "server_overloaded",
        ),
        (
            "failed quota",
            failed("insufficient_quota"),
            429,
            "insufficient_quota",
        ),
        (
            "failed usage",
            failed("usage_not_included"),
            429,
            "insufficient_quota",
        ),
        (
            "failed policy",
            failed("cyber_policy"),
            400,
            "content_policy_violation",
        ),
        (
            "failed prompt",
            failed("invalid_prompt"),
            502,
            "upstream_error",
        ),
        (
            "failed context",
            failed("context_length_exceeded"),
            400,
            "context_length_exceeded",
        ),
        (
            "error event",
            ModelAnswer::new().error_event("server_error"),
            502,
            "upstream_error",
        ),
        (
            "disconnect",
            ModelAnswer::new().disconnect(),
            502,
            "upstream_error",
        ),
        ("eof", ModelAnswer::new().eof(), 502, "upstream_error"),
    ];
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let (mut seen, mut expected) = (Vec::new(), Vec::new());
    for (name, answer, status, code) in rows {
        for stream in [false, true] {
            model.next(answer.clone());
            let reply = gateway.client().chat(json!({"stream": stream})).await?;
            seen.push((
                name,
                stream,
                reply.status.as_u16(),
                reply.error("code").clone(),
            ));
            expected.push((name, stream, status, json!(code)));
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(
        gateway.client().ask("and now?").await?,
        "You said: and now?"
    );
    Ok(())
}

#[tokio::test]
async fn a_model_that_fails_in_the_middle_is_a_frame() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let begun = |gate: &Gate| ModelAnswer::new().text("Hel").hold(gate);
    let scripts: [fn(ModelAnswer) -> ModelAnswer; 4] = [
        |answer| answer.disconnect(),
        |answer| answer.eof(),
        |answer| answer.failed("server_error"),
        |answer| answer.error_event("server_error"),
    ];
    for way in scripts {
        let gate = Gate::new();
        model.next(way(begun(&gate)));
        let mut stream = gateway.client().stream(json!({})).await?;
        assert_eq!(stream.next_text().await?, "Hel");
        gate.open();
        let frames = stream.frames().await?;
        let [failure, Frame::Done] = frames.as_slice() else {
            anyhow::bail!("no error and [DONE]: {frames:?}")
        };
        assert_eq!(
            failure.error().context("no error")?["code"],
            "upstream_error"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_stops_short_keeps_its_text() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    for (reason, expected) in [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
    ] {
        model.next(ModelAnswer::words("half an ans").incomplete(reason));
        let reply = gateway.client().chat(json!({})).await?;
        assert_eq!(reply.text()?, "half an ans", "{reason}");
        assert_eq!(reply.body["choices"][0]["finish_reason"], expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_once_is_healed_by_codex() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with().retries(2).over_real(&model).await?;
    let gate = Gate::new();
    model.next(ModelAnswer::new().text("Hel").hold(&gate).disconnect());
    model.next(ModelAnswer::words("Hello again."));
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    gate.open();
    let frames = stream.frames().await?;
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "lo again."
    );
    assert_eq!(
        frames.iter().map(Frame::finish_reason).collect::<String>(),
        "stop"
    );
    assert_eq!(model.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_and_comes_back_different_is_not_glued() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with().retries(2).over_real(&model).await?;
    let gate = Gate::new();
    model.next(
        ModelAnswer::new()
            .text("It is three")
            .hold(&gate)
            .disconnect(),
    );
    model.next(ModelAnswer::words("No: four."));
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "It is three");
    gate.open();
    let frames = stream.frames().await?;
    let [failure, Frame::Done] = frames.as_slice() else {
        anyhow::bail!("no error and [DONE]: {frames:?}")
    };
    assert_eq!(
        failure.error().context("no error")?["code"],
        "stream_restarted"
    );
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_that_passes_is_waited_for_by_codex() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with().retries(1).over_real(&model).await?;
    model.next(ModelAnswer::status(429, "rate_limit_exceeded").header("retry-after", "1"));
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    assert_eq!(model.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_ends_the_turn() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    // The provider's port is closed from here on.
    drop(model);
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("upstream_unreachable")),
        "{}",
        reply.body
    );
    Ok(())
}

#[tokio::test]
async fn a_conversation_that_codex_would_summarise_is_too_long() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(json!({"role": "user", "content": "word ".repeat(15_000)}));
        messages.push(json!({"role": "assistant", "content": "ok"}));
    }
    messages.push(json!({"role": "user", "content": "and?"}));
    let reply = gateway.client().chat(json!({"messages": messages})).await?;
    if programs::real_codex_is_oldest()? {
        // 0.163.0 counts only the usage that the model has reported, so the model receives all of it, and refuses it.
        assert_eq!(reply.text()?, "You said: and?");
        assert!(model.call().await?.body.to_string().len() > 20 * 75_000);
        return Ok(());
    }
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (400, &json!("context_length_exceeded")),
        "{}",
        reply.body
    );
    assert_eq!(gateway.client().chat(json!({})).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_model_that_falls_silent_ends_the_turn() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::new().text("so ").hang());
    let gateway = Gateway::with()
        .provider("stream_idle_timeout_ms = 1000")
        .over_real(&model)
        .await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    let frames = stream.frames().await?;
    let errors: Vec<_> = frames.iter().filter_map(Frame::error).collect();
    assert_eq!(
        errors.first().map(|error| &error["code"]),
        Some(&json!("upstream_timeout")),
        "{frames:?}"
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    Ok(())
}
