//! HTTP/1 on the wire, written by hand: requests that no library sends, and half-closed connections.

mod forms; // requests that the parser, or a rule of HTTP, refuses
mod half_closed; // half-closed connections
mod line_ends; // frames that are one line to every client

use std::time::Duration;

use airlock_tests::{Gateway, soon};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A complete response, as received.
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    /// The value of a header field, or an empty string.
    fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{}\n{}", self.head, self.body))
    }
}

/// Connects and sends these bytes.
async fn send(gateway: &Gateway, request: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(gateway.address()).await?;
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// Reads until the gateway closes the connection.
async fn read_to_end(mut socket: TcpStream) -> Result<Raw> {
    let mut bytes = Vec::new();
    soon("the end of a connection", socket.read_to_end(&mut bytes)).await??;
    parse(&String::from_utf8(bytes)?)
}

/// Reads one response whose body ends with the connection, or is chunked.
fn parse(text: &str) -> Result<Raw> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no head: {text:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        dechunked(body)?
    } else {
        body.to_owned()
    };
    Ok(Raw {
        status,
        head: head.to_owned(),
        body,
    })
}

/// The content of chunks.
fn dechunked(mut rest: &str) -> Result<String> {
    let mut text = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("no chunk size")?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(text);
        }
        text.push_str(after.get(..size).context("half a chunk")?);
        rest = after.get(size + 2..).context("a chunk without its end")?;
    }
}

/// A chat completion as a request. `connection: close`, so that the response ends with the connection.
fn chat(gateway: &Gateway, stream: bool) -> String {
    let body = json!({"model": "gpt-5.5", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        gateway.address(),
        body.len()
    )
}

/// The longest time between a client's leaving and the interrupt of its turn.
const PROMPT: Duration = Duration::from_millis(100);

/// Reads up to and including `needle`.
async fn read_until(socket: &mut TcpStream, needle: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.ends_with(needle.as_bytes()) {
            bytes.push(socket.read_u8().await?);
        }
        anyhow::Ok(())
    };
    soon(&format!("{needle:?}"), read).await??;
    Ok(String::from_utf8(bytes)?)
}

/// Reads the rest until the gateway closes the connection.
async fn read_rest(mut socket: TcpStream) -> Result<String> {
    let mut text = String::new();
    soon("the end of a connection", socket.read_to_string(&mut text)).await??;
    Ok(text)
}

/// Reads one response with `content-length`. The connection stays open.
async fn read_response(socket: &mut TcpStream) -> Result<Raw> {
    let head = read_until(socket, "\r\n\r\n").await?;
    let mut raw = parse(&head)?;
    let mut body = vec![0; raw.header("content-length").parse()?];
    soon("a body", socket.read_exact(&mut body)).await??;
    raw.body = String::from_utf8(body)?;
    Ok(raw)
}
