//! Failures as HTTP responses: the status of a problem, and OpenAI's error envelope.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, ErrorKind};

use axum::http::header::{RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json;
use airlock_policy::request_size::TOO_LARGE;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// The hint for a path without its version, or with two.
const BASE_URL: &str = " The base URL of an OpenAI client is this gateway's address followed by /v1, and that of an \
    Anthropic client is the address alone.";

/// A failure with its status: by its problem, or by the rule of HTTP that the request breaks.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    failure: Failure,
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        Self {
            status: status(&failure.problem),
            failure,
        }
    }
}

impl From<Problem> for HttpError {
    fn from(problem: Problem) -> Self {
        Failure::from(problem).into()
    }
}

impl HttpError {
    /// No route has this path. `routes` lists those that policies answer.
    pub(super) fn no_route(method: &Method, path: &str, routes: &str) -> Self {
        // A client whose base URL lacks /v1 requests the rest of the path.
        let (below, versioned) = match path.strip_prefix("/v1/") {
            Some(below) => (below, true),
            None => (path.trim_start_matches('/'), false),
        };
        let hint = if versioned && !below.starts_with("v1/") {
            ""
        } else {
            BASE_URL
        };
        let message = format!(
            "There is no route {method} {path}: this gateway has {routes} and GET /v1/models.{hint}"
        );
        Failure::new(ProblemKind::NotFound, "unknown_url", message).into()
    }

    /// A model whose name is not UTF-8, so that the message cannot repeat it.
    pub(super) fn no_model() -> Self {
        let message = "the model does not exist; GET /v1/models lists what there is";
        Failure::new(ProblemKind::NotFound, "model_not_found", message)
            .at("model")
            .into()
    }

    /// The path has routes, but not with this method.
    pub(super) fn no_method(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not take {method}.");
        Self::with(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    /// A request to open a WebSocket, for whose requests there is no policy. Codex's clients follow it by a request over HTTP,
    /// and try again after any other status (0.169.0).
    pub(super) fn no_websocket() -> Self {
        let message = "The gateway's policy does not support `responses`, so it has no WebSockets.";
        let code = "websocket_not_supported";
        Self::with(StatusCode::UPGRADE_REQUIRED, code, message.to_owned())
    }

    /// A web origin or `Host` that is not allowed.
    pub(super) fn forbidden(code: &str, message: String) -> Self {
        Self::with(StatusCode::FORBIDDEN, code, message)
    }

    /// A key that is missing or wrong.
    pub(super) fn wrong_key(message: &str) -> Self {
        Failure::new(ProblemKind::Authentication, "invalid_api_key", message).into()
    }

    /// A body that the route cannot read. Always 400, as OpenAI answers, also where HTTP has a more specific status.
    pub(super) fn body(code: &str, message: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, code, message.to_owned())
    }

    /// A request that breaks a rule of HTTP.
    pub(super) fn invalid(code: &str, message: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, code, message.to_owned())
    }

    /// A transfer coding besides `chunked` (RFC 9112 §6.1).
    pub(super) fn unknown_coding() -> Self {
        let message = "The request's Transfer-Encoding must be `chunked` and no other.".to_owned();
        let code = "unsupported_transfer_encoding";
        Self::with(StatusCode::NOT_IMPLEMENTED, code, message)
    }

    /// A request that the present state does not allow.
    pub(super) fn conflict(code: &str, message: &str) -> Self {
        Self::with(StatusCode::CONFLICT, code, message.to_owned())
    }

    /// A change that is not made because it cannot be written to the disk.
    pub(super) fn unsaved(cause: &io::Error, message: String) -> Self {
        let status = match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let failure = Failure::new(ProblemKind::Overloaded, "not_saved", message);
        Self { status, failure }
    }

