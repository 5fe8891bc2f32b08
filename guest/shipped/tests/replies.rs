//! Golden tests of replies: events translated into each dialect. A case is a file in `replies/`; a new one needs only
//! its file.
//!
//! A case has the plan's `notes`, the turn's `batches` of events and its `ending`. It is translated as a stream and as a
//! whole body. The snapshot beside it has the expected output.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "golden/events.rs"]
mod events;
#[expect(dead_code, reason = "plans are shown by the other golden tests")]
#[path = "golden/show.rs"]
mod show;

use std::fmt::Write as _;
use std::path::Path;

use airlock_shipped_policy::bindings::airlock::policy::types::Context;
use airlock_shipped_policy::translate::ReplyTranslator;
use serde::Deserialize;
use serde_json::Value;

use events::{ARRIVED, EndingSpec, EventSpec, end, event};
use show::{show_frames, show_handoff, show_problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyCase {
    /// What the case shows.
    #[expect(dead_code, reason = "for the reader of the case")]
    about: String,
    /// The plan's notes, without `streaming`.
    notes: Value,
    batches: Vec<Vec<EventSpec>>,
    ending: EndingSpec,
}

#[test]
fn every_reply_matches_its_snapshot() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replies");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut names = Vec::new();
    settings.bind(|| {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut out = String::new();
            for streaming in [true, false] {
                let case: ReplyCase = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                translate(&mut out, case, streaming);
            }
            insta::assert_snapshot!(name.clone(), out);
            names.push(name);
        }
    });
    assert!(names.len() > 10, "the cases are not where they are");
}

fn translate(out: &mut String, case: ReplyCase, streaming: bool) {
    let mut notes = case.notes;
    notes["streaming"] = streaming.into();
    let mut reply = ReplyTranslator::new(&Context {
        id: "req_7".to_owned(),
        arrived: ARRIVED,
        dialect: String::new(),
        model: "gpt-5.5".to_owned(),
        notes: notes.to_string(),
        seed: "5eed".to_owned(),
    });
    let mut sent = 0;
    for batch in case.batches {
        let output = reply.feed(batch.into_iter().map(event).collect());
        if streaming {
            out.push_str("--- feed\n");
        }
        show_frames(out, &output.frames, &mut sent);
        if let Some(handoff) = &output.handoff {
            show_handoff(out, handoff);
        }
        if output.complete {
            out.push_str("complete\n");
        }
    }
    if streaming {
        out.push_str("--- keep-alive\n");
        show_frames(out, &reply.keep_alive(), &mut sent);
    }
    out.push_str("--- finish\n");
    let closing = reply.finish(end(&case.ending));
    show_frames(out, &closing.frames, &mut sent);
    match closing.body {
        Ok(body) if body.is_empty() => {}
        Ok(body) => {
            assert!(!body.contains('\n'), "the body is one line");
            serde_json::from_str::<Value>(&body).unwrap();
            writeln!(out, "{body}").unwrap();
        }
        Err(problem) => show_problem(out, &problem),
    }
}
