//! Tests of composition. The functions of some parts trap, which shows that a policy calls them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod module;

use module::{NEWEST, OLDEST, module, wrapper};

use super::*;
use airlock_metrics::CallPurpose;
use airlock_policy::config::{PolicyConfig, SandboxConfig};
use airlock_policy::{EMBEDDED, Engine, Fault, Release, ReleaseOptions};
use airlock_types::wit::{Context, Event, EventKind, Load, Request, Text, Transport};

const BASE: Part<'_> = Part {
    name: "the shipped policy",
    bytes: EMBEDDED,
};

fn part<'a>(name: &'a str, bytes: &'a [u8]) -> Part<'a> {
    Part { name, bytes }
}

fn refused(parts: &[Part<'_>], base: &Part<'_>) -> ComposeError {
    let error = compose(parts, base).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

fn names(composed: &Composed) -> Vec<(&'static str, &str)> {
    let origins = composed.origins.iter();
    origins.map(|(it, from)| (*it, from.as_str())).collect()
}

fn release(bytes: &[u8]) -> Release {
    let sandbox = SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    };
    let terms = ReleaseOptions::of(&PolicyConfig::defaults(std::path::PathBuf::new()));
    airlock_policy::testing::load(&Engine::new(&sandbox).unwrap(), "composed", bytes, terms)
        .unwrap()
}

const LOAD: Load = Load {
    wanted: 1,
    running: 0,
    waiting: 0,
    capacity: 1,
    room: 0,
    longest_wait: 0,
};

fn request() -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        body: r#"{"model":"default","messages":[{"role":"user","content":"hi"}]}"#.to_owned(),
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
    }
}

fn context() -> Context {
    Context {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        model: "a-model".to_owned(),
        notes: String::new(),
        seed: String::new(),
    }
}

#[tokio::test]
async fn parts_replace_their_interfaces_and_the_rest_is_the_bases() {
    let (manifest, admit) = (module(NEWEST, &["manifest"]), module(NEWEST, &["admit"]));
    let parts = [part("m.wasm", &manifest), part("a.wasm", &admit)];
    let composed = compose(&parts, &BASE).unwrap();
    let shipped = "the shipped policy";
    let expected = [
        ("manifest", "m.wasm"),
        ("admit", "a.wasm"),
        ("prompt", shipped),
        ("translate", shipped),
        ("synthesize", shipped),
        ("relay", shipped),
    ];
    assert_eq!(names(&composed), expected);

    let release = release(&composed.bytes);
    let mut session = release.session().await.unwrap();
    let plan = session.render(&request()).await.unwrap().plan().unwrap();
    assert_eq!(plan.briefs.len(), 1);
    let fault = session.decide(LOAD).await.unwrap_err();
    assert!(matches!(fault, Fault::Trapped(_)), "{fault}");
}

#[tokio::test]
async fn functions_and_resources_of_a_part_can_be_called() {
    let bytes = module(NEWEST, &["synthesize", "translate", "prompt"]);
    let composed = compose(&[part("most.wasm", &bytes)], &BASE).unwrap();
    assert_eq!(composed.origins[0].1, "the shipped policy");
    let release = release(&composed.bytes);
    let mut session = release.session().await.unwrap();
    session.decide(LOAD).await.unwrap();
    let failure = session.render(&request()).await.unwrap_err();
    assert_eq!(failure.problem.code.as_deref(), Some("policy_failed"));
    // The panel is the part's: its constructor traps.
    let mut session = release.session().await.unwrap();
    let fault = session.convene(&context(), 2).await.unwrap_err();
    assert!(matches!(fault, Fault::Trapped(_)), "{fault}");
}

#[test]
fn a_component_is_taken_as_well_as_a_module() {
    let bytes = module(NEWEST, &["admit"]);
    let encoded = component(&bytes).unwrap();
    let from_component = compose(&[part("a", &encoded)], &BASE).unwrap();
    let from_module = compose(&[part("a", &bytes)], &BASE).unwrap();
    assert_eq!(from_component, from_module);
    // A composed policy can be a base.
    let manifest = module(NEWEST, &["manifest"]);
    let base = part("composed.wasm", &from_module.bytes);
    let twice = compose(&[part("m", &manifest)], &base).unwrap();
    assert_eq!(twice.origins[1].1, "composed.wasm");
    release(&twice.bytes);
}

