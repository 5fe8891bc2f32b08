//! The load generator: many clients on one thread, which read the clock once for each chunk.
//!
//! Known load generators measure requests, and none reads a timestamp from each chunk of a stream. This one searches for the
//! timestamp without decoding the chunk, so a client costs less than what it measures.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use airlock_tests::load::{self, Stamps};
use airlock_tests::within;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use memchr::memmem;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::measurement::Measurement;
use super::{KEY, PATIENCE};

/// Bytes read at once.
const READ: usize = 64 << 10;

/// How a stream ends on the wire.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// A connection over which requests are sent, one after the other.
pub(super) struct Connection {
    address: SocketAddr,
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            address,
            socket,
            buffer: vec![0; READ],
        })
    }

    /// Opens `count` connections.
    pub(super) async fn many(address: SocketAddr, count: usize) -> Result<Vec<Self>> {
        try_join_all((0..count).map(|_| Self::open(address))).await
    }

    async fn send(&mut self, body: &str) -> Result<()> {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.socket.write_all((head + body).as_bytes()).await?;
        Ok(())
    }

    async fn read(&mut self) -> Result<&[u8]> {
        let count = self.socket.read(&mut self.buffer).await?;
        ensure!(count > 0, "the connection was closed");
        Ok(&self.buffer[..count])
    }

    /// Requests a stream, and reads it to its end. `once`: repeated timestamps count once.
    pub(super) async fn stream(&mut self, body: &str, once: bool) -> Result<Measurement> {
        let stream = self.streamed(body, once, |_| false);
        within(PATIENCE, "the end of a stream", stream).await?
    }

    /// Requests a stream, and returns at its first delta.
    pub(super) async fn begin(&mut self, body: &str) -> Result<Measurement> {
        let stream = self.streamed(body, false, |measurement| measurement.deltas > 0);
        within(PATIENCE, "the first word of a stream", stream).await?
    }

    async fn streamed(
        &mut self,
        body: &str,
        once: bool,
        enough: impl Fn(&Measurement) -> bool,
    ) -> Result<Measurement> {
        let mut measurement = Measurement::default();
        let (mut stamps, mut seen) = (Stamps::default(), HashSet::new());
        let (mut tail, mut begun) = (Vec::new(), false);
        let began = Instant::now();
        self.send(body).await?;
        loop {
            let piece = self.read().await?;
            let now = load::now();
            if !begun {
                begun = true;
                let status = piece.get(9..12).unwrap_or_default();
                if status != b"200" {
                    bail!("not a stream: {}", String::from_utf8_lossy(piece));
                }
            }
            // One that a read cuts is missed, of thousands.
            measurement.frames += memmem::find_iter(piece, b"data: ").count();
            stamps.read(piece, |at| {
                if !once || seen.insert(at) {
                    if measurement.first.is_empty() {
                        measurement.first.push(began.elapsed());
                    }
                    measurement.delta(now, at);
                }
            });
            tail.extend_from_slice(&piece[piece.len().saturating_sub(END.len())..]);
            if tail.ends_with(END) || enough(&measurement) {
                measurement.requests = 1;
                return Ok(measurement);
            }
            let excess = tail.len().saturating_sub(END.len());
            tail.drain(..excess);
        }
    }

    /// Requests an answer without streaming, and reads it.
    pub(super) async fn whole(&mut self, body: &str) -> Result<Measurement> {
        within(PATIENCE, "an answer", self.read_whole(body)).await?
    }

    async fn read_whole(&mut self, body: &str) -> Result<Measurement> {
        let began = Instant::now();
        self.send(body).await?;
        let mut answer = Vec::new();
        let (head, length) = loop {
            answer.extend_from_slice(self.read().await?);
            let Some(end) = memmem::find(&answer, b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "not an answer: {head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            break (end + 4, length.context("no length")?.parse::<usize>()?);
        };
        while answer.len() < head + length {
            answer.extend_from_slice(self.read().await?);
        }
        let now = load::now();
        let mut measurement = Measurement::default();
        Stamps::default().read(&answer, |at| measurement.delta(now, at));
        ensure!(measurement.deltas > 0, "an answer without words");
        measurement.first.push(began.elapsed());
        measurement.requests = 1;
        Ok(measurement)
    }
}

/// The body of a request with this prompt, and a history of about `history` bytes.
pub(super) fn request(words: &str, history: usize, more: Value) -> String {
    const MESSAGE: usize = 8 << 10;
    let text = "An airlock has two doors. ".repeat(MESSAGE / 26);
    let mut messages: Vec<Value> = (0..history / MESSAGE)
        .map(|number| {
            let role = ["user", "assistant"][number % 2];
            serde_json::json!({"role": role, "content": text})
        })
        .collect();
    messages.push(serde_json::json!({"role": "user", "content": words}));
    let mut body = serde_json::json!({"model": "gpt-5.5", "messages": messages});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body.to_string()
}
