//! A Codex app-server driven directly, without a gateway: the reference for the scripted Codex and for benchmarks.

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
    /// Messages that arrived while a response was awaited.
    unread: VecDeque<Value>,
}

impl AppServer {
    /// Starts `binary` with `home` as its Codex home.
    pub async fn start(binary: impl AsRef<OsStr>, home: &Path) -> Result<Self> {
        Self::start_in(binary, home, &[]).await
    }

    /// Like `start`, with these environment variables.
    pub async fn start_in(
        binary: impl AsRef<OsStr>,
        home: &Path,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let client = json!({"name": "direct", "title": null, "version": "1"});
        let params = json!({"clientInfo": client, "capabilities": {"experimentalApi": true}});
        Self::begin(binary, home, params, environment).await
    }

    /// Like `start`, with these parameters of `initialize`.
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
            // As the gateway sets them: logging takes Codex's time.
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
            unread: VecDeque::new(),
        };
        server.call("initialize", introduction).await?;
        server.send(&json!({"method": "initialized"})).await?;
        Ok(server)
    }

    /// The process ID.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a request, and waits for its result. Other messages are buffered for `next`.
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
            self.unread.push_back(message);
        }
    }

    /// Sends a request and returns its id.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last += 1;
        self.send(&json!({"id": self.last, "method": method, "params": params}))
            .await?;
        Ok(self.last)
    }

    /// Sends a message unchanged.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await?;
        Ok(())
    }

    /// The next message, in order.
    pub async fn next(&mut self) -> Result<Value> {
        match self.unread.pop_front() {
            Some(message) => Ok(message),
            None => self.read().await,
        }
    }

    /// Starts a thread as the gateway does, and returns its ID.
    pub async fn thread(&mut self, model: &str) -> Result<String> {
        self.thread_with(model, json!({})).await
    }

    /// Like `thread`, with additional parameters.
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

    /// Like `turn`, and calls `observe` with each message as it arrives.
    pub async fn turn_with(
        &mut self,
        thread: &str,
        text: &str,
        observe: impl Fn(&Value),
    ) -> Result<Vec<Value>> {
        let input = json!([{"type": "text", "text": text}]);
        self.call("turn/start", json!({"threadId": thread, "input": input}))
            .await?;
        let mut notifications = Vec::new();
        loop {
            let message = self.next().await?;
            observe(&message);
            let method = message
                .get("method")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if method == "turn/started" || !notifications.is_empty() {
                notifications.push(message);
            }
            if method == "turn/completed" {
                return Ok(notifications);
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
