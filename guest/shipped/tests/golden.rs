//! Whole translations, there and back. A case is a file in `cases/`; adding one is adding a file.
//!
//! A case holds a `body` (JSON, or text for what is not), and may hold `attachments`, `settings`, the turn's
//! `batches` of events and its `ending`. Beside it lies what must come out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use airlock_policy::bindings::airlock::policy::types::{
    Attachment, Ending, Event, EventKind, InputItem, Notification, Phase, Problem, ProblemKind,
    Reasoning, Request, Shortfall, Text, Usage,
};
use airlock_policy::bindings::exports::airlock::policy::prompt::Plan;
use airlock_policy::bindings::exports::airlock::policy::translate::{Context, Frame};
use airlock_policy::{DIALECT, prompt, translate};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

const ARRIVED: u64 = 1_760_000_000_123;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Why the case is there.
    #[expect(dead_code, reason = "for the reader of the case")]
    about: String,
    body: Box<RawValue>,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    batches: Vec<Vec<Told>>,
    #[serde(default)]
    ending: Option<End>,
}

/// An event, as short as it can be written.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Text(u32, String),
    Commentary(u32, String),
    FinalAnswer(u32, String),
    Summary(u32, String),
    Raw(u32, String),
    Usage(u64, u64, u64, u64),
    Restarted(Vec<u32>),
    Other(String, String),
    /// Text of another turn than the answer's.
    Elsewhere(u32, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Completed,
    MaxOutputTokens,
    ContentFilter,
    Interrupted,
    RateLimited,
}

#[test]
fn every_case_becomes_what_lies_beside_it() {
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
fn nothing_lies_beside_a_case_that_is_gone() {
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
    let attachments = case.attachments.into_iter().map(|media_type| Attachment {
        media_type,
        size: 68,
        path: String::new(),
    });
    let rendered = prompt::render(&Request {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: DIALECT.to_owned(),
        body,
        attachments: attachments.collect(),
        settings: case
            .settings
            .map(|settings| settings.to_string())
            .unwrap_or_default(),
    });
    let mut out = String::new();
    let plan = match rendered {
        Err(problem) => {
            show_problem(&mut out, &problem);
            return out;
        }
        Ok(plan) => plan,
    };
    show_plan(&mut out, &plan);
    let Some(ending) = case.ending else {
        return out;
    };

    let mut reply = translate::Reply::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: DIALECT.to_owned(),
        model: "gpt-5.5".to_owned(),
        notes: plan.notes,
    });
    for batch in case.batches {
        out.push_str("--- feed\n");
        show_frames(
            &mut out,
            &reply.feed(batch.into_iter().map(event).collect()),
        );
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

fn show_plan(out: &mut String, plan: &Plan) {
    let brief = &plan.brief;
    writeln!(out, "streaming: {}", plan.streaming).unwrap();
    writeln!(
        out,
        "model: {:?}, effort: {:?}, summary: {:?}",
        brief.model,
        brief.effort.as_ref().map(|effort| &effort.name),
        brief.summary
    )
    .unwrap();
    writeln!(out, "instructions: {:?}", brief.instructions).unwrap();
    for item in &brief.history {
        serde_json::from_str::<Value>(item).unwrap();
        writeln!(out, "history: {item}").unwrap();
    }
    for item in &brief.input {
        match item {
            InputItem::Text(text) => writeln!(out, "input: {text:?}").unwrap(),
            InputItem::Attachment(number) => writeln!(out, "input: attachment {number}").unwrap(),
        }
    }
    if let Some(schema) = &brief.output_schema {
        writeln!(out, "output schema: {schema}").unwrap();
    }
    writeln!(out, "notes: {}", plan.notes).unwrap();
    writeln!(out, "ignored: {}", plan.ignored.join(", ")).unwrap();
}

fn show_frames(out: &mut String, frames: &[Frame]) {
    for frame in frames {
        assert_eq!(frame.event, None);
        assert!(
            !frame.data.is_empty() && !frame.data.contains(['\n', '\r']),
            "{:?}",
            frame.data
        );
        if frame.data != "[DONE]" {
            serde_json::from_str::<Value>(&frame.data).unwrap();
        }
        writeln!(out, "data: {}", frame.data).unwrap();
    }
}

fn show_problem(out: &mut String, problem: &Problem) {
    writeln!(out, "problem: {:?}", problem.kind).unwrap();
    writeln!(out, "code: {:?}", problem.code).unwrap();
    writeln!(out, "param: {:?}", problem.param).unwrap();
    writeln!(out, "message: {}", problem.message).unwrap();
}

fn event(told: Told) -> Event {
    let mut source = 0;
    let text = |message, phase, text| {
        EventKind::Text(Text {
            message,
            phase,
            text,
        })
    };
    let kind = match told {
        Told::Text(message, words) => text(message, None, words),
        Told::Commentary(message, words) => text(message, Some(Phase::Commentary), words),
        Told::FinalAnswer(message, words) => text(message, Some(Phase::FinalAnswer), words),
        Told::Elsewhere(message, words) => {
            source = 1;
            text(message, None, words)
        }
        Told::Summary(part, text) => EventKind::Reasoning(Reasoning {
            part,
            raw: false,
            text,
        }),
        Told::Raw(part, text) => EventKind::Reasoning(Reasoning {
            part,
            raw: true,
            text,
        }),
        Told::Usage(input, cached, output, reasoning) => EventKind::Usage(Usage {
            input,
            cached,
            output,
            reasoning,
        }),
        Told::Restarted(messages) => EventKind::Restarted(messages),
        Told::Other(method, params) => EventKind::Other(Notification { method, params }),
    };
    Event {
        source,
        at: ARRIVED,
        kind,
    }
}

fn end(ending: &End) -> Ending {
    match ending {
        End::Completed => Ending::Completed,
        End::MaxOutputTokens => Ending::Incomplete(Shortfall::MaxOutputTokens),
        End::ContentFilter => Ending::Incomplete(Shortfall::ContentFilter),
        End::Interrupted => Ending::Interrupted,
        End::RateLimited => Ending::Failed(Problem {
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
