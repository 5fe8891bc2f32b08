//! Coding agents as clients, with tools that they run: Claude Code by the Messages API, and Codex itself by the Responses
//! API.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, programs, within};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{KEY, succeeded};

/// Timeout of an agent's run, which waits for seconds before it repeats a request.
const RUN: Duration = Duration::from_secs(60);

/// A gateway over the real Codex for an agent.
async fn gateway(model: &ScriptedModel) -> Result<Gateway> {
    let gateway = Gateway::with().environment("AIRLOCK_API_KEY", KEY);
    gateway.over_real(model).await
}

/// The folder of an agent: `work` is where it works.
fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("airlock-agent-")
        .tempdir()?;
    fs::create_dir(folder.path().join("work"))?;
    Ok(folder)
}

/// A program in this folder, which knows nothing of this machine.
fn agent(program: &Path, folder: &TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", programs::search_path())
        .env("HOME", folder.path())
        .env("NO_PROXY", "*")
        .current_dir(folder.path().join("work"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ended(command: &mut Command) -> Result<Output> {
    let output = within(RUN, "the agent's end", command.output()).await??;
    let printed = output.clone();
    succeeded(output)?;
    Ok(printed)
}

/// Runs Claude Code with this prompt, and returns its report.
async fn claude(prompt: &str, gateway: &Gateway, folder: &TempDir) -> Result<Value> {
    programs::tool("claude/stamp")?;
    let program = programs::tool("claude/node_modules/.bin/claude")?;
    let mut command = agent(&program, folder);
    command
        .args(["-p", prompt, "--model", "gpt-5.5", "--allowedTools", "Bash"])
        .args(["--output-format", "json"])
        .env("ANTHROPIC_BASE_URL", gateway.client().base())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    let output = ended(&mut command).await?;
    serde_json::from_slice(&output.stdout).context("the report is not JSON")
}

/// Checks Claude Code's report: this answer, after this many of its turns.
fn reported(report: &Value, result: &str, turns: u64) {
    let seen = (&report["is_error"], &report["result"], &report["num_turns"]);
    assert_eq!(
        seen,
        (&json!(false), &json!(result), &json!(turns)),
        "{report}"
    );
}

/// A call of Claude Code's shell.
fn bash(id: &str, command: &str) -> ModelAnswer {
    let arguments = json!({"command": command, "description": "Works"}).to_string();
    ModelAnswer::new().call(id, "Bash", arguments)
}

#[tokio::test]
async fn claude_code_works_with_a_tool() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let steps = [
        bash("call_write", "echo of the shell > note.txt"),
        bash("call_read", "cat note.txt"),
        ModelAnswer::words("The note is of the shell."),
    ];
    model.rounds("write a note", steps);
    let (gateway, folder) = (gateway(&model).await?, folder()?);
    let report = claude("write a note", &gateway, &folder).await?;
    reported(&report, "The note is of the shell.", 3);
    assert_eq!(
        fs::read_to_string(folder.path().join("work/note.txt"))?,
        "of the shell\n"
    );
    let calls = model.calls();
    assert_eq!(calls.len(), 3, "each request once");
    let brought = calls[2].brought();
    assert_eq!(
        brought,
        [("call_read".to_owned(), "of the shell".to_owned())]
    );
    let threads: Vec<_> = calls.iter().map(|call| call.header("thread-id")).collect();
    assert_eq!(threads, [threads[0]; 3], "the turn resumes");
    Ok(())
}

#[tokio::test]
async fn claude_code_counts_its_context_without_a_turn() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let (gateway, folder) = (gateway(&model).await?, folder()?);
    let report = claude("/context", &gateway, &folder).await?;
    let result = report["result"].as_str().context("no result")?;
    ensure!(
        result.contains("gpt-5.5") && result.contains("| Messages |"),
        "{result}"
    );
    assert_eq!(model.calls().len(), 0);
    Ok(())
}

/// Checks that Claude Code asks again after this failure.
async fn claude_repeats(failure: ModelAnswer) -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(failure);
    model.otherwise(ModelAnswer::words("All is well."));
    let (gateway, folder) = (gateway(&model).await?, folder()?);
    let report = claude("how are you?", &gateway, &folder).await?;
    reported(&report, "All is well.", 1);
    assert_eq!(model.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn claude_code_repeats_a_request_that_found_no_capacity() -> Result<()> {
    claude_repeats(ModelAnswer::new().failed("server_is_overloaded")).await
}

/// After a stream that broke it asks without streaming.
#[tokio::test]
async fn claude_code_repeats_a_request_whose_stream_broke() -> Result<()> {
    claude_repeats(ModelAnswer::new().text("word").failed("server_error")).await
}

/// Runs Codex with this prompt, and returns its events.
async fn codex(prompt: &str, gateway: &Gateway, folder: &TempDir) -> Result<Vec<Value>> {
    let base = gateway.client().base();
    let settings = format!(
        r#"model = "gpt-5.5"
model_provider = "airlock"

[model_providers.airlock]
name = "Airlock"
base_url = "{base}/v1"
wire_api = "responses"
env_key = "AIRLOCK_KEY"
request_max_retries = 0
stream_max_retries = 0
"#
    );
    fs::write(folder.path().join("config.toml"), settings)?;
    let mut command = agent(&programs::real_codex()?, folder);
    command
        .args(["exec", "--json", "--skip-git-repo-check"])
        .args(["--dangerously-bypass-approvals-and-sandbox", prompt])
        .env("CODEX_HOME", folder.path())
        .env("AIRLOCK_KEY", KEY);
    let output = ended(&mut command).await?;
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    Ok(lines.collect::<Result<Vec<_>, _>>()?)
}

/// The completed items of Codex's events, each with its type and the member that tells it.
fn completed(events: &[Value]) -> Vec<(&str, &Value)> {
    let items = events
        .iter()
        .filter(|event| event["type"] == "item.completed")
        .map(|event| &event["item"]);
    items
        .map(|item| {
            let kind = item["type"].as_str().unwrap_or_default();
            let member = match kind {
                "command_execution" => &item["aggregated_output"],
                "agent_message" | "reasoning" => &item["text"],
                _ => &item["status"],
            };
            (kind, member)
        })
        .collect()
}

#[tokio::test]
async fn codex_works_with_its_tools() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let patch = "*** Begin Patch\n*** Add File: note.txt\n+of the patch\n*** End Patch";
    let new = ModelAnswer::new;
    let steps = [
        // A tool whose input is any text, which the model knows as a function.
        new().call(
            "call_patch",
            "apply_patch",
            json!({"input": patch}).to_string(),
        ),
        // The inner Codex has a tool of this name too, so the model knows the client's by another.
        new().call(
            "call_read",
            "exec_command_aa6e9988",
            r#"{"cmd":"cat note.txt"}"#,
        ),
        ModelAnswer::words("The note is of the patch."),
    ];
    model.rounds("write a note", steps);
    let (gateway, folder) = (gateway(&model).await?, folder()?);
    let events = codex("write a note", &gateway, &folder).await?;
    let expected = [
        ("file_change", &json!("completed")),
        ("command_execution", &json!("of the patch\n")),
        ("agent_message", &json!("The note is of the patch.")),
    ];
    assert_eq!(completed(&events), expected, "{events:#?}");
    assert_eq!(
        fs::read_to_string(folder.path().join("work/note.txt"))?,
        "of the patch\n"
    );
    let calls = model.calls();
    assert_eq!(calls.len(), 3, "each request once");
    let threads: Vec<_> = calls.iter().map(|call| call.header("thread-id")).collect();
    assert_eq!(threads, [threads[0]; 3], "the turn resumes");
    Ok(())
}
