//! Outgoing messages, as lines.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call_error::CallError;

#[derive(Serialize)]
pub(super) struct RpcCall<'a, P> {
    pub(super) id: u64,
    pub(super) method: &'static str,
    pub(super) params: &'a P,
}

#[derive(Serialize)]
pub(super) struct RpcResponse<'a> {
    pub(super) id: &'a RawValue,
    pub(super) result: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct RpcErrorResponse<'a> {
    pub(super) id: &'a RawValue,
    pub(super) error: RpcErrorObject<'a>,
}

#[derive(Serialize)]
pub(super) struct RpcErrorObject<'a> {
    pub(super) code: i64,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
pub(super) struct RpcNotification {
    pub(super) method: &'static str,
}

/// Encodes a message as one line. A line break within verbatim JSON is an error: what follows it would be a message of its
/// author's choosing.
pub(super) fn encode(message: &impl Serialize) -> Result<Bytes, CallError> {
    let mut line = serde_json::to_vec(message).map_err(CallError::Malformed)?;
    if memchr::memchr2(b'\n', b'\r', &line).is_some() {
        let error = serde::ser::Error::custom("a line break within a message");
        return Err(CallError::Malformed(error));
    }
    line.push(b'\n');
    Ok(line.into())
}
