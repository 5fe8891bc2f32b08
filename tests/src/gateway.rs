//! The gateway under test: the real program, in folders of its own, with nothing left behind.

mod builder; // how it is started

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::task::JoinSet;

pub use builder::GatewayBuilder;

use crate::process::{self, Process};
use crate::{Client, CodexHome, FakeCodex, Journal, ScriptedModel, soon};

/// How long what the gateway started may outlive it.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// A running gateway. Dropping it kills it, and checks that it left no process behind.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pid: u32,
    address: SocketAddr,
    client: Client,
    output: Output,
    /// All of its files are here, and all of its processes mention it.
    folder: TempDir,
    _home: Option<CodexHome>,
    _readers: JoinSet<()>,
}

/// What it wrote, line by line.
#[derive(Clone, Debug, Default)]
struct Output {
    lines: Journal<String>,
    log: Journal<String>,
}

impl Gateway {
    /// A gateway as it comes, to be changed before it starts.
    pub fn with() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// A gateway whose Codex is `fake`.
    pub async fn over_fake(fake: &FakeCodex) -> Result<Self> {
        Self::with().over_fake(fake).await
    }

    /// A gateway over the real Codex, whose model is `model`. Codex does not try again by itself.
    pub async fn over_real(model: &ScriptedModel) -> Result<Self> {
        Self::with().over_real(model).await
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The Codex home that it wrote.
    pub fn codex_home(&self) -> PathBuf {
        self.folder.path().join("data/codex-home")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything that it logged so far.
    pub fn log(&self) -> String {
        self.output.log.all().join("\n")
    }

    /// Every line that it wrote to its standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.all()
    }

    /// Waits until it logs a line that contains `needle`.
    pub async fn logged(&self, needle: &str) -> Result<String> {
        self.output
            .log
            .nth(&format!("a log line with {needle:?}"), 0, |line| {
                line.contains(needle)
            })
            .await
    }

    /// The processes that belong to it, itself excepted.
    pub fn processes(&self) -> Vec<Process> {
        let mut all = process::mentioning(self.folder.path());
        all.retain(|process| process.pid != self.pid);
        all
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid, signal);
    }

    /// Waits until it has ended by itself or by a signal.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(soon("the end of the gateway", self.child.wait()).await??)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let processes = self.processes();
        // It may have ended already.
        let _ = self.child.start_kill();
        let left = outliving(processes);
        // The test runner shows this only for a test that fails.
        show(&self.output.log);
        assert!(
            left.is_empty() || std::thread::panicking(),
            "the gateway left these processes behind: {left:?}"
        );
    }
}

/// Kills those processes that outlive their gateway, and names them.
fn outliving(processes: Vec<Process>) -> Vec<String> {
    let ended = |process: &Process| process.ended_within(AFTERLIFE).unwrap_or(false);
    let left = processes.into_iter().filter(|process| !ended(process));
    left.map(|process| {
        process.kill();
        process.command
    })
    .collect()
}

#[expect(
    clippy::print_stderr,
    reason = "the only way to the report of a test that fails"
)]
fn show(log: &Journal<String>) {
    for line in log.all() {
        eprintln!("gateway: {line}");
    }
}
