//! The Response object: every field in every event, as clients expect it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::bindings::airlock::policy::types::{Problem, ProblemKind, Usage};
use crate::json;
use crate::notes::ResponsesNotes;
use crate::stored_response::response_id;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::collected_answer::CollectedAnswer;
use crate::translate::ending::{FinishReason, ReplyEnd, is_interruption};
use crate::translate::heading::Heading;

/// The members that repeat the request, each with its value if the request's notes have none.
const ECHOED: &[(&str, &str)] = &[
    ("background", "false"),
    ("frequency_penalty", "0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "false"),
    ("temperature", "1"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1"),
    ("truncation", r#""disabled""#),
];

/// The members that describe the response, which the notes cannot set.
const OWN: &[&str] = &[
    "id",
    "object",
    "created_at",
    "status",
    "completed_at",
    "incomplete_details",
    "error",
    "output",
    "usage",
    "model",
    "airlock",
];

/// The status of a response, and of an item, that the model has completed.
pub(super) const COMPLETED: &str = "completed";
/// The status of a response, and of an item, that the model has not completed.
pub(super) const INCOMPLETE: &str = "incomplete";

/// The most bytes of a Response object besides the parts that do not change and the texts.
const OBJECT_OVERHEAD: usize = 512;

/// Codes of a failure that the API and its clients know. Others become one of these by their kind.
const ERROR_CODES: &[&str] = &[
    "context_length_exceeded",
    "insufficient_quota",
    "invalid_prompt",
    "rate_limit_exceeded",
];

/// The parts of a Response object that do not change.
#[derive(Debug)]
pub(super) struct ResponseTemplate {
    /// The JSON before the status.
    before: String,
    /// The JSON after the usage, without the last brace.
    after: String,
}

/// The members of a Response object that change.
#[derive(Debug, Default)]
pub(super) struct ResponseStatus<'a> {
    pub(super) status: &'static str,
    /// Unix seconds.
    completed_at: Option<u64>,
    incomplete: Option<&'static str>,
    error: Option<&'a Problem>,
    usage: Option<Usage>,
    airlock: Option<&'a AirlockObject<'a>>,
}

#[derive(Serialize)]
struct ResponseUsageObject {
    input_tokens: u64,
    input_tokens_details: InputTokenDetails,
    output_tokens: u64,
    output_tokens_details: OutputTokenDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputTokenDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputTokenDetails {
    reasoning_tokens: u64,
}

impl ResponseTemplate {
    pub(super) fn new(heading: &Heading, notes: &ResponsesNotes) -> Self {
        let mut before = String::from(r#"{"id":"#);
        json::push_text(&mut before, &response_id(&heading.seed));
        before.push_str(r#","object":"response","created_at":"#);
        before.push_str(&heading.created.to_string());
        before.push_str(r#","status":""#);
        let mut after = String::from(r#","model":"#);
        json::push_text(&mut after, &heading.model);
        let mut echo: BTreeMap<String, &RawValue> =
            serde_json::from_str(&notes.echo).unwrap_or_default();
        for own in OWN {
            echo.remove(*own);
        }
        for (name, default) in ECHOED {
            let value = echo.remove(*name).map_or(*default, RawValue::get);
            push_member(&mut after, name, value);
        }
        for (name, value) in echo {
            push_member(&mut after, &name, value.get());
        }
        Self { before, after }
    }

    /// Bytes of the object besides its output, or a few more.
    pub(super) fn length(&self, status: &ResponseStatus<'_>) -> usize {
        let error = status
            .error
            .map_or(0, |problem| json::text_length(&problem.message));
        let airlock = status.airlock.map_or(0, AirlockObject::json_length);
        self.before.len() + self.after.len() + error + airlock + OBJECT_OVERHEAD
    }

    /// Appends the object, with the items that `output` appends.
    pub(super) fn push(
        &self,
        out: &mut String,
        status: &ResponseStatus<'_>,
        output: impl FnOnce(&mut String),
    ) {
        out.extend([&self.before, status.status, r#"","completed_at":"#]);
        match status.completed_at {
            None => out.push_str("null"),
            Some(time) => out.push_str(&time.to_string()),
        }
        out.push_str(r#","incomplete_details":"#);
        match status.incomplete {
            None => out.push_str("null"),
            Some(reason) => out.extend([r#"{"reason":""#, reason, "\"}"]),
        }
        out.push_str(r#","error":"#);
        match status.error {
            None => out.push_str("null"),
            Some(problem) => {
                out.extend([r#"{"code":""#, error_code(problem), r#"","message":"#]);
                json::push_text(out, &problem.message);
                out.push('}');
            }
        }
        out.push_str(r#","output":["#);
        output(out);
        out.push_str(r#"],"usage":"#);
        push_usage(out, status.usage);
        out.push_str(&self.after);
        if let Some(airlock) = status.airlock {
            out.push_str(r#","airlock":"#);
            out.push_str(&json::to_line(airlock));
        }
        out.push('}');
    }
}

impl<'a> ResponseStatus<'a> {
    pub(super) fn in_progress() -> Self {
        Self {
            status: "in_progress",
            ..Self::default()
        }
    }

    pub(super) fn queued() -> Self {
        Self {
            status: "queued",
            ..Self::default()
        }
    }

    /// Of a response without a turn.
    pub(super) fn without_output(at: u64) -> Self {
        Self {
            status: "completed",
            completed_at: Some(at),
            usage: Some(Usage {
                input: 0,
                cached: 0,
                output: 0,
                reasoning: 0,
            }),
            ..Self::default()
        }
    }

    /// Of a response in the background, the turn is interrupted only if its client cancels it.
    pub(super) fn failed(problem: &'a Problem, is_in_background: bool) -> Self {
        if is_in_background && is_interruption(problem) {
            return Self {
                status: "cancelled",
                ..Self::default()
            };
        }
        Self {
            status: "failed",
            error: Some(problem),
            ..Self::default()
        }
    }

    pub(super) fn ended(end: &'a ReplyEnd<'a>) -> Self {
        let incomplete = match end.reason {
            FinishReason::Completed | FinishReason::StopSequence | FinishReason::Calls => None,
            FinishReason::MaxOutputTokens => Some("max_output_tokens"),
            FinishReason::ContentFilter => Some("content_filter"),
        };
        Self {
            status: if incomplete.is_some() {
                INCOMPLETE
            } else {
                COMPLETED
            },
            completed_at: incomplete.is_none().then_some(end.at),
            incomplete,
            error: None,
            usage: end.usage,
            airlock: end.airlock.as_ref(),
        }
    }
}

impl ResponseStatus<'_> {
    /// The index of the item that the model has not completed.
    pub(super) fn incomplete_item(&self, answer: &CollectedAnswer) -> Option<usize> {
        self.incomplete.and_then(|_| answer.incomplete_message())
    }
}

impl ResponseUsageObject {
    fn of(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: InputTokenDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: 0,
            },
            output_tokens: usage.output,
            output_tokens_details: OutputTokenDetails {
                reasoning_tokens: usage.reasoning,
            },
            total_tokens: usage.input.saturating_add(usage.output),
        }
    }
}

/// Appends the usage, or null.
pub(super) fn push_usage(out: &mut String, usage: Option<Usage>) {
    out.push_str(&json::to_line(&usage.map(ResponseUsageObject::of)));
}

fn push_member(out: &mut String, name: &str, value: &str) {
    out.push(',');
    json::push_text(out, name);
    out.push(':');
    // A line break in JSON is only whitespace between tokens.
    if value.contains(['\n', '\r']) {
        json::push_json(out, &value.replace(['\n', '\r'], " "));
    } else {
        json::push_json(out, value);
    }
}

/// The API's code for a failure. Clients retry `server_error`.
fn error_code(problem: &Problem) -> &str {
    let known = problem.code.as_deref();
    if let Some(code) = known.filter(|code| ERROR_CODES.contains(code)) {
        return code;
    }
    match problem.kind {
        ProblemKind::InvalidRequest
        | ProblemKind::Unsupported
        | ProblemKind::NotFound
        | ProblemKind::Authentication => "invalid_prompt",
        ProblemKind::RateLimited => "rate_limit_exceeded",
        ProblemKind::Overloaded
        | ProblemKind::Upstream
        | ProblemKind::Timeout
        | ProblemKind::Internal => "server_error",
    }
}
