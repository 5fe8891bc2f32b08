//! A client with an ordinary key that tries to get the active policy rolled back, so that an earlier one serves.

use std::fs;

use airlock_tests::Client;

use super::*;

/// A secret in the model's answer.
const SECRET: &str = "sk-proj-4fT9xQ2mLk8sPz7Wv1Yb3Nc";

/// The secret as the policy replaces it.
const REDACTED: &str = "[redacted api key]";

/// The calls of the attack: 8 MiB with their results.
const CALLS: usize = 60_000;

fn secretive() -> Script {
    Script::new().when("tell me", |turn| turn.text(SECRET))
}

fn redact() -> Result<Vec<u8>> {
    Ok(fs::read(airlock_tests::components::REDACT)?)
}

/// A gateway whose active policy removes secrets.
async fn redacting(settings: &str) -> Result<(FakeCodex, Gateway, Admin)> {
    let fake = FakeCodex::start(secretive())?;
    let gateway = Gateway::with()
        .administered()
        .settings(settings)
        .policy_file("redact.wasm", redact()?)
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    admin.activate("redact", None).await?;
    Ok((fake, gateway, admin))
}

/// Bodies that cost a policy more than its limits.
fn large() -> Vec<(&'static str, String)> {
    let keys = (0..1_000_000).map(|_| "\"seed\":1").collect::<Vec<_>>();
    let named = json!({"role": "user", "name": "me", "content": "hi"}).to_string();
    vec![
        (
            "a million keys",
            format!(
                r#"{{"model":"default","messages":[{{"role":"user","content":"hi"}}],{}}}"#,
                keys.join(",")
            ),
        ),
        (
            "400,000 messages",
            format!(
                r#"{{"model":"default","messages":[{}]}}"#,
                vec![named; 400_000].join(",")
            ),
        ),
        ("60,000 calls", airlock_tests::many_calls(CALLS).to_string()),
    ]
}

/// Sends each body five times, and checks that each is refused for its limit.
async fn attack(client: &Client) -> Result<()> {
    for (what, body) in large() {
        for _ in 0..5 {
            let reply = client.post("/v1/chat/completions", body.clone()).await?;
            let (status, code) = (reply.status.as_u16(), reply.error("code"));
            ensure!(
                (status, code) == (413, &json!("request_too_large")),
                "{what}: {status} {}",
                reply.body
            );
            let message = reply.error("message").as_str().unwrap_or_default();
            ensure!(message.contains("keys and values"), "{what}: {message}");
        }
    }
    Ok(())
}

/// The name of the active policy, and its faults.
async fn serving(admin: &Admin) -> Result<(String, Value)> {
    let report = admin.report().await?;
    let releases = report["releases"].as_array().context("no releases")?;
    let active = releases
        .iter()
        .find(|it| it["number"] == report["active"])
        .context("nothing is active")?;
    let name = active["name"].as_str().unwrap_or_default();
    Ok((name.to_owned(), active["faults"].clone()))
}

#[tokio::test]
async fn large_requests_do_not_undo_the_policy_that_serves() -> Result<()> {
    let (_fake, gateway, admin) = redacting("").await?;
    assert_eq!(gateway.client().ask("tell me").await?, REDACTED);
    attack(gateway.client()).await?;
    assert_eq!(serving(&admin).await?, ("redact".to_owned(), json!({})));
    assert_eq!(gateway.client().ask("tell me").await?, REDACTED);
    Ok(())
}

/// A body within the limits of size that exceeds the limit of time, which its size causes too.
#[tokio::test]
async fn time_that_runs_out_over_a_large_request_is_no_fault() -> Result<()> {
    let (_fake, gateway, _admin, digests) = old_and_new("").await?;
    let admin = gateway.admin();
    admin.activate("stamp", Some(&digests[1])).await?;
    for deed in ["loop", "loop", "loop", "loop", "loop", "loop"] {
        let said = format!("stamp:{deed}:render {}", "x".repeat(64 << 10));
        let reply = gateway.client().chat(saying(&said)).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (413, &json!("request_too_large")),
            "{}",
            reply.body
        );
        let message = reply.error("message").as_str().unwrap_or_default();
        assert!(message.contains("250 ms of CPU time"), "{message}");
    }
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    let (_, faults) = serving(&admin).await?;
    assert_eq!(faults, json!({"timeout": 6}), "they are listed");
    Ok(())
}

