//! An app-server driven directly, with no gateway between: what the fake is compared with, and benchmarks measure against.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{model, soon};

/// A running, initialized app-server. It is killed when dropped.
#[derive(Debug)]
pub struct AppServer {
    child: Child,
    _folder: TempDir,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    last: u64,
    /// What came while something else was awaited.
    kept: VecDeque<Value>,
}

impl AppServer {
    /// Starts `binary` with `home` as its Codex home.
    pub async fn start(binary: impl AsRef<OsStr>, home: &Path) -> Result<Self> {
        Self::start_in(binary, home, &[]).await
    }

    /// The same, with these variables in its environment.
    pub async fn start_in(
        binary: impl AsRef<OsStr>,
        home: &Path,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let client = json!({"name": "direct", "title": null, "version": "1"});
        let params = json!({"clientInfo": client, "capabilities": {"experimentalApi": true}});
        Self::begin(binary, home, params, environment).await
    }

    /// The same, introduced with these parameters of `initialize`.
    pub async fn start_as(
        binary: impl AsRef<OsStr>,
        home: &Path,
        introduction: Value,
    ) -> Result<Self> {
        Self::begin(binary, home, introduction, &[]).await
    }

    async fn begin(
        binary: impl AsRef<OsStr>,
        home: &Path,
        introduction: Value,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("airlock-direct-")
            .tempdir()?;
        let mut child = Command::new(binary)
            .arg("app-server")
            .env("CODEX_HOME", home)
            .env(model::KEY_VARIABLE, model::KEY)
            // As the gateway sets them: what Codex logs costs it time.
            .envs([("RUST_LOG", "warn"), ("NO_COLOR", "1")])
            .envs(environment.iter().cloned())
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut server = Self {
            child,
            _folder: folder,
            input,
            output,
            last: 0,
            kept: VecDeque::new(),
        };
        server.call("initialize", introduction).await?;
        server.send(&json!({"method": "initialized"})).await?;
        Ok(server)
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a request and waits for its result. Notifications in between are kept.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.request(method, params).await?;
        loop {
            let mut message = self.read().await?;
            if message.get("id") == Some(&json!(id)) && message.get("method").is_none() {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message
                    .get_mut("result")
                    .map(Value::take)
                    .unwrap_or_default());
            }
            self.kept.push_back(message);
        }
    }

    /// Sends a request and returns its id.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last += 1;
        self.send(&json!({"id": self.last, "method": method, "params": params}))
            .await?;
        Ok(self.last)
    }

    /// Sends a message as it is.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await?;
        Ok(())
    }

    /// The next message, in order.
    pub async fn next(&mut self) -> Result<Value> {
        match self.kept.pop_front() {
            Some(message) => Ok(message),
            None => self.read().await,
        }
    }

    /// Starts a thread as a gateway does, and returns its id.
    pub async fn thread(&mut self, model: &str) -> Result<String> {
        self.thread_with(model, json!({})).await
    }

    /// The same, with these further parameters.
    pub async fn thread_with(&mut self, model: &str, more: Value) -> Result<String> {
        let mut params = json!({"model": model, "ephemeral": true, "approvalPolicy": "never", "sandbox": "read-only",
            "environments": [], "baseInstructions": "Answer."});
        if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
            params.extend(more);
        }
        let result = self.call("thread/start", params).await?;
        let id = result
            .pointer("/thread/id")
            .and_then(Value::as_str)
            .context("a thread without an id")?;
        Ok(id.to_owned())
    }

    /// Runs a turn and returns every notification from `turn/started` to `turn/completed`.
    pub async fn turn(&mut self, thread: &str, text: &str) -> Result<Vec<Value>> {
        self.turn_with(thread, text, |_| {}).await
    }

    /// The same, and shows `see` each of them as it comes.
    pub async fn turn_with(
        &mut self,
        thread: &str,
        text: &str,
        see: impl Fn(&Value),
    ) -> Result<Vec<Value>> {
        let input = json!([{"type": "text", "text": text}]);
        self.call("turn/start", json!({"threadId": thread, "input": input}))
            .await?;
        let mut told = Vec::new();
        loop {
            let message = self.next().await?;
            see(&message);
            let method = message
                .get("method")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if method == "turn/started" || !told.is_empty() {
                told.push(message);
            }
            if method == "turn/completed" {
                return Ok(told);
            }
        }
    }

    async fn read(&mut self) -> Result<Value> {
        let line = soon("a line from the app-server", self.output.next_line()).await??;
        Ok(serde_json::from_str(
            &line.context("the app-server ended")?,
        )?)
    }
}
