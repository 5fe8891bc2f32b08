//! A full disk and a damaged data folder: an acknowledged change is on the disk, and a fault is reported with its path and a
//! remedy that works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use airlock_tests::admin::ADMIN_KEY;
use airlock_tests::gateway::GatewayBuilder;
use airlock_tests::policies::{digest, stamped};
use airlock_tests::{FakeCodex, Gateway, Script, programs, within};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const OLD: &str = "STAMP-0001";
const NEW: &str = "STAMP-0002";

/// A device that is always full.
const FULL: &str = "/dev/full";

const COMPILING: Duration = Duration::from_secs(90);

/// A gateway with two builds, of which the first is active.
async fn two_builds() -> Result<(FakeCodex, Gateway, [String; 2])> {
    let fake = FakeCodex::start(Script::new())?;
    let (old, new) = (stamped(OLD)?, stamped(NEW)?);
    let digests = [digest(&old), digest(&new)];
    let gateway = Gateway::with()
        .administered()
        .policy_file("stamp@0.wasm", old)
        .policy_file("stamp@1.wasm", new)
        .over_fake(&fake)
        .await?;
    gateway.admin().activate("stamp", Some(&digests[0])).await?;
    Ok((fake, gateway, digests))
}

async fn serves(gateway: &Gateway) -> Result<String> {
    let reply = gateway.client().chat(json!({})).await?;
    let stamp = reply.body["stamp"].as_str();
    let stamp = stamp.with_context(|| format!("{} {}", reply.status, reply.body))?;
    Ok(stamp.to_owned())
}

/// The gateway's stored state: its report without counters.
async fn remembered(gateway: &Gateway) -> Result<Value> {
    let report = gateway.admin().report().await?;
    let releases = report["releases"].as_array().into_iter().flatten();
    let numbers: Vec<&Value> = releases.map(|it| &it["number"]).collect();
    Ok(json!([
        report["active"],
        report["canary"],
        report["shadow"],
        numbers,
        report["history"]
    ]))
}

/// Sends a request to an admin route. Returns the status, and the code and message of the error.
async fn admin_error(
    gateway: &Gateway,
    method: Method,
    path: &str,
    body: Value,
) -> Result<(u16, String, String)> {
    let operator = gateway.client().with_key(ADMIN_KEY);
    let reply = operator.request(method, path).json(&body).send().await?;
    let status = reply.status().as_u16();
    let body: Value = reply.json().await?;
    let text = |member: &str| {
        body["error"][member]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Ok((status, text("code"), text("message")))
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "files of a test need no sync")]
async fn a_change_that_is_not_on_the_disk_is_refused_and_not_made() -> Result<()> {
    let (_fake, gateway, digests) = two_builds().await?;
    // The state file is replaced by a rename, which a folder in its place refuses.
    let file = gateway.data_dir().join("policies.json");
    let saved = gateway.data_dir().join("policies.saved");
    fs::rename(&file, &saved)?;
    fs::create_dir(&file)?;
    let before = remembered(&gateway).await?;
    let new = json!({"name": "stamp", "digest": digests[1]});
    let changes = [
        (
            Method::PUT,
            "/admin/policies/stamp/active",
            json!({"digest": digests[1]}),
        ),
        (Method::PUT, "/admin/policies/shipped/active", json!({})),
        (Method::POST, "/admin/policies/rollback", json!({})),
        (Method::PUT, "/admin/rollout/canary", new.clone()),
        (Method::PUT, "/admin/rollout/shadow", new),
    ];
    for (method, path, body) in changes {
        let (status, code, message) = admin_error(&gateway, method, path, body).await?;
        assert_eq!(
            (status, code.as_str()),
            (503, "not_saved"),
            "{path}: {message}"
        );
        for word in ["policies.json", "Is a directory", "nothing has changed"] {
            assert!(message.contains(word), "{path}: no {word:?} in {message:?}");
        }
        assert_eq!(remembered(&gateway).await?, before, "{path}");
        assert_eq!(serves(&gateway).await?, OLD, "{path}");
    }
    // Once the file can be written, the change is made.
    fs::remove_dir(&file)?;
    fs::rename(&saved, &file)?;
    let body = json!({"digest": digests[1]});
    let path = "/admin/policies/stamp/active";
    let (status, _, message) = admin_error(&gateway, Method::PUT, path, body).await?;
    assert_eq!(status, 200, "{message}");
    assert_eq!(serves(&gateway).await?, NEW);
    Ok(())
}

