//! Sign-in with a device code, from the first event to a turn with the new login, and its interruptions.

use airlock_tests::issuer::{Approval, SignInHome, SignInStep, StepResponse, USER_CODE};
use airlock_tests::{Issuer, programs};
use anyhow::Result;
use serde_json::{Value, json};

use super::{assert_silent, begin, device, ending, event, status};

#[tokio::test]
async fn a_person_signs_in_and_requests_are_answered() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    status(&gateway, "nobody signed in", |it| {
        it["problem"].is_string() && it["models"] != json!([])
    })
    .await?;
    let mut stream = begin(&gateway, device()).await?;
    let code = event(&mut stream).await?;
    assert_eq!(code["type"], "device_code", "{code}");
    assert_eq!(code["url"], format!("{}/codex/device", issuer.origin()));
    assert_eq!(code["code"], USER_CODE);
    assert!(
        code["expires"]
            .as_u64()
            .is_some_and(|at| at > 1_700_000_000)
    );
    let during = gateway.client().get("/api/codex/status").await?.body;
    assert_eq!(during["login_in_progress"], true);
    assert_eq!(during["logged_in"], false);
    issuer.codes(Approval::Approved);
    let done = event(&mut stream).await?;
    assert_eq!(
        done,
        json!({"type": "done", "auth_mode": "chatgpt", "plan": "plus"})
    );
    assert!(home.login().is_file() && gateway.codex_home().join("auth.json").is_symlink());
    let after = status(&gateway, "a login with its limits", |it| {
        it["rate_limits"].is_object()
    })
    .await?;
    assert_eq!(
        (&after["logged_in"], &after["auth_mode"], &after["plan"]),
        (&json!(true), &json!("chatgpt"), &json!("plus"))
    );
    assert_eq!(after["rate_limits"]["primary"]["used_percent"], 12.0);
    assert_eq!(after["rate_limits"]["secondary"]["window_minutes"], 10_080);
    assert_eq!(gateway.client().ask("hello").await?, "signed in");
    assert_silent(&gateway, &[stream.raw(), after.to_string().as_bytes()]).await?;
    Ok(())
}

#[tokio::test]
async fn what_fails_has_a_reason_and_no_secret() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    for (approval, reason) in [(Approval::Denied, "denied"), (Approval::Expired, "expired")] {
        issuer.codes(approval);
        let mut stream = begin(&gateway, device()).await?;
        assert_eq!(event(&mut stream).await?["type"], "device_code");
        assert_eq!(event(&mut stream).await?["reason"], reason);
        assert_silent(&gateway, &[stream.raw()]).await?;
    }
    issuer.codes(Approval::Approved);
    for (step, answer, reason) in [
        (
            SignInStep::UserCode,
            StepResponse::Status(404),
            "not_enabled",
        ),
        (
            SignInStep::UserCode,
            StepResponse::Status(500),
            "network_unreachable",
        ),
        (SignInStep::UserCode, StepResponse::Status(200), "failed"),
    ] {
        issuer.at(step, answer);
        let mut stream = begin(&gateway, device()).await?;
        let error = event(&mut stream).await?;
        assert_eq!(error["type"], "error", "{error}");
        if reason != "failed" {
            assert_eq!(error["reason"], reason, "{error}");
        }
        assert_silent(&gateway, &[stream.raw()]).await?;
    }
    assert!(!home.login().exists());
    Ok(())
}