#[test]
fn what_is_whole_needs_no_base() {
    let whole = compose(&[part("whole.wasm", EMBEDDED)], &BASE).unwrap();
    assert_eq!(whole.bytes, EMBEDDED);
    assert_eq!(names(&whole).last(), Some(&("relay", "whole.wasm")));
    let four = module(NEWEST, &["admit", "prompt", "translate", "synthesize"]);
    let fifth = module(NEWEST, &["manifest"]);
    let parts = [part("four", &four), part("fifth", &fifth)];
    let composed = compose(&parts, &part("no base", b"")).unwrap();
    assert!(composed.bytes.len() < EMBEDDED.len() / 2);
    release(&composed.bytes);
}

#[tokio::test]
async fn what_is_optional_comes_with_what_it_is_about() {
    let shipped = "the shipped policy";
    let alone = module(NEWEST, &["translate"]);
    let both = module(NEWEST, &["translate", "relay"]);
    type Origins<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&[u8], Origins<'_>); 2] = [
        // The base's `relay` uses the base's replies.
        (&alone, &[]),
        (&both, &[("relay", "t.wasm")]),
    ];
    for (bytes, optional) in cases {
        let composed = compose(&[part("t.wasm", bytes)], &BASE).unwrap();
        let required = [
            ("manifest", shipped),
            ("admit", shipped),
            ("prompt", shipped),
            ("translate", "t.wasm"),
            ("synthesize", shipped),
        ];
        assert_eq!(names(&composed), [&required[..], optional].concat());
        let session = release(&composed.bytes).session().await.unwrap();
        assert_eq!(session.has_relay(), !optional.is_empty());
    }
    let orphan = module(NEWEST, &["relay"]);
    let error = refused(&[part("r.wasm", &orphan)], &BASE);
    let expected = ComposeError::Alone {
        part: "r.wasm".to_owned(),
        interface: "relay",
        of: "translate",
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_composition_relays_text_by_the_pattern_of_its_base() {
    let manifest = module(NEWEST, &["manifest"]);
    let composed = compose(&[part("m.wasm", &manifest)], &BASE).unwrap();
    let release = release(&composed.bytes);
    let mut session = release.session().await.unwrap();
    let request = Request {
        body: r#"{"model":"default","stream":true,"messages":[{"role":"user","content":"hi"}]}"#
            .to_owned(),
        ..request()
    };
    let plan = session.render(&request).await.unwrap().plan().unwrap();
    let context = Context {
        notes: plan.notes,
        ..context()
    };
    session.open(&context).await.unwrap();
    session.relay();
    let piece = Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: "word ".to_owned(),
            item: None,
        }),
    };
    let mut frames = Vec::new();
    for _ in 0..4 {
        let text = session.feed(std::slice::from_ref(&piece)).await.unwrap();
        frames.extend(text.frames);
    }
    // The first frame has the role. The others are equal, whether the policy or the host wrote them.
    assert_eq!(frames.len(), 5);
    assert!(frames[1..].iter().all(|frame| *frame == frames[1]));
    let calls = release.meter().calls(CallPurpose::Serving);
    assert_eq!((calls.feed.number(), calls.offer.number()), (1, 1));
}