#[tokio::test]
async fn a_component_that_cannot_be_stored_does_not_become_active() -> Result<()> {
    let (_fake, gateway, digests) = two_builds().await?;
    let before = remembered(&gateway).await?;
    let component = format!("policy-store/{}.wasm", digests[1]);
    fs::create_dir(gateway.data_dir().join(component))?;
    let body = json!({"digest": digests[1]});
    let path = "/admin/policies/stamp/active";
    let (status, code, message) = admin_error(&gateway, Method::PUT, path, body).await?;
    assert_eq!((status, code.as_str()), (503, "not_saved"), "{message}");
    assert!(message.contains("policy-store"), "{message}");
    assert_eq!(remembered(&gateway).await?, before);
    Ok(())
}

#[tokio::test]
async fn tapes_are_not_promised_where_there_is_no_room_for_them() -> Result<()> {
    let (_fake, gateway, _) = two_builds().await?;
    let tapes = gateway.data_dir().join("tapes");
    fs::create_dir(&tapes)?;
    symlink(FULL, tapes.join(".probe"))?;
    let body = json!({"requests": 1, "seconds": 60});
    let (status, code, message) = admin_error(&gateway, Method::POST, "/admin/tapes", body).await?;
    assert_eq!((status, code.as_str()), (507, "not_saved"), "{message}");
    let report = gateway.client().with_key(ADMIN_KEY);
    assert_eq!(
        report.get("/admin/tapes").await?.body["recording"],
        Value::Null
    );
    Ok(())
}

#[tokio::test]
async fn other_limits_are_tried_out_before_they_hold() -> Result<()> {
    let (_fake, gateway, digests) = two_builds().await?;
    let beside = gateway.policies_folder().join("stamp.toml");
    let path = "/admin/policies/stamp/active";
    for (limits, words) in [
        ("memory_bytes = \"1\"", "limits.memory_bytes must be"),
        (
            "memory_bytes = 1",
            "limits.memory_bytes must be between 1MiB and 4GiB",
        ),
        (
            "output_bytes = 0",
            "limits.output_bytes must be between 1KiB and 64GiB",
        ),
        ("memory_bytes = \"1MiB\"", "does not do what a policy must"),
    ] {
        fs::write(&beside, format!("[limits]\n{limits}\n"))?;
        for digest in &digests {
            let body = json!({ "digest": digest });
            let (status, code, message) = admin_error(&gateway, Method::PUT, path, body).await?;
            assert_eq!(status, 400, "{limits}: {code} {message}");
            assert!(message.contains(words), "{limits}: {message}");
        }
        assert_eq!(serves(&gateway).await?, OLD, "{limits}");
    }
    // A rollback does not depend on the file beside the build that it leaves.
    fs::remove_file(&beside)?;
    gateway.admin().activate("stamp", Some(&digests[1])).await?;
    fs::write(&beside, "[limits]\nmemory_bytes = \"1MiB\"\n")?;
    gateway.admin().rollback().await?;
    assert_eq!(serves(&gateway).await?, OLD);
    Ok(())
}

/// The output of both commands.
struct Both {
    serve: String,
    doctor: String,
}

/// Runs both commands, which must fail.
async fn refused(fake: &FakeCodex, data: &Path, flags: &[&str]) -> Result<Both> {
    let doctor = doctor(fake, data, flags).await?;
    let policy = doctor.1.lines().find(|line| line.contains(" policy "));
    let policy = policy.unwrap_or_default().to_owned();
    ensure!(
        doctor.0 == Some(1) && policy.starts_with("fail"),
        "{doctor:?}"
    );
    let refused = with(data, flags).refused(fake.binary()).await?;
    ensure!(refused.code == Some(1), "{refused:?}");
    Ok(Both {
        serve: refused.log,
        doctor: policy,
    })
}

fn with(data: &Path, flags: &[&str]) -> GatewayBuilder {
    let with = Gateway::with().administered().data_dir(data);
    flags.iter().fold(with, |with, flag| with.flag(*flag))
}

/// The exit code and the output of `airlock doctor`.
async fn doctor(fake: &FakeCodex, data: &Path, flags: &[&str]) -> Result<(Option<i32>, String)> {
    let home = tempfile::tempdir()?;
    let mut command = Command::new(programs::airlock()?);
    command
        .args(["doctor", "--listen", "127.0.0.1:0", "--codex-bin"])
        .arg(fake.binary())
        .arg("--data-dir")
        .arg(data)
        .args(flags)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", programs::search_path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(COMPILING, "the doctor", command.output()).await??;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), out))
}

