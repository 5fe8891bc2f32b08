//! What we say to Codex, as lines.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::CallError;

#[derive(Serialize)]
pub(super) struct Call<'a, P> {
    pub(super) id: u64,
    pub(super) method: &'static str,
    pub(super) params: &'a P,
}

#[derive(Serialize)]
pub(super) struct Reply<'a> {
    pub(super) id: &'a RawValue,
    pub(super) result: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct Refusal<'a> {
    pub(super) id: &'a RawValue,
    pub(super) error: Fault<'a>,
}

#[derive(Serialize)]
pub(super) struct Fault<'a> {
    pub(super) code: i64,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
pub(super) struct Notice {
    pub(super) method: &'static str,
}

/// A message as one line. JSON that was taken over verbatim may hold line breaks: what follows one would be a message
/// of somebody else's making, so none leaves.
pub(super) fn encode(message: &impl Serialize) -> Result<Bytes, CallError> {
    let mut line = serde_json::to_vec(message).map_err(CallError::Malformed)?;
    if memchr::memchr2(b'\n', b'\r', &line).is_some() {
        let error = serde::ser::Error::custom("a line break within a message");
        return Err(CallError::Malformed(error));
    }
    line.push(b'\n');
    Ok(line.into())
}
