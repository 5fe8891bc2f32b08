//! Processes that a killed gateway has left: the next gateway ends them, and no others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use airlock_tests::process::Process;
use airlock_tests::{FakeCodex, Gateway, GatewayBuilder, Script};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;

/// The number of gateways that are killed.
const TIMES: usize = 10;

/// How long the children of a killed gateway may outlive it.
const AFTERLIFE: Duration = Duration::from_secs(5);

/// A Codex that leaves behind a process, which does not end with its parent.
fn untidy(folder: &Path, codex: &Path) -> Result<std::path::PathBuf> {
    let path = folder.join("codex");
    let left = folder.join("left");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *app-server*) sleep 600 < /dev/null > /dev/null 2>&1 & echo $! >> '{}' ;; esac\nexec '{}' \"$@\"\n",
        left.display(),
        codex.display(),
    );
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The processes that were left so far.
fn left(folder: &Path) -> Result<Vec<u32>> {
    let text = fs::read_to_string(folder.join("left"))?;
    Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// A gateway with one child, so that it leaves no other process once it serves.
fn alone(data: &Path) -> GatewayBuilder {
    Gateway::with()
        .data_dir(data)
        .environment("AIRLOCK_FLEET_SPARE", "false")
}

#[tokio::test]
async fn what_killed_gateways_left_is_ended_at_the_next_start_and_nothing_else_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text("here").hang()))?;
    let codex = untidy(folder.path(), &fake.binary())?;
    // A user's own Codex, which must survive.
    let mut decoy = Command::new(codex)
        .arg("app-server")
        .env("CODEX_HOME", &data)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    fake.expect_start().await?;
    let decoys = left(folder.path())?;
    for _ in 0..TIMES {
        let before = left(folder.path())?.len();
        let mut gateway = alone(&data).over(folder.path().join("codex")).await?;
        let mut stream = gateway.client().stream(json!({})).await?;
        ensure!(stream.next_text().await? == "here");
        let processes: Vec<Process> = left(folder.path())?
            .into_iter()
            .skip(before)
            .filter_map(Process::open)
            .collect();
        ensure!(!processes.is_empty(), "the child left nothing");
        gateway.signal(Signal::KILL);
        gateway.ended().await?;
        // Its direct children ended with it. Their own children live on.
        ensure!(
            processes
                .iter()
                .all(|process| !process.ended_within(Duration::ZERO).unwrap_or(true))
        );
        let next = alone(&data).over(folder.path().join("codex")).await?;
        let _stream = next.client().stream(json!({})).await?;
        for process in processes {
            ensure!(
                process.ended_within(AFTERLIFE)?,
                "{} is still there",
                process.command
            );
        }
        let log = next.log().await?;
        ensure!(log.contains("an earlier gateway has left"), "{log}");
        // The process of this gateway's child is left to the test to end.
        for pid in left(folder.path())?
            .into_iter()
            .filter(|pid| !decoys.contains(pid))
        {
            if let Some(process) = Process::open(pid) {
                process.kill();
            }
        }
    }
    ensure!(
        decoy.try_wait()?.is_none(),
        "somebody else's Codex was ended"
    );
    for pid in decoys {
        Process::open(pid)
            .context("what somebody else's Codex had started was ended")?
            .kill();
    }
    decoy.kill()?;
    decoy.wait()?;
    Ok(())
}
