//! Request ids.

use axum::http::{HeaderMap, HeaderName};

/// The header of a request's id, in requests and responses.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of a client's request id.
const MAX_LENGTH: usize = 128;

/// A new request id.
pub(super) fn new() -> String {
    format!("req_{}", uuid::Uuid::now_v7().simple())
}

/// The client's own id, if it is safe in a header and in the log.
pub(super) fn of_client(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (!id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(is_safe)).then(|| id.to_owned())
}
