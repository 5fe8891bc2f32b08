//! Classifies Codex's errors into failures for clients.
//!
//! The codes are those that Codex 0.169.0 reports for each failure of the model (recordings `17_fail_*`).

mod refresh; // ChatGPT tokens that could not be renewed

use std::time::Duration;

use airlock_wire::decode::{RpcError, TurnError};
use serde_json::Value;

use super::call_error::CallError;
use super::protocol::{DynamicTool, INVALID_PARAMS, OVERLOADED};
use super::stderr;
use super::turn_outcome::TurnOutcome;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, ProblemKind, Shortfall};

/// `Retry-After` for a limited or overloaded model, in seconds, if the model does not give one.
const RETRY_SECONDS: u32 = 5;

/// Bytes of the longest path of a field that is taken from a model's refusal.
const FIELD_BYTES: usize = 128;

/// Codex's report of an error, for the log.
#[derive(Debug, thiserror::Error)]
#[error("codex: {message} ({info})")]
struct ReportedError {
    message: String,
    info: String,
}

/// The outcome of a failed turn.
pub(super) fn of_turn(error: Option<&TurnError>) -> TurnOutcome {
    let Some(error) = error else {
        return upstream("the model's answer failed").into();
    };
    if let Some(shortfall) = shortfall(error) {
        return Ending::Incomplete(shortfall).into();
    }
    let info = error.codex_error_info.as_ref();
    let reported = ReportedError {
        message: [
            Some(error.message.as_str()),
            error.additional_details.as_deref(),
        ]
        .into_iter()
        .flatten()
        .map(stderr::clean)
        .collect::<Vec<_>>()
        .join("; "),
        info: info.map(Value::to_string).unwrap_or_default(),
    };
    classify(error).because(reported).into()
}

/// Why the model's answer is cut short. Codex reports that only in a message.
pub(super) fn shortfall(error: &TurnError) -> Option<Shortfall> {
    let is_reason = |reason: &str| {
        let text = format!("Incomplete response returned, reason: {reason}");
        error.message.ends_with(&text)
            || error
                .additional_details
                .as_deref()
                .is_some_and(|details| details.ends_with(&text))
    };
    if is_reason("max_output_tokens") {
        Some(Shortfall::MaxOutputTokens)
    } else if is_reason("content_filter") {
        Some(Shortfall::ContentFilter)
    } else {
        None
    }
}

/// Whether each retry of Codex would fail in the same way: the answer is cut short, or there is no token for the model.
pub(super) fn is_final(error: &TurnError) -> bool {
    shortfall(error).is_some() || refresh::of(error).is_some()
}

/// Codex's name for an error, and the HTTP status of the model's response if there is one.
fn named(error: &TurnError) -> (&str, Option<u64>) {
    match &error.codex_error_info {
        Some(Value::String(name)) => (name, None),
        Some(Value::Object(members)) => match members.iter().next() {
            Some((name, detail)) => (name, detail["httpStatusCode"].as_u64()),
            None => ("other", None),
        },
        _ => ("other", None),
    }
}

/// Whether Codex could not connect to the model: refused, timed out, no such host. Codex reports that only in messages (0.163.0
/// and 0.169.0): `Connection failed: …` over HTTP, and over WebSockets `request timed out` or the system's error.
pub(super) fn is_unreachable(error: &TurnError) -> bool {
    let texts = [
        Some(error.message.as_str()),
        error.additional_details.as_deref(),
    ];
    let phrases = ["Connection failed", "request timed out", "(os error "];
    let mut texts = texts.into_iter().flatten();
    named(error).1.is_none() && texts.any(|text| phrases.iter().any(|phrase| text.contains(phrase)))
}

