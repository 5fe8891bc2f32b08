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

#[path = "golden/events.rs"]
mod events;
#[path = "golden/loaded.rs"]
mod loaded;
#[path = "golden/show.rs"]
mod show;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Attachment, Context, Request, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::{DIALECT, prompt, translate};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use events::{ARRIVED, EndingSpec, EventSpec, end, event};
use loaded::LoadedSpec;
use show::{
    show_action, show_frames, show_handoff, show_head, show_object_end, show_plan, show_problem,
};

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
    /// The identifiers in the path.
    #[serde(default)]
    path_parameters: Vec<String>,
    #[serde(default)]
    query: Vec<(String, String)>,
    /// Whether the request is a message of a WebSocket.
    #[serde(default)]
    websocket: bool,
    /// Whether the host has no store.
    #[serde(default)]
    without_store: bool,
    /// What the host has loaded.
    #[serde(default)]
    loaded: Option<LoadedSpec>,
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
        path_parameters: case.path_parameters,
        query: case.query,
        seed: String::new(),
        transport: if case.websocket {
            Transport::Websocket
        } else {
            Transport::Http
        },
        has_store: !case.without_store,
        loaded: case.loaded.map(LoadedSpec::into_loaded),
    });
    let mut out = String::new();
    let plan = match rendered {
        Err(problem) => {
            show_problem(&mut out, &problem);
            return out;
        }
        Ok(Action::Run(plan)) => plan,
        Ok(other) => {
            show_action(&mut out, &other);
            return out;
        }
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
        show_head(&mut out, output.head.as_deref());
        show_frames(&mut out, &output.frames, &mut 0);
        if let Some(handoff) = &output.handoff {
            show_handoff(&mut out, handoff);
        }
    }
    out.push_str("--- finish\n");
    let closing = reply.finish(end(&ending));
    show_frames(&mut out, &closing.frames, &mut 0);
    match closing.body {
        Ok(body) if body.is_empty() => {}
        Ok(body) => {
            assert!(!body.contains('\n'), "the body is one line");
            let value: Value = serde_json::from_str(&body).unwrap();
            writeln!(out, "{}", serde_json::to_string_pretty(&value).unwrap()).unwrap();
        }
        Err(problem) => show_problem(&mut out, &problem),
    }
    show_object_end(&mut out, closing.object.as_ref());
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
