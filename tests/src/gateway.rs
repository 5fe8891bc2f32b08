//! The gateway under test: the real program, in folders of its own, with nothing left behind.

mod builder; // how it is started
mod warm; // what it need not compile

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

pub use builder::GatewayBuilder;

use crate::process::{self, Process};
use crate::{Admin, Client, CodexHome, FakeCodex, Journal, ScriptedModel, programs, soon, within};

/// How long what the gateway started may outlive it.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// How long a command may take: it may have the gateway compile a policy.
const COMMAND: Duration = Duration::from_secs(90);

/// Requests that mark a place in a log.
static MARKS: AtomicUsize = AtomicUsize::new(0);

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
    data: PathBuf,
    _home: Option<CodexHome>,
    _readers: JoinSet<()>,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code. None: a signal.
    pub code: Option<i32>,
    /// Everything that it wrote to its standard output.
    pub out: String,
    /// Likewise for its standard error.
    pub err: String,
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
        self.data.join("codex-home")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Runs another command of the same program, with the same configuration file and the address of this gateway.
    pub async fn command(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new(programs::airlock()?);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("airlock.toml"))
            .args(["--listen", &self.address.to_string()])
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env("USER", "tester")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = within(COMMAND, "the end of a command", command.output()).await??;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Its operator: it must have been started with `administered`.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.client)
    }

    /// The folder that operators put policies into.
    pub fn policies_folder(&self) -> PathBuf {
        self.data.join("policies")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything that it logged so far. It writes its log a moment after it has said something, and in order: so it is asked
    /// for something whose line shows that all before it is there.
    pub async fn log(&self) -> Result<String> {
        let mark = format!("/mark-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        self.client.get(&mark).await?;
        self.logged(&format!("{mark}\"")).await?;
        Ok(self.output.log.all().join("\n"))
    }

    /// Every line that it logged so far, also of a gateway that has ended.
    pub fn log_lines(&self) -> Vec<String> {
        self.output.log.all()
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

    /// Kills each Codex that serves, or is about to. One that is asked what it is goes on: without an answer there would
    /// be no Codex to run.
    pub fn kill_children(&self) {
        self.children().iter().for_each(Process::kill);
    }

    /// Each Codex that serves, or is about to.
    pub fn children(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|process| {
            let command = &process.command;
            command.contains("app-server") && !command.contains("generate-")
        });
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