fn classify(error: &TurnError) -> Failure {
    if let Some(failure) = refresh::of(error) {
        return failure;
    }
    if is_unreachable(error) {
        return unreachable();
    }
    match named(error) {
        ("usageLimitExceeded", _) => Failure::new(
            ProblemKind::RateLimited,
            "insufficient_quota",
            "the usage limit of the account that Codex is signed in with is reached",
        ),
        ("rateLimitExceeded", _) | (_, Some(429)) => Failure::new(
            ProblemKind::RateLimited,
            "rate_limit_exceeded",
            "the model's rate limit is reached; try again later",
        )
        .retry_after(RETRY_SECONDS),
        ("serverOverloaded", _) | (_, Some(503)) => overloaded(),
        ("contextWindowExceeded", _) => too_long(),
        ("modelNotFound", _) | (_, Some(404)) => Failure::new(
            ProblemKind::NotFound,
            "model_not_found",
            "the model does not exist or the account may not use it; GET /v1/models lists what there is",
        )
        .at("model"),
        ("cyberPolicy", _) => Failure::new(
            ProblemKind::InvalidRequest,
            "content_policy_violation",
            "the model refused the request because of its usage policy",
        ),
        ("unauthorized", _) | (_, Some(401 | 403)) => not_signed_in(),
        (_, Some(413)) => Failure::new(
            ProblemKind::InvalidRequest,
            "request_too_large",
            "the request is larger than the model takes; send less of the conversation",
        ),
        ("httpConnectionFailed" | "responseStreamConnectionFailed", None) => unreachable(),
        ("badRequest", _) => refused(error).unwrap_or_else(|| bad_request(None)),
        ("other", _) => refused(error)
            .or_else(|| fell_silent(error))
            .unwrap_or_else(|| upstream("the model's answer failed")),
        _ => upstream("the model failed to answer"),
    }
}

/// The failure for a model's 400, which Codex reports as `other` with the response's body, in OpenAI's envelope, as its
/// message. `param` names a field of Codex's request; the policy translates it to a field of the client's.
fn refused(error: &TurnError) -> Option<Failure> {
    let body: Value = serde_json::from_str(&error.message).ok()?;
    let message = body["error"]["message"].as_str()?;
    // Codex 0.163 had no name of its own for this.
    if body["error"]["code"] == "context_length_exceeded" {
        return Some(too_long());
    }
    let failure = bad_request(Some(message));
    let param = body["error"]["param"].as_str().filter(|it| is_field(it));
    Some(match param.or_else(|| field_in(message)) {
        Some(field) => failure.at(field),
        None => failure,
    })
}

/// The field that a message names in quotes: `Invalid 'input[1].call_id': string too long`.
fn field_in(message: &str) -> Option<&str> {
    /// The first names of such paths.
    const ROOTS: [&str; 6] = [
        "input",
        "instructions",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
    ];
    let bytes = message.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    let quotes: Vec<usize> = memchr::memchr_iter(b'\'', bytes).collect();
    let mut quoted = quotes.windows(2).filter_map(|pair| {
        // A quote within a word is an apostrophe.
        let apart = !is_word(pair[0].checked_sub(1)) && !is_word(Some(pair[1] + 1));
        message.get(pair[0] + 1..pair[1]).filter(|_| apart)
    });
    quoted.find(|field| is_field(field) && ROOTS.contains(&root_of(field)))
}

