//! The example client: its output for a fan-out, in a pipe and on a terminal, and what Ctrl-C does.

use std::process::Stdio;

use airlock_tests::{FakeCodex, Gateway, Script, angle, process, programs, soon};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tokio::process::Command;

/// Runs the client on a pseudoterminal, and returns its output.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// The command that asks this gateway a question, started by these programs and arguments.
fn asking(before: &[&str], gateway: &Gateway) -> Result<Command> {
    let python = programs::tool("python/bin/python")?;
    let mut command = Command::new(&python);
    command.args(before);
    if !before.is_empty() {
        command.arg(&python);
    }
    command
        .arg(programs::workspace().join("tests/demo/tabs.py"))
        .args(["--url", gateway.client().base()])
        .args((1..=3).flat_map(|candidate| ["--hint".to_owned(), angle(candidate)]))
        .arg("What is an airlock?")
        .env("COLUMNS", "60")
        .env("LINES", "24")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

fn script() -> Script {
    Script::new()
        .when("a draft", |turn| {
            turn.text("Two ").text("doors.\n\u{1b}[2J")
        })
        .when_instructed(&angle(2), |turn| turn.fail("rateLimitExceeded", "no"))
        .every_turn(|turn| turn.text("a draft\n").text("of two lines"))
}

#[tokio::test]
async fn in_a_pipe_the_candidates_are_lines_beside_the_answer() -> Result<()> {
    let fake = FakeCodex::start(script())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let output = soon("its end", asking(&[], &gateway)?.output()).await??;
    let (said, beside) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    assert!(output.status.success(), "{beside}");
    assert_eq!(said, "Two doors.\n [2J\n", "no model moves the cursor");
    let lines: Vec<_> = beside.lines().collect();
    for expected in [
        "[1] | a draft",
        "[1] | of two lines",
        "[1] done, 2 tokens",
        "[3] done, 2 tokens",
        "(merge)",
    ] {
        assert!(lines.contains(&expected), "{expected}: {beside}");
    }
    assert!(beside.contains("[2] failed: "), "{beside}");
    Ok(())
}

#[tokio::test]
async fn on_a_terminal_each_candidate_has_a_line_of_its_own() -> Result<()> {
    let fake = FakeCodex::start(script())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let output = soon(
        "its end",
        asking(&["-c", ON_A_TERMINAL], &gateway)?.output(),
    )
    .await??;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}");
    // The last drawing of the three candidates, and the answer below it.
    let (_, last) = said.rsplit_once("\u{1b}[3A").context("nothing was drawn")?;
    let lines: Vec<_> = last
        .lines()
        .map(|line| line.replace("\r\u{1b}[K", ""))
        .collect();
    assert_eq!(lines[0], " 1 \u{2713} a draft of two lines", "{lines:?}");
    assert!(lines[1].starts_with(" 2 \u{2717} "), "{lines:?}");
    assert_eq!(lines[2], " 3 \u{2713} a draft of two lines");
    assert_eq!(lines[4], "Two doors.", "{lines:?}");
    Ok(())
}

#[tokio::test]
async fn control_c_leaves_and_stops_every_turn() -> Result<()> {
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text("Hel").hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let child = asking(&[], &gateway)?.spawn()?;
    let pid = child.id().context("it has ended")?;
    fake.expect_count("turn/start", 3).await?;
    process::signal(pid, Signal::INT);
    let output = soon("its end", child.wait_with_output()).await??;
    let beside = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(130), "{beside}");
    assert!(!beside.contains("Traceback"), "{beside}");
    fake.expect_endings("interrupted", 3).await
}

#[tokio::test]
async fn a_refusal_is_printed_and_help_explains() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut refused = asking(&[], &gateway)?;
    let output = soon("its end", refused.args(["-n", "21"]).output()).await??;
    let beside = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{beside}");
    assert!(beside.contains("parallel_calls"), "{beside}");
    let help = soon("its end", asking(&[], &gateway)?.arg("--help").output()).await??;
    ensure!(help.status.success());
    let help = String::from_utf8(help.stdout)?;
    assert!(
        help.contains("--synthesis") && help.contains("examples:"),
        "{help}"
    );
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}
