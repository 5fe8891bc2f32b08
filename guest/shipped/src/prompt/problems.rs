//! Problems with a request: their messages, and the path of the field at fault.

use std::borrow::Cow;

use crate::DIALECTS;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::problem::coded;

/// The most characters of a client's own text that a message repeats.
const QUOTED_AT_MOST: usize = 64;

/// A problem with the field at `path`, or with the body as a whole where that is empty.
pub(super) fn problem(kind: ProblemKind, path: String, message: &str) -> Problem {
    let (message, param) = if path.is_empty() {
        (format!("the body: {message}"), None)
    } else {
        (format!("{path}: {message}"), Some(path))
    };
    Problem {
        kind,
        code: None,
        message,
        param,
        retry_after_seconds: None,
    }
}

pub(super) fn invalid(param: &str, message: &str) -> Problem {
    problem(ProblemKind::InvalidRequest, param.to_owned(), message)
}

pub(super) fn missing(param: &str, advice: &str) -> Problem {
    invalid(param, &format!("required: {advice}"))
}

/// The request of a turn asks for several turns by its field `param`.
pub(super) fn nested_fan_out(param: &str) -> Problem {
    let message = "this request comes from a turn of a gateway like this one, which must not fan out again: leave it out, or give `1`";
    Problem {
        code: Some("nested_fan_out".to_owned()),
        ..invalid(param, message)
    }
}

pub(super) fn unsupported_choices(reason: &str) -> Problem {
    let message = format!("not supported: {reason}");
    problem(ProblemKind::Unsupported, "n".to_owned(), &message)
}

pub(super) fn unknown_dialect(dialect: &str) -> Problem {
    coded(
        ProblemKind::NotFound,
        "unknown_dialect",
        format!(
            "the policy does not support the dialect `{}`; it supports `{}`",
            quoted(dialect),
            DIALECTS.join("`, `")
        ),
    )
}

pub(super) fn unknown_route(dialect: &str, route: &str) -> Problem {
    coded(
        ProblemKind::NotFound,
        "unknown_route",
        format!(
            "the policy does not support the route `{}` of the dialect `{dialect}`",
            quoted(route)
        ),
    )
}

/// The body is not JSON, or nests too deeply to be read.
pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let what = text.strip_suffix(&position).unwrap_or(&text);
    coded(
        ProblemKind::InvalidRequest,
        "invalid_json",
        format!(
            "the body is not valid JSON: {what}, at line {}, column {}",
            error.line(),
            error.column()
        ),
    )
}

/// Text of the client, shortened for a message.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED_AT_MOST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}