#[tokio::test]
async fn a_login_that_cannot_be_used_is_none() -> Result<()> {
    for (step, status) in [(SignInStep::Exchange, 400), (SignInStep::Check, 500)] {
        let issuer = Issuer::start().await?;
        let home = SignInHome::new(&issuer)?;
        let gateway = home.over_real().await?;
        issuer.codes(Approval::Approved);
        issuer.at(step, StepResponse::Status(status));
        let mut stream = begin(&gateway, device()).await?;
        assert_eq!(event(&mut stream).await?["type"], "device_code");
        assert_eq!(event(&mut stream).await?["type"], "error");
        // Codex has written the login by then, into a temporary home.
        assert!(!home.login().exists());
        assert_silent(&gateway, &[stream.raw()]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_not_listed_is_not_shown() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let strict = home
        .gateway()
        .environment("AIRLOCK_CODEX_SIGN_IN_ORIGINS", "https://auth.openai.com");
    let gateway = strict.over(programs::real_codex()?).await?;
    let mut stream = begin(&gateway, device()).await?;
    let error = event(&mut stream).await?;
    assert_eq!(error["reason"], "url_not_allowed");
    assert!(!String::from_utf8_lossy(stream.raw()).contains(&issuer.origin()));
    Ok(())
}

#[tokio::test]
async fn another_workspace_may_not_sign_in() -> Result<()> {
    let issuer = Issuer::start().await?;
    issuer.codes(Approval::Approved);
    let home = SignInHome::new(&issuer)?;
    let bound = home
        .gateway()
        .environment("AIRLOCK_CODEX_WORKSPACE", "acc-other");
    let gateway = bound.over(programs::real_codex()?).await?;
    let mut stream = begin(&gateway, device()).await?;
    assert_eq!(event(&mut stream).await?["type"], "device_code");
    assert_eq!(event(&mut stream).await?["reason"], "workspace_mismatch");
    assert!(!home.login().exists());
    Ok(())
}

#[tokio::test]
async fn a_key_is_stored_and_signing_out_removes_it_for_all_who_share_it() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    let body = json!({"type": "api_key", "api_key": " sk-testing-0123456789abcdef \n"});
    let done = ending(&gateway, body).await?;
    assert_eq!(
        done,
        json!({"type": "done", "auth_mode": "apikey", "plan": null})
    );
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(home.login())?)?;
    assert_eq!(stored["OPENAI_API_KEY"], "sk-testing-0123456789abcdef");
    status(&gateway, "a key", |it| it["auth_mode"] == "apikey").await?;
    assert_eq!(gateway.client().ask("hello").await?, "signed in");
    let out = gateway.client().post("/api/codex/logout", "").await?.body;
    assert_eq!(out["signed_out"], true);
    assert!(
        out["message"].to_string().contains("user's own Codex"),
        "{out}"
    );
    assert!(!home.login().exists() && gateway.codex_home().join("auth.json").is_symlink());
    status(&gateway, "nobody", |it| it["logged_in"] == false).await?;
    assert!(!gateway.log().await?.contains("sk-testing"));
    // Another sign-in, through the same link.
    issuer.codes(Approval::Approved);
    let mut stream = begin(&gateway, device()).await?;
    assert_eq!(event(&mut stream).await?["type"], "device_code");
    assert_eq!(event(&mut stream).await?["type"], "done");
    assert!(home.login().is_file());
    gateway.client().post("/api/codex/logout", "").await?;
    assert_eq!(issuer.count("/oauth/revoke"), 1);
    Ok(())
}

#[tokio::test]
async fn the_terminal_signs_in_and_out_with_a_gateway_and_without() -> Result<()> {
    let issuer = Issuer::start().await?;
    issuer.codes(Approval::Approved);
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    let output = gateway.command(&["login"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.out.contains(USER_CODE) && output.out.contains("Signed in: chatgpt, plus"),
        "{output:?}"
    );
    // None of Codex's log lines, which name our files.
    let waiting = "waiting until the code is typed and the sign-in is approved\n";
    assert_eq!(output.err, waiting);
    let seen = status(&gateway, "a login", |it| {
        it["logged_in"] == true && it["models"] != json!([])
    })
    .await?;
    let version = seen["version"].as_str().unwrap_or("no version");
    let output = gateway.command(&["status"]).await?;
    assert!(
        output.out.contains("ChatGPT, plan plus") && output.out.contains(version),
        "{output:?}"
    );
    let output = gateway.command(&["logout"]).await?;
    assert!(output.out.contains("Signed out."), "{output:?}");
    assert!(!home.login().exists());
    Ok(())
}
