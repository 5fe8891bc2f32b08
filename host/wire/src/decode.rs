//! One line of Codex's stdout, decoded: an answer, a request, or what it tells of a turn. Pure.

mod envelope; // what stands in a line, whichever it is
mod error; // what Codex fails with
mod item; // a part of a turn
mod report; // what is told of a turn
mod shapes; // what is in a notification
mod told; // which notification tells what

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::envelope::Envelope;
pub use self::error::{RpcError, TurnError};
pub use self::report::{Phase, Report, Status, Usage};
pub use self::told::Told;

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
    /// Codex tells something of a thread.
    Told {
        /// What, and of which.
        told: Told<'a>,
        /// The notification's method and parameters. Where the report says all (`Report::says_all`), they may be
        /// missing: the parameters are read but once then.
        verbatim: Option<(Cow<'a, str>, &'a RawValue)>,
        /// Unix milliseconds; 0 where it does not say.
        at: u64,
    },
    /// Codex tells something that concerns no thread.
    Notification {
        /// What it tells.
        method: Cow<'a, str>,
        /// JSON; `null` where there is none.
        params: &'a RawValue,
    },
}

/// Decodes a line.
///
/// # Errors
/// It is none; the error says what it was not.
pub fn line(text: &[u8]) -> Result<Line<'_>, serde_json::Error> {
    let text = std::str::from_utf8(text).map_err(serde::de::Error::custom)?;
    let envelope = Envelope::of(text)?;
    let unknown = || serde::de::Error::custom("neither an answer, a request nor a notification");
    let method = envelope.method;
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (method.is_empty(), envelope.id) {
        (false, Some(id)) => Ok(Line::Request { id, method, params }),
        (false, None) => {
            let told = envelope.told.or_else(|| told::told(&method, params));
            match told.filter(|told| !told.thread.is_empty()) {
                Some(told) => Ok(Line::Told {
                    told,
                    verbatim: envelope.params.map(|params| (method, params)),
                    at: envelope.emitted_at_ms,
                }),
                None => Ok(Line::Notification { method, params }),
            }
        }
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
    serde_json::from_str(params.get()).ok()
}

#[cfg(test)]
mod tests;
