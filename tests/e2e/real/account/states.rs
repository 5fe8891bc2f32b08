//! The account's status in each possible state.

use std::path::PathBuf;

use airlock_tests::issuer::SignInHome;
use airlock_tests::{FakeCodex, Gateway, Issuer, Script, admin, programs, soon};
use anyhow::Result;
use serde_json::{Value, json};

use super::{begin, device, event, status};

fn facts(status: &Value) -> Value {
    json!([
        status["installed"],
        status["logged_in"],
        status["auth_mode"],
        status["supported"],
        status["rehearsal"]
    ])
}

#[tokio::test]
async fn a_codex_that_is_missing_or_too_old_is_a_fact() -> Result<()> {
    let gateway = Gateway::with()
        .over(PathBuf::from("/nowhere/codex"))
        .await?;
    let reply = gateway.client().get("/api/codex/status").await?;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(
        facts(&reply.body),
        json!([false, false, null, false, false])
    );
    assert_eq!(reply.body["install"], "airlock codex install");
    assert!(reply.body["problem"].is_string() && reply.body["version"].is_null());
    let fake = FakeCodex::start(Script::new().version("codex-cli 0.100.0"))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let old = status(&gateway, "an old codex", |it| it["version"].is_string()).await?;
    assert_eq!(
        (&old["installed"], &old["supported"], &old["version"]),
        (&json!(true), &json!(false), &json!("0.100.0"))
    );
    assert_eq!(old["install"], "airlock codex install");
    Ok(())
}

#[tokio::test]
async fn logged_out_a_sign_in_begun_and_a_path_for_operators() -> Result<()> {
    let issuer = Issuer::start().await?;
    let home = SignInHome::new(&issuer)?;
    let gateway = home
        .gateway()
        .administered()
        .environment("AIRLOCK_API_KEY", "a-clients-key")
        .over(programs::real_codex()?)
        .await?;
    let open = gateway.client().get("/api/codex/status").await?;
    assert_eq!(open.status.as_u16(), 401);
    let client = gateway.client().with_key("a-clients-key");
    let operator = gateway.client().with_key(admin::ADMIN_KEY);
    let nobody = json!([true, false, null, true, false]);
    let seen = soon("a codex without a login", async {
        loop {
            let seen = client.get("/api/codex/status").await?.body;
            if facts(&seen) == nobody {
                return anyhow::Ok(seen);
            }
        }
    });
    let seen = seen.await??;
    assert!(seen.get("cli_path").is_none());
    let seen = operator.get("/api/codex/status").await?.body;
    assert!(
        seen["cli_path"]
            .as_str()
            .is_some_and(|path| path.contains("codex"))
    );
    for path in ["/api/codex/login", "/api/codex/logout"] {
        assert_eq!(client.post(path, "").await?.status.as_u16(), 401);
    }
    let mut stream = operator.events("/api/codex/login", &device()).await?;
    assert_eq!(event(&mut stream).await?["type"], "device_code");
    let during = client.get("/api/codex/status").await?.body;
    assert_eq!(during["login_in_progress"], true);
    assert_eq!(facts(&during), json!([true, false, null, true, false]));
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_needs_no_login() -> Result<()> {
    let rehearsal = Gateway::with().flag("--rehearsal");
    let gateway = rehearsal.over(programs::real_codex()?).await?;
    let seen = status(&gateway, "models", |it| it["models"] != json!([])).await?;
    assert_eq!(facts(&seen), json!([true, true, null, true, true]));
    let refused = begin(&gateway, device()).await?;
    assert_eq!(refused.status(), 409);
    Ok(())
}
