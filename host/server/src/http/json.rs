//! JSON responses.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The media type of JSON.
pub(super) const MEDIA_TYPE: &str = "application/json";

/// A 200 response with this value.
///
/// # Errors
/// `internal_error`: the value cannot be serialised.
pub(super) fn ok(value: &impl Serialize) -> Result<Response, Failure> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(response(StatusCode::OK, text)),
        Err(error) => {
            let message = "The answer cannot be written.";
            let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
            Err(failure.because(error))
        }
    }
}

/// A response with a body that is JSON already.
pub(super) fn response(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}