/// Whether all of the text looks like the path of a field, such as `tools[0].parameters`.
fn is_field(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte);
    (1..=FIELD_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// The first name of a path.
fn root_of(field: &str) -> &str {
    field.split(['.', '[']).next().unwrap_or_default()
}

/// The failure of a model that began to answer and was then silent for longer than Codex waits (`stream_idle_timeout_ms`).
fn fell_silent(error: &TurnError) -> Option<Failure> {
    let silent = error.message.ends_with("idle timeout waiting for SSE");
    silent.then(|| {
        Failure::new(
            ProblemKind::Timeout,
            "upstream_timeout",
            "the model began to answer and then fell silent",
        )
    })
}

fn bad_request(detail: Option<&str>) -> Failure {
    let detail = detail
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    let message = format!("the model refused the request{detail}");
    Failure::new(ProblemKind::InvalidRequest, "upstream_bad_request", message)
}

fn upstream(message: &str) -> Failure {
    Failure::new(ProblemKind::Upstream, "upstream_error", message)
}

fn unreachable() -> Failure {
    Failure::new(
        ProblemKind::Upstream,
        "upstream_unreachable",
        "Codex cannot reach the model; check the gateway's network and proxy",
    )
}

/// The outcome if the model has sent nothing for `wait`, and Codex still waits. `error`: why Codex repeated its request, if it
/// did.
pub(super) fn unanswered_by_model(wait: Duration, error: Option<&TurnError>) -> TurnOutcome {
    if let Some(error) = error {
        return of_turn(Some(error));
    }
    let message = format!(
        "the model sent nothing for {} s and the turn was stopped; check the gateway's network and proxy, or raise limits.model_wait for a slow model",
        wait.as_secs_f32()
    );
    Failure::new(ProblemKind::Timeout, "upstream_timeout", message).into()
}

/// The failure of a turn that made too many requests to the model.
pub(super) fn looping(requests: usize) -> Failure {
    let message = format!(
        "the model called functions again and again that it was not offered; the turn was stopped after {requests} requests to the model (limits.model_requests)"
    );
    Failure::new(ProblemKind::Upstream, "upstream_loop", message)
}

fn overloaded() -> Failure {
    Failure::new(
        ProblemKind::Overloaded,
        "server_overloaded",
        "the model or Codex is overloaded; try again later",
    )
    .retry_after(RETRY_SECONDS)
}

/// The conversation does not fit the model's context window.
pub(super) fn too_long() -> Failure {
    Failure::new(
        ProblemKind::InvalidRequest,
        "context_length_exceeded",
        "the conversation does not fit the model's context window; send less of it",
    )
}

/// The model refused the operator's account, or there is none. A client's credentials are not at fault, so this is no 401.
pub(super) fn not_signed_in() -> Failure {
    Failure::new(
        ProblemKind::Overloaded,
        "codex_not_signed_in",
        "Codex is not signed in, or the model refused its sign-in or key; the gateway's operator must run `airlock login`, or renew the key of the model's provider",
    )
}

/// Whether a turn failed because the account's credentials were refused. A 403 does not count: it may concern one model, or
/// come from a proxy.
pub(super) fn is_refused(error: &TurnError) -> bool {
    matches!(named(error), ("unauthorized", _) | (_, Some(401)))
}

/// The child exited before the turn had ended.
pub(super) fn exited() -> Failure {
    Failure::new(
        ProblemKind::Upstream,
        "codex_exited",
        "Codex exited before the answer was complete; send the request again",
    )
}

/// The turn exceeded `limits.turn_timeout`.
pub(super) fn too_slow() -> Failure {
    Failure::new(
        ProblemKind::Timeout,
        "turn_timeout",
        "the turn took longer than this gateway allows and was stopped",
    )
}

/// The model called tools, and the policy that offered them did not hand the turn off.
pub(super) fn unanswered() -> Failure {
    Failure::new(
        ProblemKind::Internal,
        "policy_failed",
        "the gateway's policy could not handle the model's tool calls",
    )
    .because("the policy handed no turn off although the model had called its tools".to_owned())
}

/// The failure for a call that Codex refused or never answered.
pub(super) fn of_call(method: &'static str, error: CallError) -> Failure {
    let failure = match &error {
        CallError::Closed => exited(),
        CallError::TimedOut => Failure::new(
            ProblemKind::Timeout,
            "codex_timeout",
            "Codex did not answer in time; try again later",
        ),
        CallError::Refused(RpcError {
            code: OVERLOADED, ..
        }) => overloaded(),
        CallError::Refused(RpcError {
            code: INVALID_PARAMS,
            ..
        }) => too_long(),
        CallError::Refused(_) => upstream("Codex refused to run the request"),
        CallError::Malformed(_) => {
            upstream("Codex answered in a way that this gateway does not know")
        }
    };
    failure.because(FailedCall { method, error })
}

/// Attributes a refused `thread/start` to the tool whose schema Codex does not support. Its message is `dynamic tool input
/// schema is not supported for NAME: REASON` (0.169.0). Other failures are returned as they are.
pub(super) fn of_tools(failure: Failure, tools: &[DynamicTool]) -> Failure {
    let called = failure.cause.as_ref();
    let called = called.and_then(|cause| cause.downcast_ref::<FailedCall>());
    let Some(CallError::Refused(refusal)) = called.map(|called| &called.error) else {
        return failure;
    };
    let refused = tools.iter().find_map(|tool| {
        let before = format!("not supported for {}: ", tool.name);
        let (_, reason) = refusal.message.split_once(&before)?;
        Some((tool, reason))
    });
    let Some((tool, reason)) = refused else {
        return failure;
    };
    let kind = ProblemKind::InvalidRequest;
    let message = format!("Codex cannot read this schema: {reason}");
    let param = tool.param.as_str();
    Failure {
        problem: Failure::new(kind, "invalid_function_parameters", message)
            .at(param)
            .problem,
        cause: failure.cause,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{method}")]
struct FailedCall {
    method: &'static str,
    #[source]
    error: CallError,
}

#[cfg(test)]
mod tests;
