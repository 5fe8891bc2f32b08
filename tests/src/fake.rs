//! The fake Codex: processes that a test plays live, and the journal of what the gateway told them.

pub mod relay; // the process that the gateway starts
pub mod standalone; // the same without a test

mod calls; // what the model asks of the client
mod connection; // one process's line to the test
mod engine; // the app-server's side of the protocol
mod history; // what is injected
mod items; // messages and reasoning
mod output; // what is written
mod plan; // what a turn does
mod player; // a turn
mod schema; // what it tells of its protocol
mod script; // what is answered
mod shapes; // Codex's JSON
mod teller; // whose it is
mod threads; // what is loaded and runs
mod tools; // those that a client brings

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

pub use calls::CallResult;
pub use engine::{Engine, Records};
pub use output::{Out, Output};
pub use plan::{TurnPlan, Usage};
pub use relay::Hello;
pub use schema::Protocol;
pub use script::{Answer, Script};

use crate::{Journal, process, programs};
use connection::Shared;

/// What happened to the processes of a fake Codex.
#[derive(Clone, Debug)]
pub enum Event {
    /// The gateway started one.
    Started(Hello),
    /// It was told this. What is no JSON is recorded as a string.
    Told(Value),
    /// Its input was closed.
    Closed,
    /// It is gone.
    Ended {
        /// Its number.
        pid: u32,
    },
}

/// A `codex` for the gateway to start, played by this test.
#[derive(Debug)]
pub struct FakeCodex {
    folder: TempDir,
    shared: Shared,
    /// How many of each kind `expect` has handed out.
    handed_out: Mutex<HashMap<String, usize>>,
    _tasks: JoinSet<()>,
}

impl FakeCodex {
    /// Gets ready to play `script` in every process that the gateway starts.
    pub fn start(script: Script) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-fake-").tempdir()?;
        let socket = folder.path().join("control");
        let listener = UnixListener::bind(&socket)?;
        write_program(folder.path(), &socket, &script)?;
        let shared = Shared {
            script: Arc::new(Mutex::new(script)),
            journal: Journal::default(),
            records: Records::default(),
            latest: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(connection::accept(listener, shared.clone()));
        Ok(Self {
            folder,
            shared,
            handed_out: Mutex::default(),
            _tasks: tasks,
        })
    }

    /// Keeps nothing of what happens from now on: for minutes under load.
    pub fn forget(&self) {
        self.shared.journal.forget();
        self.shared.records.endings.forget();
        self.shared.records.results.forget();
    }

    /// The program to give to the gateway as its Codex.
    pub fn binary(&self) -> PathBuf {
        self.folder.path().join("codex")
    }

    /// The folder that every process of this fake mentions in its command line.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the next request or notification of this method that was not handed out before.
    pub async fn expect(&self, method: &str) -> Result<Value> {
        let number = self.hand_out(method);
        let is = |event: &Event| matches!(event, Event::Told(message) if method_of(message) == Some(method));
        let what = format!("{method} number {}", number + 1);
        match self.shared.journal.nth(&what, number, is).await? {
            Event::Told(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits for the next answer to a request of ours that was not handed out before.
    pub async fn expect_answer(&self) -> Result<Value> {
        let number = self.hand_out("");
        let is =
            |event: &Event| matches!(event, Event::Told(message) if method_of(message).is_none());
        match self
            .shared
            .journal
            .nth("an answer to Codex's request", number, is)
            .await?
        {
            Event::Told(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits for the next process that was not handed out before.
    pub async fn expect_start(&self) -> Result<Hello> {
        let number = self.hand_out("(start)");
        match self
            .shared
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

    /// Waits until the process `pid` is gone.
    pub async fn expect_end(&self, pid: u32) -> Result<()> {
        let is = |event: &Event| matches!(event, Event::Ended { pid: ended } if *ended == pid);
        self.shared
            .journal
            .nth("the end of a Codex process", 0, is)
            .await?;
        Ok(())
    }

    /// Every message of this method so far.
    pub fn told(&self, method: &str) -> Vec<Value> {
        let messages = self
            .shared
            .journal
            .all()
            .into_iter()
            .filter_map(|event| match event {
                Event::Told(message) if method_of(&message) == Some(method) => Some(message),
                _ => None,
            });
        messages.collect()
    }

    /// How many processes were started so far.
    pub fn starts(&self) -> usize {
        self.shared
            .journal
            .count(|event| matches!(event, Event::Started(_)))
    }

    /// Waits for a turn whose input contains `needle`.
    pub async fn expect_asked(&self, needle: &str) -> Result<Value> {
        let is = |event: &Event| match event {
            Event::Told(message) => {
                method_of(message) == Some("turn/start") && message.to_string().contains(needle)
            }
            _ => false,
        };
        match self
            .shared
            .journal
            .nth(&format!("a turn about {needle:?}"), 0, is)
            .await?
        {
            Event::Told(message) => Ok(message),
            _ => Ok(Value::Null),
        }
    }

    /// Waits until `method` was told `count` times in all.
    pub async fn expect_count(&self, method: &str, count: usize) -> Result<()> {
        let is = |event: &Event| matches!(event, Event::Told(message) if method_of(message) == Some(method));
        if let Some(last) = count.checked_sub(1) {
            self.shared
                .journal
                .nth(&format!("{count} times {method}"), last, is)
                .await?;
        }
        Ok(())
    }

    /// Waits until `count` turns in all ended this way: `completed`, `failed` or `interrupted`.
    pub async fn expect_endings(&self, status: &str, count: usize) -> Result<()> {
        if let Some(last) = count.checked_sub(1) {
            self.shared
                .records
                .endings
                .nth(&format!("{count} turns {status}"), last, |ended| {
                    *ended == status
                })
                .await?;
        }
        Ok(())
    }

    /// Waits for the next result of a call, in the order in which they came, that was not handed out before.
    pub async fn expect_result(&self) -> Result<CallResult> {
        let number = self.hand_out("(result)");
        let results = &self.shared.records.results;
        results.nth("the result of a call", number, |_| true).await
    }

    /// Every result of a call so far.
    pub fn results(&self) -> Vec<CallResult> {
        self.shared.records.results.all()
    }

    /// Waits until every thread that was started so far is given back.
    pub async fn expect_threads_returned(&self) -> Result<()> {
        let count = self.told("thread/start").len();
        self.expect_count("thread/unsubscribe", count).await?;
        let returned = self.told("thread/unsubscribe").len();
        anyhow::ensure!(
            returned == count,
            "{returned} threads given back of {count}"
        );
        Ok(())
    }

    /// Kills the process that started last, and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        let (pid, _) = self.latest()?;
        process::signal(pid, rustix::process::Signal::KILL);
        self.expect_end(pid).await
    }

    fn latest(&self) -> Result<(u32, Output)> {
        let latest = self
            .shared
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        latest.context("no Codex process was started")
    }

    fn hand_out(&self, kind: &str) -> usize {
        let mut handed_out = self
            .handed_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = handed_out.entry(kind.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

fn method_of(message: &Value) -> Option<&str> {
    message.get("method").and_then(Value::as_str)
}

/// A shell script stands before the program, since the gateway passes on neither our options nor our environment.
fn write_program(folder: &Path, socket: &Path, script: &Script) -> Result<()> {
    let program = programs::fake_codex()?;
    // What a shell ignores stays ignored in what it becomes.
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
