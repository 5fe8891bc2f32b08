//! Failures as clients see them: the only place that turns a problem into a status and writes the error envelope.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, ErrorKind};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use airlock_policy::size::TOO_LARGE;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// What a client of the Responses API is to set.
const RESPONSES: &str = " It does not have the Responses API. Set the client to chat completions: \
    client.chat.completions in OpenAI's SDKs, ChatOpenAI(use_responses_api=False) in LangChain, \
    openai.chat(MODEL) in the Vercel AI SDK, set_default_openai_api(\"chat_completions\") in OpenAI's Agents SDK.";

/// Why a request is not answered: a failure on its way, or a rule of HTTP that it breaks before it has one.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    failure: Failure,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            status: status(&failure.problem),
            failure,
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Failure::from(problem).into()
    }
}

impl Refusal {
    pub(super) fn no_route(method: &Method, path: &str) -> Self {
        // Clients whose base URL lacks the version ask for the rest of a path alone.
        let (below, versioned) = match path.strip_prefix("/v1/") {
            Some(below) => (below, true),
            None => (path.trim_start_matches('/'), false),
        };
        let way = if below == "responses" || below.starts_with("responses/") {
            RESPONSES
        } else if versioned && !below.starts_with("v1/") {
            ""
        } else {
            " A client's base URL must be this gateway's address followed by /v1, once."
        };
        let message = format!(
            "There is no route {method} {path}: this gateway has POST /v1/chat/completions and GET /v1/models.{way}"
        );
        Failure::new(ProblemKind::NotFound, "unknown_url", message).into()
    }

    /// A model whose name is not even text, so that it cannot be repeated.
    pub(super) fn no_model() -> Self {
        let message = "the model does not exist; GET /v1/models lists what there is";
        Failure::new(ProblemKind::NotFound, "model_not_found", message)
            .at("model")
            .into()
    }

    pub(super) fn no_method(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not take {method}.");
        Self::with(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    /// A page or a name that may not reach this gateway.
    pub(super) fn forbidden(code: &str, message: String) -> Self {
        Self::with(StatusCode::FORBIDDEN, code, message)
    }

    pub(super) fn wrong_key(message: &str) -> Self {
        Failure::new(ProblemKind::Authentication, "invalid_api_key", message).into()
    }

    /// A body that is not what the route reads. OpenAI answers 400 to all of these, also where HTTP has a status.
    pub(super) fn body(code: &str, message: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, code, message.to_owned())
    }

    /// A rule of HTTP that the request breaks.
    pub(super) fn invalid(code: &str, message: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, code, message.to_owned())
    }

    /// A transfer coding besides `chunked` (RFC 9112 §6.1).
    pub(super) fn unknown_coding() -> Self {
        let message = "The request's Transfer-Encoding must be `chunked` and no other.".to_owned();
        let code = "unsupported_transfer_encoding";
        Self::with(StatusCode::NOT_IMPLEMENTED, code, message)
    }

    /// What cannot be now, because of how things are.
    pub(super) fn conflict(code: &str, message: &str) -> Self {
        Self::with(StatusCode::CONFLICT, code, message.to_owned())
    }

    /// What an operator asked for cannot be written to the disk, so it is not done.
    pub(super) fn unsaved(cause: &io::Error, message: String) -> Self {
        let status = match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let failure = Failure::new(ProblemKind::Overloaded, "not_saved", message);
        Self { status, failure }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!(
            "The request is larger than the {limit} bytes that this gateway takes (limits.body_bytes)."
        );
        Self::with(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, message)
    }

    pub(super) fn too_slow(message: &str) -> Self {
        let message = message.to_owned();
        Self::with(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// The answer to a request whose handler panicked. The panic itself is in the log already.
    pub(super) fn panicked() -> Response {
        let message = "The gateway failed on this request. The log has the cause.";
        Self::from(Failure::new(
            ProblemKind::Internal,
            "internal_error",
            message,
        ))
        .into_response()
    }

    fn with(status: StatusCode, code: &str, message: String) -> Self {
        Self {
            status,
            failure: Failure::new(ProblemKind::InvalidRequest, code, message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        log(&self.failure);
        let mut response = json(self.status, envelope(&self.failure.problem));
        if let Some(seconds) = self.failure.problem.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// JSON as a response.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A problem as OpenAI's clients read it, on one line. Also a stream's last word when its policy has failed.
pub(super) fn envelope(problem: &Problem) -> String {
    let error = Inner {
        message: &problem.message,
        r#type: kind(problem.kind),
        param: problem.param.as_deref(),
        code: problem.code.as_deref(),
    };
    // Texts always become JSON.
    airlock_wire::sse::json(&Envelope { error }).unwrap_or_default()
}

/// Writes a failure's cause, which no client sees, to the log.
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

/// The cause of a failure, and the causes of that, on one line.
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

fn kind(kind: ProblemKind) -> &'static str {
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
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}