/// A data folder whose last active policy was a build in it.
async fn left_with_stamp(fake: &FakeCodex) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let gateway = with(&data, &[])
        .policy_file("stamp.wasm", stamped(OLD)?)
        .over_fake(fake)
        .await?;
    gateway.admin().activate("stamp", None).await?;
    Ok((folder, data))
}

#[tokio::test]
async fn a_policy_that_is_gone_is_named_and_the_way_out_works() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let (_folder, data) = left_with_stamp(&fake).await?;
    let (store, own) = (data.join("policy-store"), data.join("policies"));
    fs::remove_file(own.join("stamp.wasm"))?;
    for entry in fs::read_dir(&store)? {
        fs::remove_file(entry?.path())?;
    }
    let both = refused(&fake, &data, &[]).await?;
    for said in [&both.serve, &both.doctor] {
        for words in [
            "the policy that was active last, stamp@",
            &own.display().to_string(),
            &store.display().to_string(),
            "--policy shipped",
        ] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
    }
    let flags = ["--policy", "shipped"];
    let (code, out) = doctor(&fake, &data, &flags).await?;
    assert!(
        out.contains("ok    policy       shipped@"),
        "{code:?} {out}"
    );
    let gateway = with(&data, &flags).over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    gateway.admin().activate("shipped", None).await?;
    drop(gateway);
    let gateway = with(&data, &[]).over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}

#[tokio::test]
async fn a_state_that_is_broken_is_named_and_the_way_out_works() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let (_folder, data) = left_with_stamp(&fake).await?;
    let state = data.join("policies.json");
    fs::write(&state, "{")?;
    let both = refused(&fake, &data, &[]).await?;
    for said in [&both.serve, &both.doctor] {
        for words in [&*state.display().to_string(), "EOF", "remove it"] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
    }
    fs::remove_file(&state)?;
    let gateway = with(&data, &[]).over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}

#[tokio::test]
async fn the_policy_that_serves_is_the_one_that_is_checked() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let (_folder, data) = left_with_stamp(&fake).await?;
    let (_, out) = doctor(&fake, &data, &[]).await?;
    let stamp = digest(&stamped(OLD)?);
    assert!(
        out.contains(&format!("ok    policy       stamp@{}", &stamp[..12])),
        "{out}"
    );
    let file = data.join("pinned.wasm");
    fs::write(&file, stamped(OLD)?)?;
    fs::write(data.join("pinned.toml"), "digest = \"sha256:00\"")?;
    let flags = ["--policy", file.to_str().unwrap_or_default()];
    let both = refused(&fake, &data, &flags).await?;
    for said in [&both.serve, &both.doctor] {
        assert!(said.contains("policy pinned is refused"), "{said}");
        assert!(said.contains("--policy shipped"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_is_none_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    for (place, is_file, words) in [
        ("policies", true, "is a file and must be a folder"),
        ("policy-store", true, "is a file and must be a folder"),
        ("policies.lock", false, "Is a directory"),
        ("policies.json", false, "Is a directory"),
    ] {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        let path = data.join(place);
        match is_file {
            true => fs::write(&path, "")?,
            false => fs::create_dir(&path)?,
        }
        let refused = with(&data, &[]).refused(fake.binary()).await?;
        let log = &refused.log;
        assert_eq!(refused.code, Some(1), "{log}");
        for words in [words, &path.display().to_string()] {
            assert!(log.contains(words), "{place}: no {words:?} in {log}");
        }
        assert!(!log.contains("put it right"), "{place}: {log}");
        if place == "policies.lock" {
            continue;
        }
        let (code, out) = doctor(&fake, &data, &[]).await?;
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains(words), "{place}: no {words:?} in {out}");
    }
    Ok(())
}

#[tokio::test]
async fn a_removed_data_folder_is_reported_as_such() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    gateway.client().ask("fine").await?;
    fs::remove_dir_all(gateway.data_dir())?;
    gateway.kill_children();
    let refused = async {
        loop {
            let reply = gateway.client().chat(json!({})).await?;
            if reply.error("code") == "codex_home_missing" {
                return anyhow::Ok(reply);
            }
            ensure!(
                reply.error("code") != "codex_not_installed",
                "{}",
                reply.body
            );
            tokio::task::yield_now().await;
        }
    };
    let reply = within(Duration::from_secs(20), "the fault", refused).await??;
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.body);
    let home = gateway.data_dir().join("codex-home");
    let home = home.display().to_string();
    assert!(!reply.body.to_string().contains(&home), "{}", reply.body);
    gateway.logged(&home).await.map(drop)
}
