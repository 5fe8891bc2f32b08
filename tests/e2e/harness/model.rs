//! The scripted model's failures, as the real Codex reports them.

use airlock_tests::{ModelAnswer, ScriptedModel, programs};
use anyhow::{Context, Result};
use serde_json::json;

use super::real;

/// Each failure of the model, and the real Codex's error for it without retries.
#[tokio::test]
async fn the_model_fails_in_every_way_that_codex_distinguishes() -> Result<()> {
    let attempts =
        |status: u16| json!({"responseTooManyFailedAttempts": {"httpStatusCode": status}});
    let failed = |status: u16| json!({"httpConnectionFailed": {"httpStatusCode": status}});
    // 0.163.0 has no names for these two: one is the model's error, the other a status.
    let (too_long, not_found) = match programs::real_codex_is_oldest()? {
        true => (json!("other"), failed(404)),
        false => (json!("contextWindowExceeded"), json!("modelNotFound")),
    };
    let rows = [
        (
            "429 plain",
            ModelAnswer::status(429, "rate_limit_exceeded"),
            attempts(429),
        ),
        (
            "429 usage",
            ModelAnswer::status(429, "usage_limit_reached"),
            json!("usageLimitExceeded"),
        ),
        (
            "429 quota",
            ModelAnswer::status(429, "insufficient_quota"),
            json!("usageLimitExceeded"),
        ),
        (
            "500",
            ModelAnswer::status(500, "server_error"),
            json!("internalServerError"),
        ),
        (
            "503 overloaded",
            ModelAnswer::status(503, "server_is_overloaded"),
            json!("serverOverloaded"),
        ),
        (
            "503 slow down",
            ModelAnswer::status(503, "slow_down"),
            json!("rateLimitExceeded"),
        ),
        (
            "400",
            ModelAnswer::status(400, "invalid_request"),
            json!("other"),
        ),
        (
            "400 context",
            ModelAnswer::status(400, "context_length_exceeded"),
            too_long,
        ),
        ("401", ModelAnswer::status(401, "unauthorized"), failed(401)),
        ("403", ModelAnswer::status(403, "forbidden"), failed(403)),
        ("413", ModelAnswer::status(413, "too_large"), failed(413)),
        (
            "404",
            ModelAnswer::status(404, "model_not_found"),
            not_found,
        ),
        (
            "failed limit",
            ModelAnswer::new().failed("rate_limit_exceeded"),
            json!("rateLimitExceeded"),
        ),
        (
            "failed error",
            ModelAnswer::new().failed("server_error"),
            json!("other"),
        ),
        (
            "failed overloaded",
            ModelAnswer::new().failed("server_is_overloaded"),
            json!("serverOverloaded"),
        ),
        (
            "failed quota",
            ModelAnswer::new().failed("insufficient_quota"),
            json!("usageLimitExceeded"),
        ),
        (
            "failed usage",
            ModelAnswer::new().failed("usage_not_included"),
            json!("usageLimitExceeded"),
        ),
        (
            "failed policy",
            ModelAnswer::new().failed("cyber_policy"),
            json!("cyberPolicy"),
        ),
        (
            "failed prompt",
            ModelAnswer::new().failed("invalid_prompt"),
            json!("other"),
        ),
        (
            "failed context",
            ModelAnswer::new().failed("context_length_exceeded"),
            json!("contextWindowExceeded"),
        ),
        (
            "error event",
            ModelAnswer::new().text("a").error_event("server_error"),
            json!("other"),
        ),
        (
            "disconnect",
            ModelAnswer::new().text("a").disconnect(),
            json!("other"),
        ),
        ("eof", ModelAnswer::new().text("a").eof(), json!("other")),
        (
            "incomplete length",
            ModelAnswer::new().text("a").incomplete("max_output_tokens"),
            json!("other"),
        ),
        (
            "incomplete filter",
            ModelAnswer::new().text("a").incomplete("content_filter"),
            json!("other"),
        ),
    ];
    let model = ScriptedModel::start().await?;
    let (_home, mut codex) = real(&model, 0).await?;
    let mut seen = Vec::new();
    let mut expected = Vec::new();
    for (name, answer, info) in rows {
        model.next(answer);
        let thread = codex.thread("gpt-5.5").await?;
        let received = codex.turn(&thread, "hi").await?;
        let turn = &received.last().context("nothing")?["params"]["turn"];
        seen.push((
            name,
            turn["status"].clone(),
            turn["error"]["codexErrorInfo"].clone(),
        ));
        expected.push((name, json!("failed"), info));
    }
    assert_eq!(seen, expected);
    Ok(())
}
