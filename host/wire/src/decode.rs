//! One line of Codex's stdout, decoded: an answer, a request, or a report about a turn. Pure.

mod delta; // a piece of an answer, in one pass
mod error; // what Codex fails with
mod report; // what a notification says about a turn
mod shapes; // what is in a notification

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::delta::Delta;
pub use self::error::{RpcError, TurnError};
pub use self::report::{Phase, Report, Status, Usage, report};

/// One line.
#[derive(Debug)]
pub enum Line<'a> {
    /// An answer to a call of ours.
    Answer {
        /// The call's.
        id: u64,
        /// What came of it.
        result: Result<&'a RawValue, RpcError>,
    },
    /// Codex asks something of us. Its ids are its own, so they stay as they came.
    Request {
        /// The request's, to answer it with.
        id: &'a RawValue,
        /// What it asks.
        method: Cow<'a, str>,
        /// JSON; `null` where there is none.
        params: &'a RawValue,
    },
    /// Codex tells a piece of an answer.
    Delta(Delta<'a>),
    /// Codex tells something else, or a piece of an answer that is not as we know it.
    Notification {
        /// What it tells.
        method: Cow<'a, str>,
        /// JSON; `null` where there is none.
        params: &'a RawValue,
        /// Unix milliseconds; 0 where it does not say.
        at: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// Empty when there is none: serde borrows a `Cow`, but not one inside an `Option`.
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
    #[serde(default)]
    emitted_at_ms: u64,
}

/// Decodes a line.
///
/// # Errors
/// It is none; the error says what it was not.
pub fn line(text: &[u8]) -> Result<Line<'_>, serde_json::Error> {
    let text = std::str::from_utf8(text).map_err(serde::de::Error::custom)?;
    match delta::delta(text) {
        Some(delta) => Ok(Line::Delta(delta)),
        None => any(text),
    }
}

/// Decodes a line in the general way: whichever it is, in whatever order its members stand.
fn any(text: &str) -> Result<Line<'_>, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    let unknown = || serde::de::Error::custom("neither an answer, a request nor a notification");
    let method = envelope.method;
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (method.is_empty(), envelope.id) {
        (false, Some(id)) => Ok(Line::Request { id, method, params }),
        (false, None) => Ok(Line::Notification {
            method,
            params,
            at: envelope.emitted_at_ms,
        }),
        (true, Some(id)) => {
            // We only ever send whole numbers, so no other id can be ours.
            let id = id.get().parse().map_err(|_| unknown())?;
            match (envelope.error, envelope.result) {
                (Some(error), _) => Ok(Line::Answer {
                    id,
                    result: Err(error),
                }),
                (None, Some(result)) => Ok(Line::Answer {
                    id,
                    result: Ok(result),
                }),
                (None, None) => Err(unknown()),
            }
        }
        (true, None) => Err(unknown()),
    }
}

/// Where a notification belongs. Empty where it names no thread, or no turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address<'a> {
    /// The thread's id.
    #[serde(borrow, default)]
    pub thread_id: Cow<'a, str>,
    /// The turn's.
    #[serde(borrow, default)]
    pub turn_id: Cow<'a, str>,
}

/// The address of a notification; `None` when it concerns no thread.
///
/// `turn/started` and `turn/completed` name their turn elsewhere; `report` tells which.
pub fn address(params: &RawValue) -> Option<Address<'_>> {
    parse(params.get()).filter(|found: &Address<'_>| !found.thread_id.is_empty())
}

/// A call of a tool, as Codex asks us for its result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall<'a> {
    /// The thread that it is of.
    #[serde(borrow)]
    pub thread_id: Cow<'a, str>,
    /// The turn that it is of.
    #[serde(borrow)]
    pub turn_id: Cow<'a, str>,
    /// The call's id, which the model gave it.
    #[serde(borrow)]
    pub call_id: Cow<'a, str>,
}

/// What Codex asks with `item/tool/call`.
pub fn tool_call(params: &RawValue) -> Option<ToolCall<'_>> {
    parse(params.get())
}

fn parse<'a, T: Deserialize<'a>>(params: &'a str) -> Option<T> {
    serde_json::from_str(params).ok()
}

#[cfg(test)]
mod tests;