#[test]
fn the_first_version_composes_with_itself_and_with_no_other() {
    let whole = module(OLDEST, &["admit", "prompt", "translate", "synthesize"]);
    let old = module(OLDEST, &["admit"]);
    let (old, base) = (part("old.wasm", &old), part("base.wasm", &whole));
    let composed = compose(&[old], &base).unwrap();
    let expected = [
        ("admit", "old.wasm"),
        ("prompt", "base.wasm"),
        ("translate", "base.wasm"),
        ("synthesize", "base.wasm"),
    ];
    assert_eq!(names(&composed), expected);

    let error = refused(&[old], &BASE);
    assert!(matches!(error, ComposeError::OtherBase { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("0.1.0-draft") && text.contains("0.3.0-draft") && text.contains("--onto")
    );

    let new = module(NEWEST, &["synthesize"]);
    let error = refused(&[old, part("new.wasm", &new)], &BASE);
    assert!(matches!(error, ComposeError::Mixed { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("old.wasm") && text.contains("new.wasm"),
        "{text}"
    );
}

#[test]
fn one_interface_from_two_parts_is_refused_by_name() {
    let (one, other) = (
        module(NEWEST, &["admit", "manifest"]),
        module(NEWEST, &["admit"]),
    );
    let error = refused(&[part("one.wasm", &one), part("other.wasm", &other)], &BASE);
    let expected = ComposeError::Twice {
        interface: "admit",
        first: "one.wasm".to_owned(),
        second: "other.wasm".to_owned(),
    };
    assert_eq!(error, expected);
}

#[test]
fn what_a_base_lacks_is_named() {
    let (admit, prompt) = (module(NEWEST, &["admit"]), module(NEWEST, &["prompt"]));
    let error = refused(&[part("a.wasm", &admit)], &part("p.wasm", &prompt));
    let expected = ComposeError::Missing {
        interface: "manifest",
        base: "p.wasm".to_owned(),
    };
    assert_eq!(error, expected);
}

#[test]
fn a_part_that_wraps_an_interface_gets_the_one_of_the_base() {
    let bytes = wrapper(NEWEST, &["prompt"], &["prompt"]);
    let wrapper = part("w.wasm", &bytes);
    let composed = compose(&[wrapper], &BASE).unwrap();
    assert!(names(&composed).contains(&("prompt", "w.wasm")));
    // A policy with an unresolved import could not be loaded.
    release(&composed.bytes);
    // The base is needed for imports even if the parts export everything.
    let rest = module(NEWEST, &["manifest", "admit", "translate", "synthesize"]);
    let composed = compose(&[wrapper, part("rest.wasm", &rest)], &BASE).unwrap();
    assert!(composed.bytes.len() > EMBEDDED.len());
    release(&composed.bytes);

    let rest = part("rest.wasm", &rest);
    let error = refused(&[wrapper], &rest);
    let expected = ComposeError::Missing {
        interface: "prompt",
        base: "rest.wasm".to_owned(),
    };
    assert_eq!(error, expected);
}

#[test]
fn an_interface_of_another_shape_is_refused_by_name() {
    // `admit` of the first version under the name of the second: `load` lacks a member.
    let old = component(&module(OLDEST, &["admit"])).unwrap().into_owned();
    let renamed = module::renamed(&old, "policy/admit@0.1.0-draft", "policy/admit@0.3.0-draft");
    let error = refused(&[part("a.wasm", &renamed)], &BASE);
    assert!(
        matches!(
            &error,
            ComposeError::Differs {
                interface: "admit",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("decide"), "{error}");
}

#[test]
fn a_file_that_is_not_a_part_is_refused_by_name() {
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    let future = component(&module(NEWEST, &["admit"])).unwrap().into_owned();
    let future = module::renamed(
        &future,
        "policy/admit@0.3.0-draft",
        "policy/admit@0.9.0-draft",
    );
    let truncated = &EMBEDDED[..EMBEDDED.len() / 2];
    let cases: [(&[u8], &str); 5] = [
        (b"text", "it is not WebAssembly"),
        (EMPTY, "exports no interface of airlock:policy"),
        // A core module without the component-type section.
        (b"\0asm\x01\0\0\0", "exports no interface of airlock:policy"),
        (&future, "airlock:policy/admit@0.9.0-draft"),
        (truncated, "not a valid component"),
    ];
    for (bytes, expected) in cases {
        let error = refused(&[part("x.wasm", bytes)], &BASE);
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("x.wasm"), "{text}");
    }
}
