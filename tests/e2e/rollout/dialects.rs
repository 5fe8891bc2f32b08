//! Dialects that a release's policy lacks: refused by their own envelope, or served by another release.

use airlock_tests::policies::{digest, stamped};
use airlock_tests::{FakeCodex, Gateway, Reply, Script, components};
use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::{NEW, OLD, staged, stamp};

const MESSAGE: &str =
    r#"{"model":"default","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
const RESPONSE: &str = r#"{"model":"default","input":"Hi"}"#;

async fn post(gateway: &Gateway, path: &str, body: &str) -> Result<Reply> {
    gateway.client().post(path, body.to_owned()).await
}

#[tokio::test]
async fn a_dialect_that_no_policy_supports_is_refused_in_its_own_envelope() -> Result<()> {
    let (_fake, gateway, _admin, _) = staged("", &[stamped(OLD)?]).await?;
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let reply = post(&gateway, path, MESSAGE).await?;
        assert_eq!(reply.status, 404, "{}", reply.body);
        assert_eq!(reply.body["type"], "error");
        assert_eq!(reply.body["error"]["type"], "not_found_error");
        let message = reply.error("message").as_str().unwrap_or_default();
        assert!(message.contains("does not support `messages`"), "{message}");
    }
    for path in ["/v1/responses", "/v1/responses/input_tokens"] {
        let reply = post(&gateway, path, RESPONSE).await?;
        assert_eq!(reply.status, 404, "{}", reply.body);
        assert_eq!(reply.error("code"), "dialect_not_supported");
        assert_eq!(reply.error("type"), "invalid_request_error");
    }
    let upgrade = gateway.client().request(Method::GET, "/v1/responses");
    let upgrade = upgrade
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    // A client that receives 404 would try again.
    let upgrade = upgrade.send().await?;
    assert_eq!(upgrade.status(), 426);
    let body: serde_json::Value = upgrade.json().await?;
    assert_eq!(body["error"]["code"], "websocket_not_supported");
    let models = gateway.client().request(Method::GET, "/v1/models");
    let models = models.header("anthropic-version", "2023-06-01");
    assert_eq!(models.send().await?.status(), 404);
    assert_eq!(gateway.client().get("/v1/models").await?.status, 200);
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, OLD);
    Ok(())
}

/// A gateway whose active policy is the shipped one, with other builds by name.
async fn shipped_with(builds: &[(&str, Vec<u8>)]) -> Result<(FakeCodex, Gateway)> {
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::with().administered();
    for (name, build) in builds {
        gateway = gateway.policy_file(&format!("{name}.wasm"), build.clone());
    }
    let gateway = gateway.over_fake(&fake).await?;
    gateway.admin().activate("shipped", None).await?;
    Ok((fake, gateway))
}

#[tokio::test]
async fn a_canary_and_a_shadow_that_lack_the_dialect_are_passed_over() -> Result<()> {
    let chat_alone = stamped(NEW)?;
    let (_fake, gateway) = shipped_with(&[("stamp", chat_alone.clone())]).await?;
    let (admin, digest) = (gateway.admin(), digest(&chat_alone));
    admin.canary("stamp", &digest, 100.0).await?;
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    let message = post(&gateway, "/v1/messages", MESSAGE).await?;
    assert_eq!(message.body["content"][0]["text"], "You said: Hi");
    admin.end_canary().await?;

    admin.shadow("stamp", &digest).await?;
    let message = post(&gateway, "/v1/messages", MESSAGE).await?;
    assert_eq!(message.body["content"][0]["text"], "You said: Hi");
    gateway.client().chat(json!({})).await?;
    // Only the chat completion was compared.
    let compared = |report: &serde_json::Value| report["shadow"]["different"] != json!({});
    let report = admin.reported("one comparison", compared).await?;
    assert_eq!(report["shadow"]["same"], 0, "{report}");
    assert_eq!(report["shadow"]["cut"], 0, "{report}");
    Ok(())
}

#[tokio::test]
async fn a_shadow_compares_answers_without_a_turn() -> Result<()> {
    let redact = std::fs::read(components::REDACT)?;
    let (_fake, gateway) = shipped_with(&[("redact", redact.clone())]).await?;
    let admin = gateway.admin();
    admin.shadow("redact", &digest(&redact)).await?;
    let counted = post(&gateway, "/v1/messages/count_tokens", MESSAGE).await?;
    assert!(counted.body["input_tokens"].as_u64() > Some(0));
    let same = |report: &serde_json::Value| report["shadow"]["same"] == 1;
    admin.reported("an answer that is the same", same).await?;
    Ok(())
}
