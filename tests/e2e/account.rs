//! Sign-in on the scripted Codex: a Codex or a request that is not as it should be.

use std::time::{Duration, Instant};

use airlock_tests::fake::ScriptedResponse;
use airlock_tests::{FakeCodex, Frame, Gateway, Script, Stream, soon};
use anyhow::{Result, bail};
use serde_json::{Value, json};

fn started(url: &str, code: &str) -> ScriptedResponse {
    ScriptedResponse::Result(
        json!({"type": "chatgptDeviceCode", "loginId": "login-1", "verificationUrl": url, "userCode": code}),
    )
}

async fn last(stream: &mut Stream) -> Result<Value> {
    loop {
        match soon("an event of a sign-in", stream.next()).await?? {
            Some(Frame::Data(event)) if event["type"] != "log" => return Ok(event),
            Some(Frame::Data(_) | Frame::Comment(_)) => {}
            other => bail!("no event: {other:?}"),
        }
    }
}

async fn begin(gateway: &Gateway) -> Result<Stream> {
    gateway
        .client()
        .events("/api/codex/login", &json!({}))
        .await
}

#[tokio::test]
async fn only_openais_own_pages_and_plain_codes_are_passed_on() -> Result<()> {
    for (url, code, reason) in [
        (
            "https://evil.example/codex/device",
            "ABCD-1234",
            "url_not_allowed",
        ),
        (
            "http://auth.openai.com/codex/device",
            "ABCD-1234",
            "url_not_allowed",
        ),
        (
            "https://auth.openai.com@evil.example/",
            "ABCD-1234",
            "url_not_allowed",
        ),
        (
            "https://auth.openai.com/codex/device",
            "\u{1b}[31mABCD",
            "invalid_response",
        ),
    ] {
        let script = Script::new().signed_out();
        let fake = FakeCodex::start(script.always("account/login/start", started(url, code)))?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut stream = begin(&gateway).await?;
        assert_eq!(last(&mut stream).await?["reason"], reason, "{url}");
        assert!(!String::from_utf8_lossy(stream.raw()).contains("evil"));
        assert_eq!(fake.received("account/login/cancel").len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn leaving_a_codex_that_heeds_nothing_takes_two_seconds() -> Result<()> {
    let script = Script::new().signed_out().stubborn();
    let url = "https://auth.openai.com/codex/device";
    let script = script
        .always("account/login/start", started(url, "ABCD-1234"))
        .always("account/login/cancel", ScriptedResponse::Silence);
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    fake.expect_start().await?;
    let mut stream = begin(&gateway).await?;
    let flow = fake.expect_start().await?;
    assert_eq!(last(&mut stream).await?["type"], "device_code");
    let began = Instant::now();
    drop(stream);
    fake.expect_end(flow.pid).await?;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn what_is_no_sign_in_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (body, param) in [
        (json!({"type": "api_key", "api_key": "  "}), "api_key"),
        (json!({"type": "api_key", "api_key": "sk-a b"}), "api_key"),
        (json!({"typ": "api_key"}), "typ"),
    ] {
        let refused = gateway
            .client()
            .post("/api/codex/login", body.to_string())
            .await?;
        assert_eq!(refused.status.as_u16(), 400);
        assert_eq!(refused.error("param"), param);
    }
    let foreign = gateway
        .client()
        .request(reqwest::Method::POST, "/api/codex/logout")
        .header("origin", "https://evil.example");
    assert_eq!(
        airlock_tests::client::send(foreign).await?.status.as_u16(),
        403
    );
    Ok(())
}
