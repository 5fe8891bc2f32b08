//! Golden tests: requests rendered and events translated. A case is a file in `cases/`; a new one needs only its
//! file.
//!
//! A case has a `body` (JSON, or a string for what is not JSON), and may have `attachments`, `settings`, `nested`,
//! the turn's `batches` of events and its `ending`, and the notes' `fan_out` and `tools`. The snapshot beside it has
//! the expected output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "golden/show.rs"]
mod show;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Attachment, Choice, Context, Ending, Event, EventKind, Notification, Phase, Problem,
    ProblemKind, Reasoning, Request, Shortfall, Text, Usage,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::{DIALECT, prompt, translate};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use show::{show_frames, show_handoff, show_plan, show_problem};

const ARRIVED: u64 = 1_760_000_000_123;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The request's dialect.
    #[serde(default = "chat")]
    dialect: String,
    /// The request's route, if it is not the dialect's first.
    #[serde(default)]
    route: Option<String>,
    /// What the case shows.
    #[expect(dead_code, reason = "for the reader of the case")]
    about: String,
    body: Box<RawValue>,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    settings: Option<Value>,
    /// The request's `nested`.
    #[serde(default)]
    nested: bool,
    #[serde(default)]
    batches: Vec<Vec<EventSpec>>,
    #[serde(default)]
    ending: Option<EndingSpec>,
    /// Added to the plan's notes.
    #[serde(default)]
    fan_out: Option<Value>,
    /// As `fan_out`.
    #[serde(default)]
    tools: Option<Value>,
}

fn chat() -> String {
    DIALECT.to_owned()
}

/// An event in a short form. The first ones belong to the answer's turn; those from `Opened` on begin with their
/// turn's number. Times are milliseconds since the request arrived.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventSpec {
    Text(u32, String),
    Commentary(u32, String),
    FinalAnswer(u32, String),
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
enum EndingSpec {
    Completed,
    MaxOutputTokens,
    ContentFilter,
    Interrupted,
    RateLimited,
    Refused,
    HandedOff,
}

#[test]
fn every_case_matches_its_snapshot() {
    let directory = cases();
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in files("json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let case: Case = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            insta::assert_snapshot!(stem(&path), run(case));
        }
    });
}

#[test]
fn every_snapshot_has_a_case() {
    let cases: BTreeSet<String> = files("json").iter().map(|path| stem(path)).collect();
    let outcomes: BTreeSet<String> = files("snap").iter().map(|path| stem(path)).collect();
    assert_eq!(cases, outcomes);
    assert!(
        cases.len() > 20,
        "the cases are not where they are looked for"
    );
}

fn run(case: Case) -> String {
    let body = match serde_json::from_str::<String>(case.body.get()) {
        Ok(text) => text,
        Err(_) => case.body.get().to_owned(),
    };
    let read: Value = serde_json::from_str(&body).unwrap_or_default();
    let attachments = case.attachments.into_iter().enumerate();
    let attachments = attachments.map(|(number, media_type)| Attachment {
        media_type,
        size: 68,
        digest: format!("digest {number}"),
        path: path(&read, &format!("attachment:{number}")).unwrap_or_default(),
    });
    let route = case.route.unwrap_or_else(|| {
        let path = if case.dialect == DIALECT {
            "chat/completions"
        } else {
            &case.dialect
        };
        format!("POST /v1/{path}")
    });
    let rendered = prompt::render(&Request {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: case.dialect.clone(),
        body,
        attachments: attachments.collect(),
        settings: case
            .settings
            .map(|settings| settings.to_string())
            .unwrap_or_default(),
        nested: case.nested,
        route,
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
    });
    let mut out = String::new();
    let plan = match rendered {
        Err(problem) => {
            show_problem(&mut out, &problem);
            return out;
        }
        Ok(Action::Respond(body)) => {
            writeln!(out, "respond {body}").unwrap();
            return out;
        }
        Ok(Action::Run(plan)) => plan,
    };
    let plan = with_notes(plan, "fan_out", case.fan_out);
    let plan = with_notes(plan, "tools", case.tools);
    show_plan(&mut out, &plan);
    let Some(ending) = case.ending else {
        return out;
    };

    let mut reply = translate::ReplyTranslator::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: case.dialect.clone(),
        model: "gpt-5.5".to_owned(),
        notes: plan.notes,
        seed: String::new(),
    });
    for batch in case.batches {
        out.push_str("--- feed\n");
        let output = reply.feed(batch.into_iter().map(event).collect());
        show_frames(&mut out, &output.frames);
        if let Some(handoff) = &output.handoff {
            show_handoff(&mut out, handoff);
        }
    }
    out.push_str("--- finish\n");
    let closing = reply.finish(end(&ending));
    show_frames(&mut out, &closing.frames);
    match closing.body {
        Ok(body) if body.is_empty() => {}
        Ok(body) => {
            assert!(!body.contains('\n'), "the body is one line");
            let value: Value = serde_json::from_str(&body).unwrap();
            writeln!(out, "{}", serde_json::to_string_pretty(&value).unwrap()).unwrap();
        }
        Err(problem) => show_problem(&mut out, &problem),
    }
    out
}

/// The first path of this string in a body, as the host writes it.
fn path(value: &Value, string: &str) -> Option<String> {
    let within = |step: String, value: &Value| {
        let rest = path(value, string)?;
        let dot = if rest.is_empty() || rest.starts_with('[') {
            ""
        } else {
            "."
        };
        Some([&step, dot, &rest].concat())
    };
    match value {
        Value::Array(values) => {
            let mut values = values.iter().enumerate();
            values.find_map(|(index, value)| within(format!("[{index}]"), value))
        }
        Value::Object(members) => {
            let mut members = members.iter();
            members.find_map(|(name, value)| match value {
                // The host lifts only these out of a body.
                Value::String(found) if found == string => ["url", "image_url", "data"]
                    .contains(&name.as_str())
                    .then(|| name.clone()),
                value => within(name.clone(), value),
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The plan with this value in its notes, whatever its body requests.
fn with_notes(mut plan: Plan, name: &str, value: Option<Value>) -> Plan {
    if let Some(value) = value {
        let mut notes: Value = serde_json::from_str(&plan.notes).unwrap();
        notes[name] = value;
        plan.notes = notes.to_string();
    }
    plan
}

fn event(spec: EventSpec) -> Event {
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

fn end(ending: &EndingSpec) -> Ending {
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

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}
