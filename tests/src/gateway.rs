//! The gateway under test: the real program, in a temporary folder, checked for leftover processes.

mod builder; // starting a gateway
mod warm; // a cache of compiled policies

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

/// How long the gateway's child processes may outlive it.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// Timeout of a command, during which the gateway may compile a policy.
const COMMAND: Duration = Duration::from_secs(90);

/// Counts the requests that mark a position in a log.
static MARKS: AtomicUsize = AtomicUsize::new(0);

/// A running gateway. Dropping it kills the process, and checks that it left no child process behind.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pid: u32,
    address: SocketAddr,
    client: Client,
    output: CapturedOutput,
    /// Holds all of its files. The command line or environment of each of its processes mentions this path.
    folder: TempDir,
    data: PathBuf,
    _home: Option<CodexHome>,
    _readers: JoinSet<()>,
}

/// The output of a command.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The exit code, or `None` if a signal ended it.
    pub code: Option<i32>,
    /// The standard output of the command.
    pub out: String,
    /// The standard error of the command.
    pub err: String,
}

/// The gateway's standard output and log, line by line.
#[derive(Clone, Debug, Default)]
struct CapturedOutput {
    lines: Journal<String>,
    log: Journal<String>,
}

impl Gateway {
    /// A builder with the default configuration.
    pub fn with() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// A gateway whose Codex is `fake`.
    pub async fn over_fake(fake: &FakeCodex) -> Result<Self> {
        Self::with().over_fake(fake).await
    }

    /// A gateway over the real Codex, whose model is `model`. Codex does not retry.
    pub async fn over_real(model: &ScriptedModel) -> Result<Self> {
        Self::with().over_real(model).await
    }

    /// A client without a key.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The Codex home of the gateway.
    pub fn codex_home(&self) -> PathBuf {
        self.data.join("codex-home")
    }

    /// The data directory of the gateway.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Runs a subcommand of the gateway's program, with the same configuration file and this gateway's address.
    pub async fn command(&self, arguments: &[&str]) -> Result<CommandOutput> {
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
        Ok(CommandOutput {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A client of its admin routes. The gateway must have been started with `administered`.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.client)
    }

    /// The folder of policy files.
    pub fn policies_folder(&self) -> PathBuf {
        self.data.join("policies")
    }

    /// The process ID of the gateway.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The gateway's log so far. Log lines are written asynchronously but in order, so a request with a unique path is sent first,
    /// and its line awaited.
    pub async fn log(&self) -> Result<String> {
        let mark = format!("/mark-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        self.client.get(&mark).await?;
        self.logged(&format!("{mark}\"")).await?;
        Ok(self.output.log.all().join("\n"))
    }

    /// The log lines read so far. Works for a gateway that has exited, too.
    pub fn log_lines(&self) -> Vec<String> {
        self.output.log.all()
    }

    /// The lines of its standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.all()
    }

    /// Waits for a log line that contains `needle`, and returns it.
    pub async fn logged(&self, needle: &str) -> Result<String> {
        self.output
            .log
            .nth(&format!("a log line with {needle:?}"), 0, |line| {
                line.contains(needle)
            })
            .await
    }

    /// The processes that belong to it, without its own.
    pub fn processes(&self) -> Vec<Process> {
        let mut all = process::mentioning(self.folder.path());
        all.retain(|process| process.pid != self.pid);
        all
    }

    /// Kills each `codex app-server`. Processes that report a version or schema go on: without their output the gateway
    /// would have no Codex to run.
    pub fn kill_children(&self) {
        self.children().iter().for_each(Process::kill);
    }

    /// Each `codex app-server` of the gateway.
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

    /// Waits until it has exited.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(soon("the end of the gateway", self.child.wait()).await??)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let processes = self.processes();
        // It may have exited already.
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

/// Kills the processes that outlive their gateway, and returns their command lines.
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
    reason = "the test runner reports the standard error of a failed test"
)]
fn show(log: &Journal<String>) {
    for line in log.all() {
        eprintln!("gateway: {line}");
    }
}
