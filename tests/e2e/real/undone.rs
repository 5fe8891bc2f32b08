//! A client that tries to get a policy taken back, on the real Codex.

use std::fs;

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, many_calls};
use anyhow::{Context, Result};
use serde_json::json;

/// A secret in the model's answer.
const SECRET: &str = "sk-proj-4fT9xQ2mLk8sPz7Wv1Yb3Nc";

#[tokio::test]
async fn a_client_cannot_have_secrets_by_undoing_redact() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::words(SECRET));
    let redact = fs::read(airlock_tests::components::REDACT)?;
    let gateway = Gateway::with()
        .administered()
        .policy_file("redact.wasm", redact)
        .over_real(&model)
        .await?;
    let (admin, client) = (gateway.admin(), gateway.client());
    admin.activate("redact", None).await?;
    assert_eq!(client.ask("tell me").await?, "[redacted api key]");
    // Too many messages for the policy's limits of time and memory, as often as would lead to a rollback.
    let message = json!({"role": "user", "name": "me", "content": "hi"}).to_string();
    let messages = vec![message; 400_000].join(",");
    let attack = format!(r#"{{"model":"default","messages":[{messages}]}}"#);
    let mut replies = Vec::new();
    for _ in 0..6 {
        replies.push(client.post("/v1/chat/completions", attack.clone()).await?);
    }
    assert_eq!(client.ask("tell me").await?, "[redacted api key]");
    let calls = many_calls(60_000).to_string();
    replies.push(client.post("/v1/chat/completions", calls).await?);
    for reply in replies {
        let error = (reply.error("code"), reply.error("param"));
        assert_eq!(
            (reply.status.as_u16(), error),
            (413, (&json!("request_too_large"), &json!("messages"))),
            "{}",
            reply.body
        );
    }
    let report = admin.report().await?;
    let history = report["history"].as_array().context("no history")?;
    let last = history.last().context("nothing was active")?;
    assert_eq!(
        (&last["name"], &last["by"]),
        (&json!("redact"), &json!("admin"))
    );
    Ok(())
}
