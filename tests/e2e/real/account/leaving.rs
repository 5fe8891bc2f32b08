//! The end of a sign-in at each stage: the client leaves, cancels, another takes over, or the gateway stops.

use std::time::{Duration, Instant};

use airlock_tests::issuer::{Approval, SignInHome, SignInStep, StepResponse};
use airlock_tests::{Gateway, Issuer};
use anyhow::Result;
use serde_json::json;

use super::{assert_gone, assert_silent, begin, device, event, signing, status};

/// How long a gateway without running replies may take to stop. It waits much longer for replies.
const STOP: Duration = Duration::from_secs(10);

/// Waits until no sign-in is in progress.
async fn ended(gateway: &Gateway) -> Result<()> {
    let is = |status: &serde_json::Value| status["login_in_progress"] == false;
    status(gateway, "the end of a sign-in", is).await.map(drop)
}

#[tokio::test]
async fn a_client_that_leaves_at_any_stage_leaves_nothing() -> Result<()> {
    for stage in ["usercode", "token", "oauth", "check"] {
        let issuer = Issuer::start().await?;
        let home = SignInHome::new(&issuer)?;
        let gateway = home.over_real().await?;
        let path = match stage {
            "usercode" => {
                issuer.at(SignInStep::UserCode, StepResponse::Hang);
                "/deviceauth/usercode"
            }
            "token" => "/deviceauth/token",
            "oauth" => {
                issuer.codes(Approval::Approved);
                issuer.at(SignInStep::Exchange, StepResponse::Hang);
                "/oauth/token"
            }
            _ => {
                issuer.codes(Approval::Approved);
                issuer.at(SignInStep::Check, StepResponse::Hang);
                "/wham/accounts/check"
            }
        };
        let stream = begin(&gateway, device()).await?;
        issuer.expect_request(path, 0).await?;
        let processes = signing(&gateway);
        assert!(!processes.is_empty(), "{stage}: nothing signs in");
        drop(stream);
        assert_gone(processes, &gateway).await?;
        ended(&gateway).await?;
        assert!(!home.login().exists(), "{stage}: a login");
        let folders = std::fs::read_dir(gateway.data_dir().join("sign-in"))?.count();
        assert_eq!(folders, 0, "{stage}: a folder");
        assert_silent(&gateway, &[]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_at_a_time_and_another_takes_over() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    let mut first = begin(&gateway, device()).await?;
    assert_eq!(event(&mut first).await?["type"], "device_code");
    let client = gateway.client();
    let second = client.post("/api/codex/login", "").await?;
    assert_eq!(second.status.as_u16(), 409);
    assert_eq!(second.error("code"), "login_in_progress");
    let processes = signing(&gateway);
    let mut third = begin(&gateway, json!({"takeover": true})).await?;
    assert_eq!(event(&mut first).await?["reason"], "taken_over");
    assert_eq!(event(&mut third).await?["type"], "device_code");
    let delete = client.request(reqwest::Method::DELETE, "/api/codex/login");
    let cancelled = airlock_tests::client::send(delete).await?;
    assert_eq!(cancelled.body, json!({"cancelled": true}));
    assert_eq!(event(&mut third).await?["reason"], "cancelled");
    let delete = client.request(reqwest::Method::DELETE, "/api/codex/login");
    let none = airlock_tests::client::send(delete).await?;
    assert_eq!(none.error("code"), "no_login_in_progress");
    assert_gone(processes, &gateway).await
}

#[tokio::test]
async fn a_gateway_that_stops_ends_it() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let mut gateway = home.over_real().await?;
    let mut stream = begin(&gateway, device()).await?;
    assert_eq!(event(&mut stream).await?["type"], "device_code");
    let began = Instant::now();
    gateway.signal(rustix::process::Signal::TERM);
    // The client stays: the stream is open until the gateway has exited.
    assert_eq!(event(&mut stream).await?["reason"], "stopping");
    let status = gateway.ended().await?;
    assert!(status.success(), "{status}");
    let took = began.elapsed();
    assert!(took < STOP, "the sign-in was waited for: {took:?}");
    drop(stream);
    assert!(gateway.processes().is_empty());
    Ok(())
}
