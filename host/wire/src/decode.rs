//! Decodes the lines of Codex's stdout: JSON-RPC responses, requests and notifications. Pure.

mod envelope; // the members of a line, in one pass
mod error; // Codex's error objects
mod item; // items of a turn
mod notification; // notifications of a thread
mod report; // the content of these notifications
mod shapes; // the parameters of these notifications

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::envelope::RpcEnvelope;
pub use self::error::{RpcError, TurnError};
pub use self::notification::ThreadNotification;
pub use self::report::{MessagePhase, TurnReport, TurnStatus, Usage};

/// A decoded line.
#[derive(Debug)]
pub enum RpcMessage<'a> {
    /// A response to one of the gateway's calls.
    Response {
        /// The call's id.
        id: u64,
        /// The result or the error.
        result: Result<&'a RawValue, RpcError>,
    },
    /// A request from Codex.
    Request {
        /// The request's id, chosen by Codex. The response must repeat it unchanged.
        id: &'a RawValue,
        /// The method.
        method: Cow<'a, str>,
        /// The parameters; `null` if absent.
        params: &'a RawValue,
    },
    /// A notification of a thread.
    ThreadNotification {
        /// The decoded notification.
        notification: ThreadNotification<'a>,
        /// The method and the parameters. May be None if the report is self-contained (`TurnReport::is_self_contained`).
        verbatim: Option<(Cow<'a, str>, &'a RawValue)>,
        /// When Codex sent the notification, in Unix milliseconds. 0 if absent.
        at: u64,
    },
    /// A notification without a thread.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// The parameters; `null` if absent.
        params: &'a RawValue,
    },
}

/// Decodes a line.
///
/// # Errors
/// The line is not UTF-8, not JSON, or not a JSON-RPC message.
pub fn line(text: &[u8]) -> Result<RpcMessage<'_>, serde_json::Error> {
    let text = std::str::from_utf8(text).map_err(serde::de::Error::custom)?;
    let envelope = RpcEnvelope::of(text)?;
    let unknown = || serde::de::Error::custom("neither a response, a request nor a notification");
    let method = envelope.method;
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (method.is_empty(), envelope.id) {
        (false, Some(id)) => Ok(RpcMessage::Request { id, method, params }),
        (false, None) => {
            let notification = envelope
                .notification
                .or_else(|| notification::decode(&method, params));
            match notification.filter(|decoded| !decoded.thread.is_empty()) {
                Some(notification) => Ok(RpcMessage::ThreadNotification {
                    notification,
                    verbatim: envelope.params.map(|params| (method, params)),
                    at: envelope.emitted_at_ms,
                }),
                None => Ok(RpcMessage::Notification { method, params }),
            }
        }
        (true, Some(id)) => {
            // The gateway's own ids are integers.
            let id = id.get().parse().map_err(|_| unknown())?;
            match (envelope.error, envelope.result) {
                (Some(error), _) => Ok(RpcMessage::Response {
                    id,
                    result: Err(error),
                }),
                (None, Some(result)) => Ok(RpcMessage::Response {
                    id,
                    result: Ok(result),
                }),
                (None, None) => Err(unknown()),
            }
        }
        (true, None) => Err(unknown()),
    }
}

/// The parameters of `item/tool/call`, by which Codex requests the result of a tool call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallParams<'a> {
    /// The call's thread.
    #[serde(borrow)]
    pub thread_id: Cow<'a, str>,
    /// The call's turn.
    #[serde(borrow)]
    pub turn_id: Cow<'a, str>,
    /// The call's id, chosen by the model.
    #[serde(borrow)]
    pub call_id: Cow<'a, str>,
}

/// Decodes the parameters of `item/tool/call`. None: they are of another shape.
pub fn tool_call(params: &RawValue) -> Option<ToolCallParams<'_>> {
    serde_json::from_str(params.get()).ok()
}

#[cfg(test)]
mod tests;
