//! The error objects of the dialects. OpenAI's is `{"error":{"message","type","param","code"}}`, Anthropic's
//! `{"type":"error","error":{"type","message"},"request_id"}`.

use serde::Serialize;

use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::json;

/// The error object for a stream that has begun. One line of JSON.
pub(crate) fn envelope(problem: &Problem) -> String {
    json::to_line(&ErrorEnvelope {
        error: ErrorObject::of(problem),
    })
}

/// Anthropic's error object for a stream that has begun. One line of JSON. The message begins with the field at fault,
/// for which the object has no member.
pub(crate) fn anthropic_envelope(problem: &Problem, request: &str) -> String {
    let message = match &problem.param {
        Some(param) if !problem.message.starts_with(param.as_str()) => {
            format!("{param}: {}", problem.message)
        }
        Some(_) | None => problem.message.clone(),
    };
    json::to_line(&AnthropicEnvelope {
        r#type: "error",
        error: AnthropicError {
            r#type: anthropic_type(problem.kind),
            message: &message,
        },
        request_id: request,
    })
}

/// The path of a field as the Messages API writes it: `messages.1.content.0` for `messages[1].content[0]`.
pub(crate) fn dotted(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

/// Anthropic's `type` of an error.
fn anthropic_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::InvalidRequest | ProblemKind::Unsupported => "invalid_request_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::Authentication => "authentication_error",
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::Overloaded => "overloaded_error",
        ProblemKind::Upstream | ProblemKind::Internal => "api_error",
        ProblemKind::Timeout => "timeout_error",
    }
}

/// A problem with a code, which no field of the request caused.
pub(crate) fn coded(kind: ProblemKind, code: &str, message: String) -> Problem {
    Problem {
        kind,
        code: Some(code.to_owned()),
        message,
        param: None,
        retry_after_seconds: None,
    }
}

/// A failure of Codex or of the model.
pub(crate) fn upstream(code: &str, message: &str) -> Problem {
    coded(ProblemKind::Upstream, code, message.to_owned())
}

/// A turn was interrupted, but not by the client.
pub(crate) fn turn_interrupted() -> Problem {
    upstream(
        "turn_interrupted",
        "the turn was interrupted before the answer was complete; send the request again",
    )
}

/// The host's code for a candidate whose text exceeds `limits.candidate_bytes`.
const TOO_LARGE: &str = "candidate_too_large";

/// A message that does not disclose the cause: for the failure of one turn of several, on which the client cannot
/// act.
pub(crate) fn generic(problem: &Problem) -> &'static str {
    if problem.code.as_deref() == Some(TOO_LARGE) {
        return "the answer exceeds the gateway's limit";
    }
    match problem.kind {
        ProblemKind::InvalidRequest => "the request was refused",
        ProblemKind::Unsupported => "the request requires something that is not supported",
        ProblemKind::NotFound => "something that the request names does not exist",
        ProblemKind::Authentication => "the credentials were refused",
        ProblemKind::RateLimited => "the model's limit was reached",
        ProblemKind::Overloaded => "there was no capacity, or the model was not ready",
        ProblemKind::Upstream => "Codex or the model failed",
        ProblemKind::Timeout => "it took too long",
        ProblemKind::Internal => "the gateway failed",
    }
}

/// Of the problems of turns none of which has answered, the most specific: what the request did wrong, before
/// what the gateway could do better. The first of equal ones.
pub(crate) fn most_specific<'a>(
    problems: impl IntoIterator<Item = &'a Problem>,
) -> Option<&'a Problem> {
    problems
        .into_iter()
        .min_by_key(|problem| match problem.kind {
            ProblemKind::InvalidRequest => 0,
            ProblemKind::Unsupported => 1,
            ProblemKind::NotFound => 2,
            ProblemKind::Authentication => 3,
            ProblemKind::RateLimited => 4,
            ProblemKind::Overloaded => 5,
            ProblemKind::Timeout => 6,
            ProblemKind::Upstream => 7,
            ProblemKind::Internal => 8,
        })
}

/// OpenAI's `type` of an error.
pub(crate) fn type_name(kind: ProblemKind) -> &'static str {
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
struct ErrorEnvelope<'a> {
    error: ErrorObject<'a>,
}

/// OpenAI's `error`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> ErrorObject<'a> {
    pub(crate) fn of(problem: &'a Problem) -> Self {
        Self {
            message: &problem.message,
            r#type: type_name(problem.kind),
            param: problem.param.as_deref(),
            code: problem.code.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct AnthropicEnvelope<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_type_of_openai() {
        let kinds = [
            (ProblemKind::InvalidRequest, "invalid_request_error"),
            (ProblemKind::Unsupported, "invalid_request_error"),
            (ProblemKind::NotFound, "invalid_request_error"),
            (ProblemKind::Authentication, "authentication_error"),
            (ProblemKind::RateLimited, "rate_limit_error"),
            (ProblemKind::Overloaded, "server_error"),
            (ProblemKind::Upstream, "server_error"),
            (ProblemKind::Timeout, "server_error"),
            (ProblemKind::Internal, "server_error"),
        ];
        let mut messages = BTreeSet::new();
        for (kind, expected) in kinds {
            assert_eq!(type_name(kind), expected, "{kind:?}");
            let is_unique = messages.insert(generic(&problem(kind, "some_code")));
            assert!(is_unique, "{kind:?} has words of its own");
        }
        assert!(messages.insert(generic(&problem(ProblemKind::Upstream, TOO_LARGE))));
    }

    fn problem(kind: ProblemKind, code: &str) -> Problem {
        Problem {
            kind,
            code: Some(code.to_owned()),
            message: "secret cause".to_owned(),
            param: None,
            retry_after_seconds: None,
        }
    }

    #[test]
    fn anthropics_error_names_the_field_in_its_message() {
        let kinds = [
            (ProblemKind::InvalidRequest, "invalid_request_error"),
            (ProblemKind::Unsupported, "invalid_request_error"),
            (ProblemKind::NotFound, "not_found_error"),
            (ProblemKind::Authentication, "authentication_error"),
            (ProblemKind::RateLimited, "rate_limit_error"),
            (ProblemKind::Overloaded, "overloaded_error"),
            (ProblemKind::Upstream, "api_error"),
            (ProblemKind::Timeout, "timeout_error"),
            (ProblemKind::Internal, "api_error"),
        ];
        for (kind, expected) in kinds {
            assert_eq!(anthropic_type(kind), expected, "{kind:?}");
        }
        for (param, message) in [
            (None, "a \\\"b\\\""),
            (Some("tools"), "tools: a \\\"b\\\""),
            (Some("a"), "a \\\"b\\\""),
        ] {
            let problem = Problem {
                kind: ProblemKind::Timeout,
                message: "a \"b\"".to_owned(),
                param: param.map(str::to_owned),
                code: Some("c".to_owned()),
                retry_after_seconds: None,
            };
            assert_eq!(
                anthropic_envelope(&problem, "req_1"),
                format!(
                    r#"{{"type":"error","error":{{"type":"timeout_error","message":"{message}"}},"request_id":"req_1"}}"#
                )
            );
        }
    }

    #[test]
    fn the_error_envelope_is_one_line() {
        let problem = Problem {
            kind: ProblemKind::Upstream,
            code: Some("upstream_error".to_owned()),
            message: "it said \"no\"\nand left".to_owned(),
            param: None,
            retry_after_seconds: Some(3),
        };
        assert_eq!(
            envelope(&problem),
            r#"{"error":{"message":"it said \"no\"\nand left","type":"server_error","param":null,"code":"upstream_error"}}"#
        );
    }
}
