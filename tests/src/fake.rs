//! The scripted Codex: processes that a test drives over a socket, and a journal of the messages that they received.

pub mod relay; // the process that the gateway starts
pub mod standalone; // a scripted Codex without a test

mod calls; // tool calls of a turn
mod connection; // the socket between a process and the test
mod engine; // the app-server's side of the protocol
mod history; // `thread/inject_items`
mod items; // messages and reasoning
mod notifier; // notifications that name their thread and turn
mod output; // the queue of written lines
mod plan; // the steps of a turn
mod player; // a running turn
mod schema; // the protocol's JSON schema
mod script; // scripted responses and turns
mod shapes; // Codex's JSON
mod threads; // threads, running turns and server requests
mod tools; // dynamic tools

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

pub use calls::CallResult;
pub use engine::{Engine, TurnRecords};
pub use output::{Output, OutputAction};
pub use plan::{TurnPlan, Usage};
pub use relay::Hello;
pub use schema::Protocol;
pub use script::{Script, ScriptedResponse};

use crate::{Journal, process, programs};
use connection::FakeState;

/// An event of a scripted Codex's processes.
#[derive(Clone, Debug)]
pub enum Event {
    /// The gateway started a process.
    Started(Hello),
    /// A process received this message. A line that is not JSON is recorded as a string.
    Received(Value),
    /// The input of a process was closed.
    Closed,
    /// A process exited.
    Ended {
        /// The process ID.
        pid: u32,
    },
}

/// A `codex` for the gateway to start, driven by this test.
#[derive(Debug)]
pub struct FakeCodex {
    folder: TempDir,
    state: FakeState,
    /// By kind, how many events the `expect` methods have returned.
    handed_out: Mutex<HashMap<String, usize>>,
    _tasks: JoinSet<()>,
}

impl FakeCodex {
    /// Starts listening for the processes that the gateway starts, each of which runs `script`.
    pub fn start(script: Script) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-fake-").tempdir()?;
        let socket = folder.path().join("control");
        let listener = UnixListener::bind(&socket)?;
        write_program(folder.path(), &socket, &script)?;
        let state = FakeState {
            script: Arc::new(Mutex::new(script)),
            journal: Journal::default(),
            records: TurnRecords::default(),
            latest: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(connection::accept(listener, state.clone()));
        Ok(Self {
            folder,
            state,
            handed_out: Mutex::default(),
            _tasks: tasks,
        })
    }

    /// Discards all further events, for runs of minutes under load.
    pub fn forget(&self) {
        self.state.journal.forget();
        self.state.records.endings.forget();
        self.state.records.results.forget();
    }

    /// The program that is the gateway's Codex.
    pub fn binary(&self) -> PathBuf {
        self.folder.path().join("codex")
    }

