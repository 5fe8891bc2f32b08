//! External ChatGPT tokens: in memory alone, refreshed by a command or a URL, and bound to a workspace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use airlock_tests::issuer::{ACCOUNT, SignInHome, token};
use airlock_tests::{Gateway, Issuer, programs};
use anyhow::Result;
use serde_json::{Value, json};

use super::{assert_silent, begin, device, ending, status};

/// A command that counts its runs and prints this.
fn command(folder: &Path, then: &str) -> Result<PathBuf> {
    let file = folder.join("tokens");
    let runs = folder.join("runs");
    fs::write(
        &file,
        format!("#!/bin/sh\necho run >> '{}'\n{then}\n", runs.display()),
    )?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

fn runs(folder: &Path) -> usize {
    fs::read_to_string(folder.join("runs"))
        .unwrap_or_default()
        .lines()
        .count()
}

fn printing(token: &str) -> String {
    format!(
        "echo '{{\"accessToken\": \"{token}\", \"chatgptAccountId\": \"{ACCOUNT}\", \"chatgptPlanType\": \"plus\"}}'"
    )
}

async fn given(gateway: &Gateway, token: &str) -> Result<Value> {
    ending(
        gateway,
        json!({"type": "chatgpt_tokens", "access_token": token}),
    )
    .await
}

#[tokio::test]
async fn tokens_sign_in_and_nothing_is_written() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home.over_real().await?;
    let done = given(&gateway, &token(ACCOUNT, "first-")).await?;
    assert_eq!(
        done,
        json!({"type": "done", "auth_mode": "chatgptAuthTokens", "plan": "plus"})
    );
    status(&gateway, "the tokens", |it| {
        it["auth_mode"] == "chatgptAuthTokens" && it["models"] != json!([])
    })
    .await?;
    assert_eq!(gateway.client().ask("hello").await?, "signed in");
    assert!(!home.login().exists());
    let refused = begin(&gateway, device()).await?;
    assert_eq!(refused.status(), 409);
    // Without a source, a refused token is not refreshed.
    issuer.refuse("first-");
    let failed = gateway.client().chat(json!({})).await?;
    assert_eq!(
        failed.error("code"),
        "codex_token_refresh_failed",
        "{:?}",
        failed.body
    );
    assert_silent(&gateway, &[failed.body.to_string().as_bytes()]).await?;
    let out = gateway.client().post("/api/codex/logout", "").await?.body;
    assert_eq!(out["signed_out"], true);
    status(&gateway, "nobody", |it| it["logged_in"] == false).await?;
    Ok(())
}

#[tokio::test]
async fn a_command_gives_tokens_at_the_start_and_renews_them_once_for_all() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let folder = tempfile::tempdir()?;
    let file = command(folder.path(), &printing(&token(ACCOUNT, "old-")))?;
    let sourced = home
        .gateway()
        .environment("AIRLOCK_CODEX_TOKEN_COMMAND", &file);
    let gateway = sourced.over(programs::real_codex()?).await?;
    status(&gateway, "the tokens", |it| {
        it["auth_mode"] == "chatgptAuthTokens" && it["models"] != json!([])
    })
    .await?;
    assert_eq!(gateway.client().ask("hello").await?, "signed in");
    assert_eq!(runs(folder.path()), 1);
    issuer.refuse("old-");
    command(folder.path(), &printing(&token(ACCOUNT, "new-")))?;
    let client = gateway.client();
    let (a, b, c) = tokio::join!(client.ask("a"), client.ask("b"), client.ask("c"));
    for answer in [a?, b?, c?] {
        assert_eq!(answer, "signed in");
    }
    assert_eq!(runs(folder.path()), 2);
    assert!(!home.login().exists());
    assert_silent(&gateway, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_ends_the_turn_with_the_reason() -> Result<()> {
    for (then, needle) in [
        ("exit 3".to_owned(), "failed"),
        ("echo '{}'".to_owned(), "not a token"),
        ("exec sleep 60".to_owned(), "in time"),
        (
            printing(&token(ACCOUNT, "x-")).replace(ACCOUNT, "acc-9"),
            "not a token",
        ),
        (
            format!("echo '{{\"access_token\": \"{}\"}}'", token("acc-9", "x-")),
            "another account",
        ),
    ] {
        let issuer = Issuer::start().await?;
        let home = SignInHome::new(&issuer)?;
        let folder = tempfile::tempdir()?;
        let file = command(folder.path(), &printing(&token(ACCOUNT, "old-")))?;
        let sourced = home
            .gateway()
            .environment("AIRLOCK_CODEX_TOKEN_TIMEOUT", "1s")
            .environment("AIRLOCK_CODEX_TOKEN_COMMAND", &file);
        let gateway = sourced.over(programs::real_codex()?).await?;
        status(&gateway, "the tokens", |it| {
            it["auth_mode"] == "chatgptAuthTokens" && it["models"] != json!([])
        })
        .await?;
        issuer.refuse("old-");
        command(folder.path(), &then)?;
        let failed = gateway.client().chat(json!({})).await?;
        assert_eq!(
            failed.error("code"),
            "codex_token_refresh_failed",
            "{:?}",
            failed.body
        );
        let message = failed.error("message").to_string();
        assert!(message.contains(needle), "{then}: {message}");
        assert_silent(&gateway, &[message.as_bytes()]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_configured_workspace_is_taken() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::with(&issuer, "forced_chatgpt_workspace_id = \"acc-1\"")?;
    let gateway = home.over_real().await?;
    let refused = given(&gateway, &token("acc-9", "x-")).await?;
    assert_eq!(refused["reason"], "workspace_mismatch", "{refused}");
    assert_eq!(
        given(&gateway, &token(ACCOUNT, "x-")).await?["type"],
        "done"
    );
    Ok(())
}