    /// A body larger than `limits.body_bytes`.
    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!(
            "The request is larger than the {limit} bytes that this gateway takes (limits.body_bytes)."
        );
        Self::with(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, message)
    }

    /// A body that arrives too slowly.
    pub(super) fn too_slow(message: &str) -> Self {
        let message = message.to_owned();
        Self::with(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// An error of the gateway itself, whose cause is for the log.
    pub(super) fn internal(message: &str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
        failure.because(cause).into()
    }

    /// The handler of the request panicked. The log has the panic already.
    pub(super) fn panicked() -> Self {
        let message = "The gateway failed on this request. The log has the cause.";
        Failure::new(ProblemKind::Internal, "internal_error", message).into()
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The error as a message of a WebSocket, and a line in the log.
    pub(super) fn into_websocket_error(self, stream_id: Option<&str>) -> String {
        log(&self.failure);
        let problem = &self.failure.problem;
        let error = WebSocketError {
            r#type: "error",
            status: self.status.as_u16(),
            stream_id,
            error: EnvelopedError::of(problem),
        };
        // Strings and numbers always serialise.
        airlock_wire::sse::json(&error).unwrap_or_default()
    }

    fn with(status: StatusCode, code: &str, message: String) -> Self {
        Self {
            status,
            failure: Failure::new(ProblemKind::InvalidRequest, code, message),
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        log(&self.failure);
        let problem = self.failure.problem;
        let mut response = json::response(self.status, envelope(&problem));
        if let Some(seconds) = problem.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            // Required by RFC 9110 §15.5.22; there is no other protocol to name.
            let protocol = HeaderValue::from_static("HTTP/1.1");
            response.headers_mut().insert(UPGRADE, protocol);
        }
        response.extensions_mut().insert(ProblemBody(problem));
        response
    }
}

/// The problem whose envelope a response's body is, for dialects with another envelope.
#[derive(Clone)]
pub(super) struct ProblemBody(pub(super) Problem);

/// OpenAI's error envelope of a problem, as one line of JSON. A stream ends with it when its policy has failed.
pub(super) fn envelope(problem: &Problem) -> String {
    let error = EnvelopedError::of(problem);
    // Strings always serialise.
    airlock_wire::sse::json(&ErrorResponse { error }).unwrap_or_default()
}

/// Logs a failure with its cause, which clients do not receive.
pub(super) fn log(failure: &Failure) {
    let Problem { kind, code, .. } = &failure.problem;
    let code = code.as_deref().unwrap_or("none");
    let cause = chain(failure);
    match kind {
        ProblemKind::Internal => tracing::error!(code, cause, "failed: {failure}"),
        ProblemKind::Upstream | ProblemKind::Timeout | ProblemKind::Overloaded => {
            tracing::warn!(code, cause, "failed: {failure}");
        }
        ProblemKind::InvalidRequest
        | ProblemKind::Unsupported
        | ProblemKind::NotFound
        | ProblemKind::Authentication
        | ProblemKind::RateLimited => tracing::info!(code, cause, "refused: {failure}"),
    }
}

/// The chain of causes of a failure, on one line.
fn chain(failure: &Failure) -> Option<String> {
    let mut causes = Vec::new();
    let mut next = failure.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

fn status(problem: &Problem) -> StatusCode {
    match problem.kind {
        ProblemKind::InvalidRequest if problem.code.as_deref() == Some(TOO_LARGE) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ProblemKind::InvalidRequest | ProblemKind::Unsupported => StatusCode::BAD_REQUEST,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::Authentication => StatusCode::UNAUTHORIZED,
        ProblemKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ProblemKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Upstream => StatusCode::BAD_GATEWAY,
        ProblemKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error types of OpenAI's API.
fn error_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::InvalidRequest | ProblemKind::Unsupported | ProblemKind::NotFound => {
            "invalid_request_error"
        }
        ProblemKind::Authentication => "authentication_error",
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::Overloaded
        | ProblemKind::Upstream
        | ProblemKind::Timeout
        | ProblemKind::Internal => "server_error",
    }
}

#[derive(Serialize)]
struct ErrorResponse<'a> {
    error: EnvelopedError<'a>,
}

/// An error as the Responses API sends it on a WebSocket.
#[derive(Serialize)]
struct WebSocketError<'a> {
    r#type: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<&'a str>,
    error: EnvelopedError<'a>,
}

/// A problem as OpenAI's APIs describe it.
#[derive(Serialize)]
pub(super) struct EnvelopedError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> EnvelopedError<'a> {
    pub(super) fn of(problem: &'a Problem) -> Self {
        Self {
            message: &problem.message,
            r#type: error_type(problem.kind),
            param: problem.param.as_deref(),
            code: problem.code.as_deref(),
        }
    }
}
