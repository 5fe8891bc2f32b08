//! Tapes: recorded by a running gateway, without secrets, and replayed on policies.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use airlock_tests::{Client, FakeCodex, Gateway, Script, programs, soon};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

const KEY: &str = "the-operators-own";

/// Secrets in the request and in the answer, concatenated here so that scanners do not report them.
const IN_REQUEST: &str = concat!("sk-", "proj-A1b2C3d4E5f6G7h8I9j0");
const IN_ANSWER: &str = concat!("ghp_", "Z9y8X7w6V5u4T3s2R1q0P9o8");

async fn gateway() -> Result<(FakeCodex, Gateway)> {
    // Both the secret and the batch are split.
    let (one, two) = IN_ANSWER.split_at(7);
    let script = Script::new().when("tell me", |turn| {
        turn.text("it is ").text(one).text(two).text(" indeed")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings(&format!("admin_key = \"{KEY}\""))
        .over_fake(&fake)
        .await?;
    Ok((fake, gateway))
}

fn folder(gateway: &Gateway) -> Result<PathBuf> {
    let home = gateway.codex_home();
    Ok(home.parent().context("no data")?.join("tapes"))
}

async fn tapes(admin: &Client) -> Result<Value> {
    Ok(admin.get("/admin/tapes").await?.body)
}

/// Waits until this many tapes are written.
async fn written(admin: &Client, count: u64) -> Result<Value> {
    soon("the tapes", async {
        loop {
            let report = tapes(admin).await?;
            if report["recorded"] == count && report["running"] == 0 {
                return anyhow::Ok(report);
            }
            tokio::task::yield_now().await;
        }
    })
    .await?
}

async fn airlock(arguments: &[&std::ffi::OsStr]) -> Result<Output> {
    let mut command = Command::new(programs::airlock()?);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", programs::search_path())
        .env("HOME", "/nonexistent")
        .env("AIRLOCK_ADMIN_KEY", KEY)
        .kill_on_drop(true);
    Ok(soon("the end of the command", command.output()).await??)
}

/// Replays tapes. Returns the exit code and the output.
async fn replay(tapes: &Path, more: &[&str]) -> Result<(Option<i32>, String)> {
    let mut arguments = vec!["policy".as_ref(), "replay".as_ref(), tapes.as_os_str()];
    arguments.extend(more.iter().map(|more| more.as_ref() as &std::ffi::OsStr));
    let output = airlock(&arguments).await?;
    let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((output.status.code(), text))
}

#[tokio::test]
async fn requests_are_recorded_without_secrets_and_played_again() -> Result<()> {
    let (_fake, gateway) = gateway().await?;
    let admin = gateway.client().with_key(KEY);
    let folder = folder(&gateway)?;
    // Nothing is recorded without a request.
    gateway.client().ask("before").await?;
    ensure!(!folder.exists(), "recorded before it was asked to");

    let address = gateway.address().to_string();
    let command = ["tape", "record", "--requests", "2", "--listen", &address];
    let output = airlock(&command.map(|word| word.as_ref())).await?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{said} {:?}", output.stderr);
    assert!(said.contains(&folder.display().to_string()), "{said}");
    assert!(said.contains("airlock policy replay"), "{said}");

    let question = format!("tell me, my key is {IN_REQUEST}, I live in /home/alice/x");
    assert_eq!(
        gateway.client().ask(&question).await?,
        format!("it is {IN_ANSWER} indeed")
    );
    let messages = json!([{"role": "user", "content": question}]);
    let mut stream = gateway
        .client()
        .stream(json!({"messages": messages}))
        .await?;
    assert_eq!(stream.text().await?, format!("it is {IN_ANSWER} indeed"));
    drop(stream);
    gateway.client().ask("after").await?;
    let report = written(&admin, 2).await?;
    assert_eq!(report["recording"], Value::Null);
    assert_eq!(
        report["tapes"].as_array().map(Vec::len),
        Some(2),
        "{report}"
    );

    let mode =
        |path: &Path| Ok::<_, std::io::Error>(fs::metadata(path)?.permissions().mode() & 0o777);
    assert_eq!(mode(&folder)?, 0o700);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        assert_eq!(mode(&path)?, 0o600, "{}", path.display());
        let tape = fs::read_to_string(&path)?;
        for secret in [IN_REQUEST, IN_ANSWER, "A1b2C3", "Z9y8X7", "R1q0P9", "alice"] {
            assert!(!tape.contains(secret), "{secret} in {tape}");
        }
        assert!(
            tape.contains("it is ") && tape.contains("tell me"),
            "{tape}"
        );
    }

    let (code, text) = replay(&folder, &["--policy", "shipped"]).await?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 tapes: 2 equal, 0 different"), "{text}");
    assert!(
        text.contains("frame: [DONE]") && text.contains("indeed"),
        "{text}"
    );
    assert_eq!(replay(&folder, &["--policy", "shipped"]).await?.1, text);
    // Of a policy that differs in its panel alone, these show nothing.
    let critique = [
        "--policy",
        "shipped",
        "--against",
        airlock_tests::components::CRITIQUE,
    ];
    let (code, text) = replay(&folder, &critique).await?;
    assert_eq!((code, text.as_str()), (Some(0), text.as_str()));
    assert!(text.ends_with("2 tapes: 2 equal, 0 different\n"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_fan_out_distinguishes_two_strategies() -> Result<()> {
    let (_fake, gateway) = gateway().await?;
    let admin = gateway.client().with_key(KEY);
    let wanted = json!({"requests": 1, "seconds": 60}).to_string();
    assert_eq!(admin.post("/admin/tapes", wanted).await?.status, 200);
    gateway.client().fan_out(2, json!({})).await?;
    written(&admin, 1).await?;
    let critique = airlock_tests::components::CRITIQUE;
    let both = ["--policy", "shipped", "--against", critique];
    let (code, text) = replay(&folder(&gateway)?, &both).await?;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("\n-  verdict: ") && text.contains("\n+  verdict: "),
        "{text}"
    );
    let quiet = ["--policy", "shipped", "--against", critique, "--quiet"];
    let (code, text) = replay(&folder(&gateway)?, &quiet).await?;
    assert_eq!(
        (code, text.as_str()),
        (Some(1), "1 tapes: 0 equal, 1 different\n")
    );
    Ok(())
}

#[tokio::test]
async fn recording_is_for_operators_and_bounded() -> Result<()> {
    let (_fake, gateway) = gateway().await?;
    let admin = gateway.client().with_key(KEY);
    assert_eq!(gateway.client().get("/admin/tapes").await?.status, 401);
    for (requests, seconds) in [(0, 1), (1001, 1), (1, 0), (1, 3601)] {
        let wanted = json!({"requests": requests, "seconds": seconds}).to_string();
        let reply = admin.post("/admin/tapes", wanted).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (400, &json!("invalid_value"))
        );
    }
    let delete = || admin.request(Method::DELETE, "/admin/tapes").send();
    assert_eq!(soon("an answer", delete()).await??.status(), 404);
    let wanted = json!({"requests": 5, "seconds": 60}).to_string();
    let reply = admin.post("/admin/tapes", wanted).await?;
    assert_eq!(reply.body["recording"]["requests"], 5, "{}", reply.body);
    assert_eq!(soon("an answer", delete()).await??.status(), 200);
    gateway.client().ask("after").await?;
    let report = tapes(&admin).await?;
    assert_eq!(
        (&report["running"], &report["recorded"]),
        (&json!(0), &json!(0))
    );
    Ok(())
}
