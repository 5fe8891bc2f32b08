//! The raw pipe: Codex's standard output read directly, without HTTP. It is the baseline of a gateway's overhead.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use airlock_tests::load::{self, Load, Stamps};
use airlock_tests::within;
use anyhow::{Context as _, Result, bail};
use memchr::{memchr, memmem};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::PATIENCE;
use super::measurement::Measurement;

/// Bytes read at once.
const READ: usize = 256 << 10;

/// A standalone Codex driven over its standard input and output.
pub(super) struct CodexPipe {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    last: u64,
    buffer: Vec<u8>,
}

/// An answer that matters.
#[derive(Deserialize)]
struct RpcResponse<'a> {
    id: u64,
    #[serde(borrow)]
    result: Started<'a>,
}

#[derive(Deserialize)]
struct Started<'a> {
    #[serde(borrow)]
    thread: Option<Thread<'a>>,
}

#[derive(Deserialize)]
struct Thread<'a> {
    id: &'a str,
}

impl CodexPipe {
    pub(super) async fn start(codex: &Path) -> Result<Self> {
        let mut child = Command::new(codex)
            .arg("app-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = Self {
            stdin: child.stdin.take().context("no stdin")?,
            stdout: child.stdout.take().context("no stdout")?,
            _child: child,
            last: 0,
            buffer: Vec::new(),
        };
        line.call("initialize", r#"{"clientInfo":{"name":"line"}}"#)
            .await?;
        Ok(line)
    }

    async fn call(&mut self, method: &str, params: &str) -> Result<u64> {
        self.last += 1;
        let id = self.last;
        let line = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n");
        self.stdin.write_all(line.as_bytes()).await?;
        Ok(id)
    }

    /// Runs `turns` turns, `at_once` of them concurrently.
    pub(super) async fn turns(
        &mut self,
        load: Load,
        turns: usize,
        at_once: usize,
    ) -> Result<Measurement> {
        within(PATIENCE, "the turns", self.run(load, turns, at_once)).await?
    }

    async fn run(&mut self, load: Load, turns: usize, at_once: usize) -> Result<Measurement> {
        let began = Instant::now();
        let mut measurement = Measurement::default();
        let (mut requested, mut waiting) = (HashMap::new(), HashMap::new());
        let (mut started, mut ended) = (0, 0);
        let mut piece = vec![0; READ];
        while ended < turns {
            while started < turns && started - ended < at_once {
                let now = Instant::now();
                requested.insert(self.call("thread/start", r#"{"model":"m"}"#).await?, now);
                started += 1;
            }
            let read = self.stdout.read(&mut piece).await?;
            if read == 0 {
                bail!("the stand-in ended");
            }
            let now = load::now();
            self.buffer.extend_from_slice(&piece[..read]);
            let buffer = std::mem::take(&mut self.buffer);
            let mut start = 0;
            while let Some(end) = memchr(b'\n', &buffer[start..]) {
                let line = &buffer[start..start + end];
                start += end + 1;
                if line.starts_with(br#"{"method":"item/agentMessage/delta""#) {
                    if let Some(since) = waiting.remove(thread_in(line)) {
                        measurement.first.push(Instant::elapsed(&since));
                    }
                    Stamps::default().read(line, |at| measurement.delta(now, at));
                } else if line.starts_with(br#"{"method":"turn/completed""#) {
                    ended += 1;
                    let params = format!(
                        r#"{{"threadId":"{}"}}"#,
                        String::from_utf8_lossy(thread_in(line))
                    );
                    self.call("thread/unsubscribe", &params).await?;
                } else if let Ok(RpcResponse { id, result }) = serde_json::from_slice(line)
                    && let (Some(Thread { id: thread }), Some(since)) =
                        (result.thread, requested.remove(&id))
                {
                    waiting.insert(thread.as_bytes().to_vec(), since);
                    let params = format!(
                        r#"{{"threadId":"{thread}","input":[{{"type":"text","text":"{}"}}]}}"#,
                        load.words()
                    );
                    self.call("turn/start", &params).await?;
                }
            }
            self.buffer.extend_from_slice(&buffer[start..]);
        }
        measurement.requests = turns;
        measurement.taken = began.elapsed();
        Ok(measurement)
    }
}

/// The thread that a line names.
fn thread_in(line: &[u8]) -> &[u8] {
    const BEFORE: &[u8] = br#""threadId":""#;
    let rest = memmem::find(line, BEFORE).map(|at| &line[at + BEFORE.len()..]);
    let rest = rest.unwrap_or_default();
    &rest[..memchr(b'"', rest).unwrap_or_default()]
}
