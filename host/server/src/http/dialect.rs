//! The dialects of client APIs: their routes, and their errors, which the host writes also when a policy is broken.

use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::MethodFilter;
use serde::Serialize;

use super::failure::{EnvelopedError, ProblemBody, envelope};
use airlock_types::wit::{Problem, ProblemKind};

/// Anthropic's header of a request's id.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The header that every client of Anthropic's API sends.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Anthropic's status of an overloaded API, which its clients retry.
const OVERLOADED: u16 = 529;

/// The dialect of a client's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAI's chat completions, and every other route of OpenAI's API.
    ChatCompletions,
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Messages,
}

/// A route that policies answer.
pub(super) struct ApiRoute {
    pub(super) dialect: Dialect,
    /// The method and path, as policies name the route.
    pub(super) name: &'static str,
    /// Whether a request must have a body. Without one the policy receives an empty object.
    pub(super) requires_body: bool,
}

/// The routes that policies answer.
pub(super) const API_ROUTES: &[ApiRoute] = &[
    ApiRoute::chat("POST /v1/chat/completions"),
    ApiRoute::responses("POST /v1/responses"),
    ApiRoute::responses("POST /v1/responses/input_tokens"),
    ApiRoute::responses("POST /v1/responses/compact"),
    ApiRoute::responses("GET /v1/responses/{response_id}").without_body(),
    ApiRoute::responses("DELETE /v1/responses/{response_id}").without_body(),
    ApiRoute::responses("POST /v1/responses/{response_id}/cancel").without_body(),
    ApiRoute::responses("GET /v1/responses/{response_id}/input_items").without_body(),
    ApiRoute::responses("POST /v1/conversations").without_body(),
    ApiRoute::responses("GET /v1/conversations/{conversation_id}").without_body(),
    ApiRoute::responses("POST /v1/conversations/{conversation_id}"),
    ApiRoute::responses("DELETE /v1/conversations/{conversation_id}").without_body(),
    ApiRoute::responses("POST /v1/conversations/{conversation_id}/items"),
    ApiRoute::responses("GET /v1/conversations/{conversation_id}/items").without_body(),
    ApiRoute::responses("GET /v1/conversations/{conversation_id}/items/{item_id}").without_body(),
    ApiRoute::responses("DELETE /v1/conversations/{conversation_id}/items/{item_id}")
        .without_body(),
    ApiRoute::messages("POST /v1/messages"),
    ApiRoute::messages("POST /v1/messages/count_tokens"),
];

impl ApiRoute {
    const fn chat(name: &'static str) -> Self {
        Self::new(Dialect::ChatCompletions, name)
    }

    const fn responses(name: &'static str) -> Self {
        Self::new(Dialect::Responses, name)
    }

    const fn messages(name: &'static str) -> Self {
        Self::new(Dialect::Messages, name)
    }

    const fn new(dialect: Dialect, name: &'static str) -> Self {
        Self {
            dialect,
            name,
            requires_body: true,
        }
    }

    const fn without_body(mut self) -> Self {
        self.requires_body = false;
        self
    }

    /// The method and the path, with names of parameters in braces.
    pub(super) fn method_and_path(&self) -> (MethodFilter, &'static str) {
        let (method, path) = self.name.split_once(' ').unwrap_or(("POST", self.name));
        let method = match method {
            "GET" => MethodFilter::GET,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        };
        (method, path)
    }
}

impl Dialect {
    /// The name for policies.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat-completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }

