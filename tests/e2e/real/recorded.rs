//! The real Codex with a copy of its output for the test.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use airlock_tests::{Journal, programs};
use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::task::JoinSet;

/// The real Codex, and a journal of its output.
pub(super) struct RecordedCodex {
    codex: PathBuf,
    said: Journal<Value>,
    _folder: TempDir,
    _reader: JoinSet<()>,
}

impl RecordedCodex {
    /// Prepares the pipe that receives the copy.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pipe = folder.path().join("said");
        ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
        let from = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&pipe)?;
        let said = Journal::default();
        let mut reader = JoinSet::new();
        reader.spawn(read(from, said.clone()));

        let codex = folder.path().join("codex");
        let text = format!(
            "#!/bin/bash\n[ \"$1\" = app-server ] || exec '{0}' \"$@\"\nexec '{0}' \"$@\" > >(tee '{1}')\n",
            programs::real_codex()?.display(),
            pipe.display()
        );
        std::fs::write(&codex, text)?;
        std::fs::set_permissions(&codex, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            codex,
            said,
            _folder: folder,
            _reader: reader,
        })
    }

    /// The program to run as Codex.
    pub(super) fn program(&self) -> PathBuf {
        self.codex.clone()
    }

    /// Waits until Codex requests the result of a call.
    pub(super) async fn expect_call(&self) -> Result<()> {
        let is = |said: &Value| said["method"] == "item/tool/call";
        self.said.nth("a call", 0, is).await?;
        Ok(())
    }

    /// Waits until a call of a tool has a result, of the client or of Codex itself.
    pub(super) async fn expect_answered(&self) -> Result<()> {
        let is = |said: &Value| {
            said["method"] == "item/completed"
                && said["params"]["item"]["type"] == "dynamicToolCall"
        };
        self.said.nth("the answer to a call", 0, is).await?;
        Ok(())
    }

    /// Waits until Codex unloads a thread, and checks that the turn ran in it.
    pub(super) async fn expect_unloaded(&self) -> Result<()> {
        let closed = self.said.nth("a thread unloaded", 0, |said| {
            said["method"] == "thread/closed"
        });
        let closed = closed.await?;
        let started = self
            .said
            .nth("a turn", 0, |said| said["method"] == "turn/started");
        let started = started.await?;
        let thread = &started["params"]["threadId"];
        ensure!(thread.is_string(), "a turn of no thread: {started}");
        assert_eq!(&closed["params"]["threadId"], thread);
        Ok(())
    }

    /// The number of threads that Codex has started, by its responses to `thread/start`.
    fn started(&self) -> usize {
        self.said
            .count(|said| said["result"]["thread"]["id"].is_string())
    }

    /// Waits until `count` threads in all are unloaded, and checks that no more were started.
    pub(super) async fn expect_closed(&self, count: usize) -> Result<()> {
        let last = count.saturating_sub(1);
        let what = format!("{count} threads unloaded");
        let is = |said: &Value| said["method"] == "thread/closed";
        self.said.nth(&what, last, is).await?;
        assert_eq!((self.started(), self.said.count(is)), (count, count));
        Ok(())
    }
}

async fn read(from: pipe::Receiver, said: Journal<Value>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(message) = serde_json::from_str(&line) {
            said.record(message);
        }
    }
}