/// Clients decide how much the model writes, so exceeding the policy's limits on it is no fault either.
#[tokio::test]
async fn long_answers_do_not_undo_the_policy_that_serves() -> Result<()> {
    let long = "word ".repeat(64 << 10);
    let script = secretive().when("write on", |turn| turn.text(&long));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .administered()
        .policy_file("redact.wasm", redact()?)
        .policy_file("redact.toml", "[limits]\noutput_bytes = \"128KiB\"")
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    admin.activate("redact", None).await?;
    for _ in 0..5 {
        let reply = gateway.client().chat(saying("write on")).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("answer_too_large")),
            "{}",
            reply.body
        );
        let message = reply.error("message").as_str().unwrap_or_default();
        assert!(message.contains("131072 for one request"), "{message}");
    }
    assert_eq!(
        serving(&admin).await?,
        ("redact".to_owned(), json!({"output": 5}))
    );
    assert_eq!(gateway.client().ask("tell me").await?, REDACTED);
    Ok(())
}

#[tokio::test]
async fn a_fault_that_the_release_before_shares_does_not_count() -> Result<()> {
    let settings = "[rollback]\nfaults = 3";
    let (_fake, gateway, admin, digests) = old_and_new(settings).await?;
    admin.activate("stamp", Some(&digests[1])).await?;
    for _ in 0..8 {
        fails(&gateway).await?;
    }
    let (_, faults) = serving(&admin).await?;
    assert_eq!(faults, json!({"trap": 8}));
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    // The guard does roll back a release that alone fails, so it has compared the earlier ones.
    let alone = reworded(&stamped("STAMP-0003")?, "stamp:", "trial:")?;
    fs::write(gateway.policies_folder().join("stamp@3.wasm"), &alone)?;
    admin.activate("stamp", Some(&digest(&alone))).await?;
    for _ in 0..3 {
        let reply = gateway.client().chat(saying("trial:trap:render")).await?;
        ensure!(reply.status == 500, "{} {}", reply.status, reply.body);
    }
    let back = |report: &Value| last(report)["by"] == "airlock";
    let report = admin.reported("the rollback", back).await?;
    assert_eq!(last(&report)["digest"], json!(digests[1]));
    Ok(())
}

fn last(report: &Value) -> Value {
    let history = report["history"].as_array();
    history
        .and_then(|all| all.last())
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn one_client_key_does_not_undo_a_policy() -> Result<()> {
    const KEY: &str = "an-ordinary-key";
    let fake = FakeCodex::start(Script::new())?;
    let old = reworded(&stamped(OLD)?, "stamp:", "other:")?;
    let new = stamped(NEW)?;
    let gateway = Gateway::with()
        .administered()
        .environment("AIRLOCK_API_KEY", KEY)
        .settings("[rollback]\nfaults = 2")
        .policy_file("stamp@0.wasm", old.clone())
        .policy_file("stamp@1.wasm", new.clone())
        .over_fake(&fake)
        .await?;
    let (admin, client) = (gateway.admin(), gateway.client().with_key(KEY));
    for build in [&old, &new] {
        admin.activate("stamp", Some(&digest(build))).await?;
    }
    for _ in 0..6 {
        let reply = client.chat(saying("stamp:trap:render")).await?;
        ensure!(reply.status == 500, "{} {}", reply.status, reply.body);
    }
    gateway
        .logged("for fewer client keys than rollback.faults")
        .await?;
    assert_eq!(stamp(&client.chat(json!({})).await?)?, NEW);
    Ok(())
}

#[tokio::test]
async fn a_policy_that_the_configuration_names_is_not_taken_back() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stamp.wasm");
    fs::write(&file, stamped(NEW)?)?;
    let data = folder.path().join("data");
    let with = || {
        Gateway::with()
            .administered()
            .data_dir(&data)
            .settings("[rollback]\nfaults = 2")
    };
    // The previous release does not fail.
    let before = with().over_fake(&fake).await?;
    drop(before);
    let gateway = with().policy(&file).over_fake(&fake).await?;
    for _ in 0..6 {
        fails(&gateway).await?;
    }
    gateway.logged("the active policy fails too often").await?;
    gateway.logged("the configuration names it").await?;
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    Ok(())
}

#[tokio::test]
async fn a_policy_that_refuses_on_fault_is_not_taken_back() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[rollback]\nfaults = 2")
        .policy_file("stamp.wasm", stamped(NEW)?)
        .policy_file("stamp.toml", "on_fault = \"refuse\"")
        .over_fake(&fake)
        .await?;
    gateway.admin().activate("stamp", None).await?;
    for _ in 0..6 {
        fails(&gateway).await?;
    }
    gateway.logged("the active policy fails too often").await?;
    gateway.logged("on_fault").await?;
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    Ok(())
}
