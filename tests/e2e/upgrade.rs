//! Codexes with another protocol: which are accepted, which refused, and what is reported.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use airlock_tests::{FakeCodex, Gateway, Reply, Script, soon};
use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A Codex that is newer than the tested ones.
const NEWER: &str = "codex-cli 0.999.0";

/// Checks both commands' messages: the supported versions and the remedy, and nothing about the machine.
async fn refusals(gateway: &Gateway) -> Result<()> {
    let chat = gateway.client().chat(json!({})).await?;
    let ready = gateway.client().get("/readyz").await?;
    for reply in [&chat, &ready] {
        is_refusal(reply);
    }
    Ok(())
}

fn is_refusal(reply: &Reply) {
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (503, &json!("codex_unsupported_version")),
        "{}",
        reply.body
    );
    let message = reply.error("message").as_str().unwrap_or_default();
    for word in ["0.163.0 to 0.169.x", "`airlock codex install`"] {
        assert!(message.contains(word), "no {word} in {message}");
    }
    for word in ["thread/", "/codex", "missing"] {
        assert!(!message.contains(word), "{word} in {message}");
    }
}

#[tokio::test]
async fn a_codex_with_a_larger_protocol_is_used() -> Result<()> {
    let script = Script::new().protocol(|protocol| {
        protocol.set_field("thread/start", "params", "mood", "string?");
        protocol.set_field("thread/start", "result", "mood", "string");
        protocol.set_field(
            "turn/completed",
            "params",
            "turn.status",
            "string: completed, failed, interrupted, inProgress, paused",
        );
    });
    let fake = FakeCodex::start(script.version(NEWER))?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    gateway.logged("its protocol fits").await?;
    let left = fs::read_dir(gateway.data_dir().join("tmp"))?.count();
    assert_eq!(left, 0, "what Codex told of its protocol is still there");
    Ok(())
}

