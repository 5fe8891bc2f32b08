//! The official packages, unmodified: whole and streamed responses, and errors as their exception classes.

mod inputs; // unusual requests, down to the model
mod tools; // the packages' helpers for functions

use std::path::PathBuf;
use std::process::{Output, Stdio};

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, programs, soon};
use anyhow::{Result, ensure};
use serde_json::json;
use tokio::process::Command;

const KEY: &str = "sk-airlock-for-the-packages";

/// The model's answers to the scripts.
fn script(gate: &Gate) -> Script {
    Script::new()
        .when("limited", |turn| turn.fail("rateLimitExceeded", "no"))
        .when("spent", |turn| turn.fail("usageLimitExceeded", "no"))
        .when("broken", |turn| turn.fail("internalServerError", "no"))
        .when("crowded", |turn| turn.fail("serverOverloaded", "no"))
        .when("too long", |turn| turn.fail("contextWindowExceeded", "no"))
        .when("break off", |turn| turn.text("word").fail("other", "no"))
        .when("as json", |turn| turn.text("{\"answer\"").text(": 4}"))
        .when("for ever", |turn| turn.text("word").hang())
        .when("slowly", |turn| {
            turn.text("before ").hold(gate).text("after")
        })
}

async fn run(program: PathBuf, arguments: &[&str]) -> Result<(FakeCodex, Gateway)> {
    let gate = Gate::new();
    let fake = FakeCodex::start(script(&gate))?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .settings("[limits]\nheartbeat = \"10ms\"")
        .over_fake(&fake)
        .await?;
    let mut command = asking(program, arguments, &gateway);
    // The scripts' stream has heartbeats once another stream, just as silent, has had some.
    let opening = async {
        fake.expect_turn_containing("slowly").await?;
        let messages = json!([{"role": "user", "content": "slowly, too"}]);
        let client = gateway.client().with_key(KEY);
        let mut beside = client.stream(json!({"messages": messages})).await?;
        beside.next_text().await?;
        for _ in 0..5 {
            ensure!(matches!(beside.next().await?, Some(Frame::Comment(_))));
        }
        gate.open();
        beside.text().await
    };
    let (output, opened) = soon("the script's end", async {
        tokio::join!(command.output(), opening)
    })
    .await?;
    succeeded(output?)?;
    opened?;
    Ok((fake, gateway))
}

/// A script with this gateway as its base URL.
fn asking(program: PathBuf, arguments: &[&str], gateway: &Gateway) -> Command {
    let base = format!("{}/v1", gateway.client().base());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args([base.as_str(), KEY])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // A proxy of this machine must not come between.
    command
        .env("NO_PROXY", "*")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
    command
}

fn succeeded(output: Output) -> Result<()> {
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

#[tokio::test]
async fn the_python_package_cannot_tell_it_from_openai() -> Result<()> {
    let python = programs::tool("python/bin/python")?;
    programs::tool("python/stamp")?;
    let file = programs::workspace().join("tests/sdk/chat.py");
    run(python, &[&file.to_string_lossy()]).await?;
    Ok(())
}

#[tokio::test]
async fn the_python_package_reads_a_fan_out_as_one_answer() -> Result<()> {
    let python = programs::tool("python/bin/python")?;
    programs::tool("python/stamp")?;
    let file = programs::workspace().join("tests/sdk/fan_out.py");
    let script = Script::new()
        .when("a draft", |turn| turn.text("the one ").text("answer"))
        .every_turn(|turn| turn.text("a ").text("draft"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .over_fake(&fake)
        .await?;
    let mut command = asking(python, &[&file.to_string_lossy()], &gateway);
    succeeded(soon("the script's end", command.output()).await??)?;
    // Twenty, twenty and three candidates, and a synthesis of each.
    assert_eq!(fake.received("turn/start").len(), 46);
    Ok(())
}

#[tokio::test]
async fn the_node_package_cannot_tell_it_from_openai() -> Result<()> {
    programs::tool("node/stamp")?;
    let package = programs::tool("node")?;
    let file = programs::workspace().join("tests/sdk/chat.mjs");
    let arguments = [&*file.to_string_lossy(), &*package.to_string_lossy()].map(str::to_owned);
    let (fake, _gateway) = run(
        PathBuf::from("node"),
        &arguments.each_ref().map(String::as_str),
    )
    .await?;
    fake.expect_endings("interrupted", 1).await
}
