//! Fan-out requests, and a checking reader of fan-out streams.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Frame;

/// The hint of a candidate, counted from 1, by which a scripted Codex or model recognises it.
pub fn angle(candidate: usize) -> String {
    format!("angle-{candidate:02}")
}

/// A request for this many candidates, each with its `angle` as a hint, and with the members of `more`.
pub fn fan_out(candidates: usize, mut more: Value) -> Value {
    let hints: Vec<_> = (1..=candidates)
        .map(|candidate| json!({"hint": angle(candidate)}))
        .collect();
    if let Some(body) = more.as_object_mut() {
        body.entry("parallel_calls").or_insert(json!(candidates));
        let airlock = body.entry("airlock").or_insert(json!({}));
        if let Some(airlock) = airlock.as_object_mut() {
            airlock.entry("candidates").or_insert(json!(hints));
        }
    }
    more
}

/// A streamed fan-out, read to its end.
#[derive(Clone, Debug, Default)]
pub struct FanOut {
    /// The candidates. Number N is at index N-1.
    pub tabs: Vec<Tab>,
    /// The answer, as a client without support for candidates reads it.
    pub text: String,
    /// The finish reason. Empty if the answer failed.
    pub finish_reason: String,
    /// The `airlock` member of the chunk with the finish reason.
    pub airlock: Value,
    /// The usage chunk's usage.
    pub usage: Option<Value>,
    /// The error frame.
    pub error: Option<Value>,
}

/// One candidate of a streamed fan-out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tab {
    /// The model that was requested.
    pub model: String,
    /// The text deltas, concatenated.
    pub pieces: String,
    /// The tab's ending. `None` only if the stream failed before.
    pub end: Option<TabEnd>,
}

/// How a candidate ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TabEnd {
    /// With this text and usage.
    Closed {
        /// All of its text.
        text: String,
        /// Usage in OpenAI's format, or null.
        usage: Value,
    },
    /// Without an answer.
    Failed {
        /// A message for people.
        message: String,
        /// OpenAI's error code, or `interrupted`.
        exception_type: String,
    },
}

impl FanOut {
    /// Reads the frames of a complete stream.
    ///
    /// # Errors
    /// The stream violates a rule: a candidate opens once, before its text, and ends once; each piece of the answer is
    /// sent twice, first as `codex_gather`; and nothing follows `[DONE]`.
    pub fn read(frames: &[Frame]) -> Result<Self> {
        let mut fan_out = Self::default();
        let mut gathered: Option<String> = None;
        let Some((Frame::Done, chunks)) = frames.split_last() else {
            bail!("no [DONE] at the end: {frames:?}");
        };
        for chunk in chunks {
            let data = chunk.data().context("a second [DONE]")?;
            if let Some(error) = chunk.error() {
                ensure!(fan_out.error.is_none(), "a second error: {error}");
                fan_out.error = Some(error.clone());
                continue;
            }
            ensure!(fan_out.error.is_none(), "something after the error: {data}");
            ensure!(data["object"] == "chat.completion.chunk", "{data}");
            let announced = gathered.take();
            if let Some(event) = chunk.tool_event() {
                ensure!(announced.is_none(), "a piece sent only once: {announced:?}");
                ensure!(data["choices"][0]["delta"] == json!({}), "{data}");
                gathered = fan_out.apply(event)?;
                continue;
            }
            ensure!(
                chunk.text() == announced.unwrap_or_default(),
                "a piece that is not what was gathered: {data}"
            );
            fan_out.text.push_str(chunk.text());
            fan_out.finish_reason.push_str(chunk.finish_reason());
            if let Some(airlock) = chunk.airlock() {
                ensure!(!chunk.finish_reason().is_empty(), "{data}");
                fan_out.airlock = airlock.clone();
            }
            if let Some(usage) = chunk.usage() {
                ensure!(data["choices"] == json!([]), "{data}");
                fan_out.usage = Some(usage.clone());
            }
        }
        for (number, tab) in fan_out.tabs.iter().enumerate() {
            ensure!(
                tab.end.is_some() || fan_out.error.is_some(),
                "tab {} never ends",
                number + 1
            );
        }
        Ok(fan_out)
    }

    /// The text of a candidate, counted from 1, that completed.
    pub fn closed(&self, candidate: usize) -> Option<&str> {
        match &self.tabs.get(candidate.checked_sub(1)?)?.end {
            Some(TabEnd::Closed { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// The `exception_type` of a candidate, counted from 1, that failed.
    pub fn failed(&self, candidate: usize) -> Option<&str> {
        match &self.tabs.get(candidate.checked_sub(1)?)?.end {
            Some(TabEnd::Failed { exception_type, .. }) => Some(exception_type),
            _ => None,
        }
    }

    /// Applies an event. Returns the text that the next chunk must repeat.
    fn apply(&mut self, event: &Value) -> Result<Option<String>> {
        let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
        if event["type"] == "codex_gather" {
            return Ok(Some(text("text")));
        }
        let number: usize = event["tab"].as_u64().context("no tab")?.try_into()?;
        if event["type"] == "codex_tab_open" {
            ensure!(number == self.tabs.len() + 1, "out of order: {event}");
            let total = event["total"].as_u64().context("no total")?;
            ensure!(number as u64 <= total, "{event}");
            self.tabs.push(Tab {
                model: text("model"),
                ..Tab::default()
            });
            return Ok(None);
        }
        let tab = number
            .checked_sub(1)
            .and_then(|index| self.tabs.get_mut(index))
            .with_context(|| format!("a tab that was not opened: {event}"))?;
        ensure!(tab.end.is_none(), "something after its end: {event}");
        match event["type"].as_str() {
            Some("codex_tab_chunk") => tab.pieces.push_str(&text("text")),
            Some("codex_tab_close") => {
                ensure!(event["text"].is_string(), "{event}");
                tab.end = Some(TabEnd::Closed {
                    text: text("text"),
                    usage: event.get("usage").context("no usage")?.clone(),
                });
            }
            Some("codex_tab_error") => {
                ensure!(!text("message").is_empty(), "{event}");
                tab.end = Some(TabEnd::Failed {
                    message: text("message"),
                    exception_type: text("exception_type"),
                });
            }
            _ => bail!("an event of another kind: {event}"),
        }
        Ok(None)
    }
}
