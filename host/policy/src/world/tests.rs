//! Tests of the choice of a component's version, and of sessions on an older version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use airlock_test_components::{EARLIER_STAMP, STAMP};
use airlock_types::wit::{
    Admission, Context, Ending, Event, EventKind, Load, Message, Model, Outcome, Request, Text,
    Transport, Verdict,
};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::testing::release;
use crate::{LoadError, Release};

/// The text of the fixture, file by file.
const FROZEN: [&str; 6] = [
    include_str!("../../fixtures/wit-0.1/admit.wit"),
    include_str!("../../fixtures/wit-0.1/policy.wit"),
    include_str!("../../fixtures/wit-0.1/prompt.wit"),
    include_str!("../../fixtures/wit-0.1/synthesize.wit"),
    include_str!("../../fixtures/wit-0.1/translate.wit"),
    include_str!("../../fixtures/wit-0.1/types.wit"),
];

#[test]
fn a_frozen_version_does_not_change() {
    let digest = Sha256::digest(FROZEN.concat());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        "f901158308145b081972416e92e16f36b8831468e2557121d101f52d02e53459"
    );
}

fn load(path: &str) -> Release {
    release("stamp", &std::fs::read(path).unwrap())
}

/// A component with the name of a version replaced by one of the same length.
fn renamed(path: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(path).unwrap();
    let found: Vec<usize> = memchr::memmem::find_iter(&bytes, from).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    let config = crate::testing::config();
    let engine = crate::Engine::new(&config.sandbox).unwrap();
    let loaded = crate::testing::load(&engine, "stamp", bytes, crate::ReleaseOptions::of(&config));
    let error: LoadError = loaded.err().unwrap();
    format!("{error}")
}

fn text(source: u32, text: &str) -> Event {
    let kind = EventKind::Text(Text {
        message: 0,
        phase: None,
        text: text.to_owned(),
        item: None,
    });
    Event {
        source,
        at: 1,
        kind,
    }
}

/// Runs a streamed request, a fan-out and a list of models on a release, and returns the answer's text.
async fn run(release: &Release) -> String {
    let mut session = release.session().await.unwrap();
    let body = r#"{"model":"m","stream":true,"parallel_calls":2,"messages":[{"role":"user","content":"Hi"}]}"#;
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 1,
        dialect: "chat-completions".to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: "{}".to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    let plan = session.render(&request).await.unwrap().plan().unwrap();
    assert_eq!(plan.briefs.len(), 2);
    let load = Load {
        wanted: 2,
        running: 0,
        waiting: 0,
        capacity: 4,
        room: 0,
        longest_wait: 7,
    };
    assert_eq!(session.decide(load).await.unwrap(), Admission::Run);
    let context = Context {
        id: request.id,
        arrived: 1,
        dialect: request.dialect,
        model: "m".to_owned(),
        notes: plan.notes,
        seed: String::new(),
    };
    session.open(&context).await.unwrap();
    session.convene(&context, 2).await.unwrap();
    let waits = session.wake(1).await.unwrap();
    assert!(matches!(waits, Verdict::Wait(None)), "{waits:?}");
    let answer = Outcome {
        ending: Ending::Completed,
        messages: vec![Message {
            phase: None,
            text: "Hello".to_owned(),
        }],
    };
    let picked = session.settle(1, &answer, 2).await.unwrap();
    let Verdict::Pick(choice) = picked else {
        panic!("{picked:?}");
    };
    assert_eq!(choice.candidate, 1);
    let picked = Event {
        source: 0,
        at: 2,
        kind: EventKind::Picked(choice),
    };
    let mut frames = Vec::new();
    for batch in [vec![picked], vec![text(0, "Hel"), text(0, "lo")]] {
        frames.extend(session.feed(&batch).await.unwrap().frames);
    }
    let closing = session.finish(&Ending::Completed).await.unwrap();
    frames.extend(closing.frames);
    let chunks = frames.iter().filter_map(|frame| {
        let chunk: serde_json::Value = serde_json::from_str(&frame.data).ok()?;
        Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    chunks.collect()
}

#[tokio::test]
async fn releases_of_two_versions_serve_side_by_side() {
    let (earlier, newest) = (load(EARLIER_STAMP), load(STAMP));
    assert_eq!(earlier.world_version(), fixture::VERSION);
    assert_eq!(newest.world_version(), VERSION);
    for release in [&earlier, &newest, &earlier] {
        assert_eq!(run(release).await, "Hello");
    }
    let describe = async |release: &Release| {
        let mut session = release.session().await.unwrap();
        session.describe().await.unwrap()
    };
    assert!(describe(&earlier).await.is_none());
    assert_eq!(describe(&newest).await.unwrap().name, "stamp");
    let model = Model {
        id: "m".to_owned(),
        display_name: "M".to_owned(),
        description: String::new(),
        is_default: true,
        efforts: Vec::new(),
        default_effort: None,
        inputs: Vec::new(),
        tools: true,
    };
    let mut session = earlier.session().await.unwrap();
    let list = session.list_models("chat-completions", &[model]).await;
    assert!(list.unwrap().contains("STAMP-0000"));
}

#[test]
fn another_version_is_refused_by_its_name() {
    let future = renamed(STAMP, "@0.3.0-draft", "@0.9.0-draft");
    let error = refusal(&future);
    let expected =
        "built for airlock:policy@0.9.0-draft, and this gateway loads airlock:policy@0.3.0-draft";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn exports_of_another_shape_are_refused_by_their_interface() {
    let misfit = renamed(EARLIER_STAMP, "@0.1.0-draft", "@0.3.0-draft");
    let error = refusal(&misfit);
    assert!(error.contains("airlock:policy/manifest"), "{error}");
}
