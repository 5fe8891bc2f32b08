//! The official packages, frameworks and coding agents, unmodified: whole and streamed responses, and errors as their
//! exception classes.

mod agents; // Claude Code and Codex
mod dialects; // the Responses API and the Messages API
mod inputs; // unusual requests, down to the model
mod scripted; // the model's answers
mod tools; // the packages' helpers for functions

use std::process::{Output, Stdio};

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, programs, soon};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

const KEY: &str = "sk-airlock-for-the-packages";

/// Codex's answers to the scripts of chat completions.
fn turns(gate: &Gate) -> Script {
    Script::new()
        .when("limited", |turn| turn.fail("rateLimitExceeded", "no"))
        .when("spent", |turn| turn.fail("usageLimitExceeded", "no"))
        .when("broken", |turn| turn.fail("internalServerError", "no"))
        .when("crowded", |turn| turn.fail("serverOverloaded", "no"))
        .when("too long", |turn| turn.fail("contextWindowExceeded", "no"))
        .when("break off", |turn| turn.text("word").fail("other", "no"))
        .when("as json", |turn| turn.text("{\"answer\"").text(": 4}"))
        .when("for ever", |turn| turn.text("word").hang())
        .when("on and on", |turn| {
            turn.text("one ST").text("OP two").hang()
        })
        .when("slowly", |turn| {
            turn.text("before ").hold(gate).text("after")
        })
}

async fn run(name: &str) -> Result<(FakeCodex, Gateway)> {
    let gate = Gate::new();
    let fake = FakeCodex::start(turns(&gate))?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .settings("[limits]\nheartbeat = \"10ms\"")
        .over_fake(&fake)
        .await?;
    let mut command = script(name, &[], &gateway)?;
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

/// A script of `tests/sdk`, with this gateway as its base URL.
fn script(name: &str, arguments: &[&str], gateway: &Gateway) -> Result<Command> {
    let file = programs::workspace().join("tests/sdk").join(name);
    let mut command = if name.ends_with(".py") {
        programs::tool("python/stamp")?;
        let mut python = Command::new(programs::tool("python/bin/python")?);
        python.arg(file);
        python
    } else {
        programs::tool("node/stamp")?;
        let mut node = Command::new("node");
        node.arg(file).arg(programs::tool("node")?);
        node
    };
    let base = format!("{}/v1", gateway.client().base());
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
    Ok(command)
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
    let (fake, _gateway) = run("chat.py").await?;
    let threads = fake.received("thread/start");
    let brief = |thread: &&Value| thread["params"]["config"]["model_verbosity"] == "low";
    assert_eq!(threads.iter().filter(brief).count(), 1);
    // A turn that is stopped ends, though the model goes on.
    fake.expect_endings("interrupted", 4).await
}

#[tokio::test]
async fn the_python_package_reads_a_fan_out_as_one_answer() -> Result<()> {
    let turns = Script::new()
        .when("a draft", |turn| turn.text("the one ").text("answer"))
        .every_turn(|turn| turn.text("a ").text("draft"));
    let fake = FakeCodex::start(turns)?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .over_fake(&fake)
        .await?;
    let mut command = script("fan_out.py", &[], &gateway)?;
    succeeded(soon("the script's end", command.output()).await??)?;
    // Twenty, twenty and three candidates, and a synthesis of each.
    assert_eq!(fake.received("turn/start").len(), 46);
    Ok(())
}

#[tokio::test]
async fn the_node_package_cannot_tell_it_from_openai() -> Result<()> {
    let (fake, _gateway) = run("chat.mjs").await?;
    // Two turns that are stopped, and one whose client leaves.
    fake.expect_endings("interrupted", 3).await
}
