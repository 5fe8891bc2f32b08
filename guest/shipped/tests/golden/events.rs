//! Events in a short form.

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Choice, Ending, Event, EventKind, Notification, Phase, Problem, ProblemKind, Reasoning,
    Shortfall, Text, Usage,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// When the request arrived, in Unix milliseconds.
pub(super) const ARRIVED: u64 = 1_760_000_000_123;

/// An event in a short form. The first ones belong to the answer's turn; those from `Opened` on begin with their
/// turn's number. Times are milliseconds since the request arrived.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventSpec {
    Text(u32, String),
    Commentary(u32, String),
    FinalAnswer(u32, String),
    /// Text of a message with the model's id, of a phase if one is named.
    Item(u32, String, Option<String>, String),
    /// Text of a part of a reasoning summary, with the model's id.
    SummaryItem(u32, String, String),
    /// An item of the model's output.
    RawItem(Value),
    Summary(u32, String),
    Raw(u32, String),
    Usage(u64, u64, u64, u64),
    Restarted(Vec<u32>),
    Other(String, String),
    /// A call: its id, its name upstream and its arguments.
    Call(String, String, String),
    /// The model's response is complete.
    Response(String),
    /// The model and a time.
    Opened(u32, String, u64),
    /// Text of a message.
    CandidateText(u32, u32, String),
    /// Text of a message that is commentary.
    CandidateCommentary(u32, u32, String),
    /// A part of a reasoning summary.
    CandidateSummary(u32, u32, String),
    CandidateUsage(u32, u64, u64, u64, u64),
    /// The numbers of void messages.
    CandidateRestarted(u32, Vec<u32>),
    /// The ending and a time.
    Settled(u32, EndingSpec, u64),
    /// The candidate and the `extra`.
    Picked(u32, Option<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndingSpec {
    Completed,
    MaxOutputTokens,
    ContentFilter,
    Interrupted,
    RateLimited,
    Refused,
    HandedOff,
}

pub(super) fn event(spec: EventSpec) -> Event {
    let (source, at, kind) = match spec {
        EventSpec::Opened(source, model, at) => (source, at, EventKind::Opened(model)),
        EventSpec::CandidateText(source, message, content) => {
            (source, 0, text(message, None, content))
        }
        EventSpec::CandidateCommentary(source, message, content) => {
            (source, 0, text(message, Some(Phase::Commentary), content))
        }
        EventSpec::CandidateSummary(source, part, content) => {
            (source, 0, reasoning(part, false, content))
        }
        EventSpec::CandidateUsage(source, input, cached, output, reasoning) => {
            (source, 0, usage(input, cached, output, reasoning))
        }
        EventSpec::CandidateRestarted(source, messages) => {
            (source, 0, EventKind::Restarted(messages))
        }
        EventSpec::Settled(source, how, at) => (source, at, EventKind::Settled(end(&how))),
        EventSpec::Picked(candidate, extra) => {
            (0, 0, EventKind::Picked(Choice { candidate, extra }))
        }
        EventSpec::Text(message, content) => (0, 0, text(message, None, content)),
        EventSpec::Commentary(message, content) => {
            (0, 0, text(message, Some(Phase::Commentary), content))
        }
        EventSpec::FinalAnswer(message, content) => {
            (0, 0, text(message, Some(Phase::FinalAnswer), content))
        }
        EventSpec::Item(message, id, phase, content) => {
            let phase = phase.map(|phase| match phase.as_str() {
                "commentary" => Phase::Commentary,
                _ => Phase::FinalAnswer,
            });
            let text = Text {
                message,
                phase,
                text: content,
                item: Some(id),
            };
            (0, 0, EventKind::Text(text))
        }
        EventSpec::SummaryItem(part, id, content) => {
            let reasoning = Reasoning {
                part,
                raw: false,
                text: content,
                item: Some(id),
            };
            (0, 0, EventKind::Reasoning(reasoning))
        }
        EventSpec::RawItem(item) => {
            let params = json!({"threadId": "t", "turnId": "u", "item": item});
            (0, 0, notification("rawResponseItem/completed", &params))
        }
        EventSpec::Summary(part, content) => (0, 0, reasoning(part, false, content)),
        EventSpec::Raw(part, content) => (0, 0, reasoning(part, true, content)),
        EventSpec::Usage(input, cached, output, reasoning) => {
            (0, 0, usage(input, cached, output, reasoning))
        }
        EventSpec::Restarted(messages) => (0, 0, EventKind::Restarted(messages)),
        EventSpec::Call(id, name, arguments) => (0, 0, call(&id, &name, &arguments)),
        EventSpec::Response(id) => (
            0,
            0,
            notification(
                "rawResponse/completed",
                &json!({"threadId": "t", "turnId": "u", "responseId": id, "usage": null}),
            ),
        ),
        EventSpec::Other(method, params) => {
            (0, 0, EventKind::Other(Notification { method, params }))
        }
    };
    Event {
        source,
        at: ARRIVED + at,
        kind,
    }
}

fn text(message: u32, phase: Option<Phase>, text: String) -> EventKind {
    EventKind::Text(Text {
        message,
        phase,
        text,
        item: None,
    })
}

fn reasoning(part: u32, raw: bool, text: String) -> EventKind {
    EventKind::Reasoning(Reasoning {
        part,
        raw,
        text,
        item: None,
    })
}

fn call(id: &str, name: &str, arguments: &str) -> EventKind {
    let item = json!({
        "type": "function_call",
        "status": "completed",
        "id": format!("fc_{id}"),
        "name": name,
        "arguments": arguments,
        "call_id": id,
    });
    let params = json!({"threadId": "t", "turnId": "u", "item": item});
    notification("rawResponseItem/completed", &params)
}

fn notification(method: &str, params: &Value) -> EventKind {
    EventKind::Other(Notification {
        method: method.to_owned(),
        params: params.to_string(),
    })
}

fn usage(input: u64, cached: u64, output: u64, reasoning: u64) -> EventKind {
    EventKind::Usage(Usage {
        input,
        cached,
        output,
        reasoning,
    })
}

pub(super) fn end(ending: &EndingSpec) -> Ending {
    match ending {
        EndingSpec::Completed => Ending::Completed,
        EndingSpec::MaxOutputTokens => Ending::Incomplete(Shortfall::MaxOutputTokens),
        EndingSpec::ContentFilter => Ending::Incomplete(Shortfall::ContentFilter),
        EndingSpec::Interrupted => Ending::Interrupted,
        EndingSpec::HandedOff => Ending::HandedOff,
        EndingSpec::Refused => Ending::Failed(Problem {
            kind: ProblemKind::InvalidRequest,
            code: Some("upstream_bad_request".to_owned()),
            message: "the model refused the request: Invalid 'input[1].call_id': string too long."
                .to_owned(),
            param: Some("input[1].call_id".to_owned()),
            retry_after_seconds: None,
        }),
        EndingSpec::RateLimited => Ending::Failed(Problem {
            kind: ProblemKind::RateLimited,
            code: Some("rate_limit_exceeded".to_owned()),
            message: "the model's limit is reached; try again in 20 seconds".to_owned(),
            param: None,
            retry_after_seconds: Some(20),
        }),
    }
}