#[tokio::test]
async fn a_method_that_is_gone_refuses() -> Result<()> {
    let script = Script::new().protocol(|protocol| protocol.remove("thread/inject_items"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    refusals(&gateway).await?;
    gateway.logged("thread/inject_items missing").await?;
    assert_eq!(fake.starts(), 0);
    Ok(())
}

#[tokio::test]
async fn fields_that_are_gone_or_another_refuse_and_the_log_lists_all() -> Result<()> {
    let script = Script::new().protocol(|protocol| {
        protocol.remove_field("thread/start", "params", "environments");
        protocol.set_field(
            "thread/start",
            "params",
            "sandbox",
            "string?: workspace-write",
        );
        protocol.set_field("turn/start", "params", "consent", "boolean");
        protocol.set_field("turn/started", "params", "turn.id", "integer");
        protocol.set_field("item/tool/call", "result", "success", "string");
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    refusals(&gateway).await?;
    for fault in [
        "thread/start params environments missing",
        "thread/start params sandbox \"read-only\" missing",
        "turn/start params consent required",
        "turn/started params turn.id retyped (is integer, where airlock reads string)",
        "item/tool/call result success retyped (is string, where airlock sends boolean)",
    ] {
        gateway.logged(fault).await?;
    }
    gateway.logged("and 2 more").await?;
    assert_eq!(fake.starts(), 0);
    Ok(())
}

#[tokio::test]
async fn a_codex_without_a_schema_is_used_if_its_version_was_tested() -> Result<()> {
    let fake = FakeCodex::start(Script::new().no_schema())?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    gateway.logged("does not report its protocol").await?;

    let fake = FakeCodex::start(Script::new().no_schema().version(NEWER))?;
    let gateway = Gateway::over_fake(&fake).await?;
    refusals(&gateway).await?;
    gateway
        .logged("newer than what airlock was tested with")
        .await?;
    assert_eq!(fake.starts(), 0);
    Ok(())
}

/// A program that counts how often it exports its schema, and then runs the scripted Codex.
fn counted(fake: &FakeCodex, folder: &TempDir) -> Result<(PathBuf, PathBuf)> {
    let (program, count) = (folder.path().join("codex"), folder.path().join("count"));
    let text = format!(
        "#!/bin/sh\n[ \"$2\" = generate-json-schema ] && echo asked >> '{}'\nexec '{}' \"$@\"\n",
        count.display(),
        fake.binary().display()
    );
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok((program, count))
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "files of a test need no sync")]
async fn a_binary_is_compared_once_and_another_in_its_place_anew() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let fake = FakeCodex::start(Script::new())?;
    let (program, count) = counted(&fake, &folder)?;
    let runs = || fs::read_to_string(&count).map(|text| text.lines().count());
    let gateway = Gateway::with()
        .environment("AIRLOCK_FLEET_SPARE", "false")
        .over(program)
        .await?;
    gateway.client().ask("one").await?;
    fake.expect_start().await?;
    fake.kill().await?;
    gateway.client().ask("two").await?;
    fake.expect_start().await?;
    assert_eq!(runs()?, 1);

    let lacking = Script::new().protocol(|protocol| protocol.remove("turn/interrupt"));
    let lacking = FakeCodex::start(lacking)?;
    // Another file under the same name, as after an upgrade.
    let elsewhere = tempfile::tempdir()?;
    let (newer, _) = counted(&lacking, &elsewhere)?;
    fs::rename(newer, folder.path().join("codex"))?;
    fake.kill().await?;
    gateway.logged("turn/interrupt missing").await?;
    assert_eq!(lacking.starts(), 0);
    is_refusal(&gateway.client().chat(json!({})).await?);

    let (fitting, _) = counted(&fake, &elsewhere)?;
    fs::rename(fitting, folder.path().join("codex"))?;
    fake.expect_start().await?;
    soon("a gateway that is ready again", async {
        while gateway.client().get("/readyz").await?.status != 200 {
            // It reports this once the child has listed its models.
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    assert_eq!(gateway.client().ask("three").await?, "You said: three");
    Ok(())
}

#[tokio::test]
async fn doctor_shows_the_comparison() -> Result<()> {
    let script = Script::new().protocol(|protocol| {
        protocol.remove("turn/interrupt");
        protocol.set_field("turn/start", "params", "effort", "integer?");
        protocol.set_field("thread/start", "params", "mood", "string?");
    });
    let lacking = FakeCodex::start(script.version(NEWER))?;
    let fitting = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fitting).await?;
    let data = tempfile::tempdir()?;
    let data = data.path().to_str().unwrap_or_default();
    let of = |fake: &FakeCodex| fake.binary().display().to_string();

    let codex = of(&lacking);
    let doctor = [
        "doctor",
        "--codex-bin",
        &codex,
        "--data-dir",
        data,
        "--protocol",
    ];
    let output = gateway.command(&doctor).await?;
    assert_eq!(output.code, Some(1), "{}{}", output.out, output.err);
    for line in [
        "ok        turn/completed",
        "ok        rawResponse/completed",
        "missing   turn/interrupt",
        "retyped   turn/start params effort (is integer, where airlock sends string)",
        "added     thread/start params mood",
    ] {
        assert!(
            output.out.lines().any(|found| found == line),
            "no {line:?} in\n{}",
            output.out
        );
    }
    for words in [
        "No Codex lists rawResponse/completed and",
        "Codex 0.999.0 against 0.169.0",
        "does not fit",
    ] {
        assert!(
            output.out.contains(words),
            "no {words:?} in\n{}",
            output.out
        );
    }

    let output = gateway
        .command(&[&doctor[..], &["--json"]].concat())
        .await?;
    let report: Value = serde_json::from_str(&output.out)?;
    assert_eq!((output.code, &report["fits"]), (Some(1), &json!(false)));

    let output = gateway.command(&doctor[..5]).await?;
    let line = output.out.lines().find(|line| line.contains("protocol "));
    let line = line.unwrap_or_default();
    assert!(line.starts_with("fail  protocol"), "{}", output.out);
    assert!(line.contains("airlock codex install"), "{line}");

    let codex = of(&fitting);
    let doctor = [
        "doctor",
        "--codex-bin",
        &codex,
        "--data-dir",
        data,
        "--protocol",
    ];
    let output = gateway.command(&doctor).await?;
    assert_eq!(output.code, Some(0), "{}{}", output.out, output.err);
    assert!(
        output
            .out
            .contains("0 added, 0 missing or another: it fits"),
        "{}",
        output.out
    );
    Ok(())
}