    /// The folder that the command line of each of its processes mentions.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the next request or notification of this method. Each call returns a later one.
    pub async fn expect(&self, method: &str) -> Result<Value> {
        let number = self.hand_out(method);
        let is = |event: &Event| matches!(event, Event::Received(message) if method_of(message) == Some(method));
        let what = format!("{method} number {}", number + 1);
        match self.state.journal.nth(&what, number, is).await? {
            Event::Received(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits for the next response to a server request. Each call returns a later one.
    pub async fn expect_answer(&self) -> Result<Value> {
        let number = self.hand_out("");
        let is = |event: &Event| matches!(event, Event::Received(message) if method_of(message).is_none());
        match self
            .state
            .journal
            .nth("a response to Codex's request", number, is)
            .await?
        {
            Event::Received(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits for the next process to start. Each call returns a later one.
    pub async fn expect_start(&self) -> Result<Hello> {
        let number = self.hand_out("(start)");
        match self
            .state
            .journal
            .nth("a Codex process", number, |event| {
                matches!(event, Event::Started(_))
            })
            .await?
        {
            Event::Started(hello) => Ok(hello),
            _ => anyhow::bail!("no process"),
        }
    }

    /// Waits until the process `pid` has exited.
    pub async fn expect_end(&self, pid: u32) -> Result<()> {
        let is = |event: &Event| matches!(event, Event::Ended { pid: ended } if *ended == pid);
        self.state
            .journal
            .nth("the end of a Codex process", 0, is)
            .await?;
        Ok(())
    }

    /// Every message of this method that was received so far.
    pub fn received(&self, method: &str) -> Vec<Value> {
        let messages = self
            .state
            .journal
            .all()
            .into_iter()
            .filter_map(|event| match event {
                Event::Received(message) if method_of(&message) == Some(method) => Some(message),
                _ => None,
            });
        messages.collect()
    }

    /// The number of processes started so far.
    pub fn starts(&self) -> usize {
        self.state
            .journal
            .count(|event| matches!(event, Event::Started(_)))
    }

    /// Waits for a `turn/start` that contains `needle`, and returns it.
    pub async fn expect_turn_containing(&self, needle: &str) -> Result<Value> {
        let is = |event: &Event| match event {
            Event::Received(message) => {
                method_of(message) == Some("turn/start") && message.to_string().contains(needle)
            }
            _ => false,
        };
        match self
            .state
            .journal
            .nth(&format!("a turn about {needle:?}"), 0, is)
            .await?
        {
            Event::Received(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits until `method` was received `count` times in all.
    pub async fn expect_count(&self, method: &str, count: usize) -> Result<()> {
        let is = |event: &Event| matches!(event, Event::Received(message) if method_of(message) == Some(method));
        if let Some(last) = count.checked_sub(1) {
            self.state
                .journal
                .nth(&format!("{count} times {method}"), last, is)
                .await?;
        }
        Ok(())
    }

    /// Waits until `count` turns in all have ended with this status: `completed`, `failed` or `interrupted`.
    pub async fn expect_endings(&self, status: &str, count: usize) -> Result<()> {
        if let Some(last) = count.checked_sub(1) {
            self.state
                .records
                .endings
                .nth(&format!("{count} turns {status}"), last, |ended| {
                    *ended == status
                })
                .await?;
        }
        Ok(())
    }

    /// Waits for the next result of a tool call, in order of arrival. Each call returns a later one.
    pub async fn expect_result(&self) -> Result<CallResult> {
        let number = self.hand_out("(result)");
        let results = &self.state.records.results;
        results.nth("the result of a call", number, |_| true).await
    }

    /// Every result of a tool call so far.
    pub fn results(&self) -> Vec<CallResult> {
        self.state.records.results.all()
    }

    /// Waits until every thread that was started so far is unsubscribed.
    pub async fn expect_threads_returned(&self) -> Result<()> {
        let count = self.received("thread/start").len();
        self.expect_count("thread/unsubscribe", count).await?;
        let returned = self.received("thread/unsubscribe").len();
        anyhow::ensure!(
            returned == count,
            "{returned} threads of {count} are unsubscribed"
        );
        Ok(())
    }

    /// Kills the process that started last, and waits until it has exited.
    pub async fn kill(&self) -> Result<()> {
        let (pid, _) = self.latest()?;
        process::signal(pid, rustix::process::Signal::KILL);
        self.expect_end(pid).await
    }

    fn latest(&self) -> Result<(u32, Output)> {
        let latest = self.state.latest.lock().clone();
        latest.context("no Codex process was started")
    }

    fn hand_out(&self, kind: &str) -> usize {
        let mut handed_out = self.handed_out.lock();
        let count = handed_out.entry(kind.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

fn method_of(message: &Value) -> Option<&str> {
    message.get("method").and_then(Value::as_str)
}

/// Writes the shell script that starts the program with its options: the gateway passes on neither options nor
/// environment of ours.
fn write_program(folder: &Path, socket: &Path, script: &Script) -> Result<()> {
    let program = programs::fake_codex()?;
    // A signal that the shell ignores stays ignored after `exec`.
    let (trap, stubborn) = if script.stubborn {
        ("trap '' TERM\n", " --stubborn")
    } else {
        ("", "")
    };
    let bundled = if script.bundled {
        ""
    } else {
        " --no-bundled-models"
    };
    let schema = match &script.protocol {
        None => " --no-schema".to_owned(),
        Some(protocol) if *protocol == Protocol::tested() => String::new(),
        Some(protocol) => {
            let file = folder.join("schema.json");
            fs::write(&file, protocol.schema().to_string())?;
            format!(" --schema '{}'", file.display())
        }
    };
    let text = format!(
        "#!/bin/sh\n{trap}exec '{}' --control '{}' --print-version '{}'{stubborn}{bundled}{schema} \"$@\"\n",
        program.display(),
        socket.display(),
        script.version
    );
    let file = folder.join("codex");
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
