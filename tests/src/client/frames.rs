//! A reader of server-sent events, comments included.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::soon;

/// An event or comment of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `data:` with JSON. If the event has a name, the JSON has it as its `type`.
    Data(Value),
    /// `data: [DONE]`.
    Done,
    /// A comment, which is a heartbeat.
    Comment(String),
}

/// A streamed response. Dropping it closes the connection.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    buffer: Vec<u8>,
    raw: Vec<u8>,
}

impl Stream {
    pub(super) fn new(response: Response) -> Self {
        Self {
            response,
            buffer: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// All bytes of the body so far.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The next frame. `None` at the end of the body.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return frame(&String::from_utf8(block)?).map(Some);
            }
            let Some(bytes) = self.chunk().await? else {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                bail!(
                    "a stream that ends within a frame: {:?}",
                    String::from_utf8_lossy(&self.buffer)
                );
            };
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// The next text delta. Other frames before it are skipped.
    pub async fn next_text(&mut self) -> Result<String> {
        while let Some(frame) = self.next().await? {
            let text = frame.text();
            if !text.is_empty() {
                return Ok(text.to_owned());
            }
            if let Frame::Data(data) = &frame
                && data.get("error").is_some()
            {
                bail!("an error instead of text: {data}");
            }
        }
        bail!("a stream that ends without text")
    }

    /// The next event of a candidate. Other frames before it are skipped.
    pub async fn next_tool_event(&mut self) -> Result<Value> {
        let frames = self.frames_until(|frame| frame.tool_event().is_some());
        let event = frames.await?.last().and_then(Frame::tool_event).cloned();
        event.context("no event of a candidate")
    }

    /// All frames up to and including the first that satisfies `is`, without comments. Heartbeats do not extend the timeout.
    pub async fn frames_until(&mut self, is: impl Fn(&Frame) -> bool) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        let read = async {
            while let Some(frame) = self.next().await? {
                if let Some(error) = frame.error() {
                    bail!("an error in place of what was expected: {error}");
                }
                let found = is(&frame);
                frames.push(frame);
                if found {
                    return Ok(());
                }
            }
            bail!("a stream that ends without what was expected")
        };
        soon("what was expected of a stream", read).await??;
        frames.retain(|frame| !matches!(frame, Frame::Comment(_)));
        Ok(frames)
    }

    /// All frames to the end, without comments.
    pub async fn frames(&mut self) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await? {
            if !matches!(frame, Frame::Comment(_)) {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    /// The rest of the body as text, such as that of an error response.
    pub async fn rest(&mut self) -> Result<String> {
        while let Some(bytes) = self.chunk().await? {
            self.buffer.extend_from_slice(&bytes);
        }
        Ok(String::from_utf8(std::mem::take(&mut self.buffer))?)
    }

    /// Reads to the end, and returns the text.
    pub async fn text(&mut self) -> Result<String> {
        Ok(self.frames().await?.iter().map(Frame::text).collect())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let bytes = soon("more of a stream", self.response.chunk()).await??;
        if let Some(bytes) = &bytes {
            self.raw.extend_from_slice(bytes);
        }
        Ok(bytes)
    }
}

impl Frame {
    /// The JSON of a data frame.
    pub fn data(&self) -> Option<&Value> {
        match self {
            Self::Data(data) => Some(data),
            Self::Done | Self::Comment(_) => None,
        }
    }

    /// The text delta of a chunk, or an empty string.
    pub fn text(&self) -> &str {
        self.choice("/choices/0/delta/content")
    }

    /// The reasoning delta of a chunk, or an empty string.
    pub fn reasoning(&self) -> &str {
        self.choice("/choices/0/delta/reasoning_content")
    }

    /// The finish reason of a chunk, or an empty string.
    pub fn finish_reason(&self) -> &str {
        self.choice("/choices/0/finish_reason")
    }

    /// Whether a candidate of a fan-out completes with this frame.
    pub fn closes_tab(&self) -> bool {
        self.tool_event().is_some_and(|event| {
            event.get("type").and_then(Value::as_str) == Some("codex_tab_close")
        })
    }

    /// The event of a fan-out's candidate (`_toolEvent`), which other clients ignore.
    pub fn tool_event(&self) -> Option<&Value> {
        self.data()?.get("_toolEvent")
    }

    /// The `airlock` member of a fan-out's last chunk.
    pub fn airlock(&self) -> Option<&Value> {
        self.data()?.get("airlock")
    }

    /// The usage of a chunk.
    pub fn usage(&self) -> Option<&Value> {
        self.data()?.get("usage").filter(|usage| !usage.is_null())
    }

    /// The error of an error frame.
    pub fn error(&self) -> Option<&Value> {
        self.data()?.get("error")
    }

    fn choice(&self, pointer: &str) -> &str {
        self.data()
            .and_then(|data| data.pointer(pointer)?.as_str())
            .unwrap_or_default()
    }
}

/// Parses a block, which must be a comment or one line of data.
fn frame(block: &str) -> Result<Frame> {
    let mut lines = block.trim_end_matches('\n').split('\n');
    let mut line = lines.next().unwrap_or_default();
    let name = line.strip_prefix("event: ");
    if name.is_some() {
        line = lines.next().unwrap_or_default();
    }
    if let Some(rest) = lines.next() {
        bail!("a frame of more than one line: {line:?}, {rest:?}");
    }
    if let Some(comment) = line.strip_prefix(':') {
        return Ok(Frame::Comment(comment.trim_start().to_owned()));
    }
    let data = line
        .strip_prefix("data: ")
        .with_context(|| format!("a line that is no data: {line:?}"))?;
    if data == "[DONE]" {
        return Ok(Frame::Done);
    }
    let data: Value =
        serde_json::from_str(data).with_context(|| format!("data that is no JSON: {data:?}"))?;
    if let Some(name) = name
        && data["type"] != name
    {
        bail!("an event named {name} with {data}");
    }
    Ok(Frame::Data(data))
}