    /// The dialect of a request: by its path, and for paths of no dialect by Anthropic's version header.
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/v1/messages") {
            Self::Messages
        } else if below("/v1/responses") || below("/v1/conversations") {
            Self::Responses
        } else if !below("/v1/chat") && headers.contains_key(ANTHROPIC_VERSION) {
            Self::Messages
        } else {
            Self::ChatCompletions
        }
    }

    /// Writes the response of a failure in this dialect, and its headers. `request_id` is the id that the client sees.
    pub(super) fn finish(self, mut response: Response, request_id: &str) -> Response {
        if self != Self::Messages {
            return response;
        }
        if let Some(ProblemBody(problem)) = response.extensions_mut().remove() {
            let (mut parts, _) = response.into_parts();
            let body = messages_error(&problem, parts.status, Some(request_id));
            if problem.kind == ProblemKind::Overloaded {
                parts.status = StatusCode::from_u16(OVERLOADED).unwrap_or(parts.status);
            }
            parts.headers.remove(CONTENT_LENGTH);
            response = Response::from_parts(parts, body.into());
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert(ANTHROPIC_REQUEST_ID, id);
        }
        response
    }

    /// The events that end a stream whose policy has failed: each a name and its data. `sequence` is the number of the next
    /// numbered event.
    pub(super) fn stream_error(
        self,
        problem: &Problem,
        sequence: u64,
    ) -> Vec<(Option<&'static str>, String)> {
        let done = || (None, "[DONE]".to_owned());
        match self {
            Self::ChatCompletions => vec![(None, envelope(problem)), done()],
            Self::Messages => vec![(Some("error"), messages_error(problem, StatusCode::OK, None))],
            Self::Responses => {
                let event = ResponsesErrorEvent {
                    r#type: "error",
                    sequence_number: sequence,
                    code: problem.code.as_deref(),
                    message: &problem.message,
                    param: problem.param.as_deref(),
                    error: EnvelopedError::of(problem),
                };
                vec![(Some("error"), to_json(&event)), done()]
            }
        }
    }
}

/// Anthropic's error body of a problem, as one line of JSON.
fn messages_error(problem: &Problem, status: StatusCode, request_id: Option<&str>) -> String {
    let message = match problem.param.as_deref() {
        Some(param) if !problem.message.starts_with(param) => {
            format!("{param}: {}", problem.message)
        }
        _ => problem.message.clone(),
    };
    to_json(&MessagesError {
        r#type: "error",
        error: MessagesErrorBody {
            r#type: messages_error_type(problem, status),
            message: &message,
            details: messages_error_details(problem),
        },
        request_id,
    })
}

/// The details of an error that Anthropic's packages react to: a thread of messages that cannot be kept.
fn messages_error_details(problem: &Problem) -> Option<MessagesErrorDetails<'_>> {
    let code = problem.code.as_deref();
    let error_code = code.filter(|code| code.starts_with("thread_"))?;
    Some(MessagesErrorDetails { error_code })
}

/// The error types of Anthropic's API, by its documentation of errors.
fn messages_error_type(problem: &Problem, status: StatusCode) -> &'static str {
    use airlock_policy::request_size::TOO_LARGE;
    match problem.kind {
        ProblemKind::InvalidRequest if problem.code.as_deref() == Some(TOO_LARGE) => {
            "request_too_large"
        }
        ProblemKind::InvalidRequest if status == StatusCode::FORBIDDEN => "permission_error",
        ProblemKind::InvalidRequest | ProblemKind::Unsupported => "invalid_request_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::Authentication => "authentication_error",
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::Overloaded => "overloaded_error",
        ProblemKind::Timeout => "timeout_error",
        ProblemKind::Upstream | ProblemKind::Internal => "api_error",
    }
}

/// As JSON on one line. Strings always serialise.
fn to_json<T: Serialize>(value: &T) -> String {
    airlock_wire::sse::json(value).unwrap_or_default()
}

#[derive(Serialize)]
struct MessagesError<'a> {
    r#type: &'static str,
    error: MessagesErrorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct MessagesErrorBody<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<MessagesErrorDetails<'a>>,
}

#[derive(Serialize)]
struct MessagesErrorDetails<'a> {
    error_code: &'a str,
}

/// The event `error` of the Responses API. OpenAI's schema has the members beside `type`; some clients read those in `error`.
#[derive(Serialize)]
struct ResponsesErrorEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    error: EnvelopedError<'a>,
}

#[cfg(test)]
mod tests;
