//! Releases and tapes for the tests of this crate and of others.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests")]

use std::io::Write as _;

use crate::config::{PolicyConfig, SandboxConfig};
use airlock_types::wit::{Context, Ending, Event, EventKind, Load, Request, Text, Transport};

use crate::cache::Cache;
use crate::release::{About, LoadError, digest};
use crate::tape::Tape;
use crate::{EMBEDDED, Engine, PolicyCall, Release, ReleaseOptions};

/// The default configuration with few sandboxes.
pub fn config() -> PolicyConfig {
    PolicyConfig {
        sandbox: SandboxConfig {
            instances: 4,
            ..SandboxConfig::default()
        },
        ..PolicyConfig::defaults(std::path::PathBuf::new())
    }
}

/// A release of this component.
pub fn release(name: &str, bytes: &[u8]) -> Release {
    let engine = Engine::new(&config().sandbox).unwrap();
    load(&engine, name, bytes, ReleaseOptions::of(&config())).unwrap()
}

/// As [`Release::load`], with the compiled code cached beside the test's program: to compile a policy takes longer than most
/// tests.
///
/// # Errors
/// As for [`Release::load`].
pub fn load(
    engine: &Engine,
    name: &str,
    bytes: &[u8],
    options: ReleaseOptions,
) -> Result<Release, LoadError> {
    let program = std::env::current_exe().unwrap();
    let cache = Cache::open(program.parent().unwrap()).unwrap();
    let digest = digest(bytes);
    let Some(component) = cache.load(engine, &digest).unwrap() else {
        let release = Release::load(engine, name, bytes, options)?;
        let draft = cache.draft().unwrap();
        (&draft.file).write_all(&release.code()).unwrap();
        cache.keep(engine, &digest, &draft).unwrap();
        return Ok(release);
    };
    let about = About {
        name: name.to_owned(),
        digest,
        number: 0,
    };
    Release::new(engine, &component, about, options)
}

/// The shipped policy with a word replaced by another of the same length.
pub fn patched(word: &str, other: &str) -> Vec<u8> {
    assert_eq!(word.len(), other.len());
    let mut bytes = EMBEDDED.to_vec();
    let found: Vec<usize> = memchr::memmem::find_iter(EMBEDDED, word).collect();
    assert!(!found.is_empty(), "the policy does not contain {word:?}");
    for at in found {
        bytes[at..at + word.len()].copy_from_slice(other.as_bytes());
    }
    bytes
}

/// The shipped policy with a core module appended that does harm at instantiation.
pub mod hostile {
    /// `(module (func $f (loop br 0)) (start $f))`
    pub const LOOPS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\
        \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
    /// `(module (func $f unreachable) (start $f))`
    pub const TRAPS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\
        \x0a\x05\x01\x03\0\0\x0b";
    /// Grows its memory by 16 pages at a time until that is refused, then traps.
    pub const HOARDS: &[u8] =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
        \x08\x01\0\x0a\x11\x01\x0f\0\x03\x40\x41\x10\x40\0\x41\x7f\x47\x0d\0\x0b\0\x0b";

    /// A policy that also instantiates this core module.
    pub fn with(policy: &[u8], module: &[u8]) -> Vec<u8> {
        let number = u8::try_from(modules(policy)).unwrap();
        let mut bytes = policy.to_vec();
        bytes.extend(section(1, module));
        bytes.extend(section(2, &[1, 0, number, 0]));
        bytes
    }

    /// The number of core modules of a component: its sections of kind 1.
    fn modules(component: &[u8]) -> usize {
        let mut rest = &component[8..];
        let mut count = 0;
        while let [kind, after @ ..] = rest {
            let length = after.iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let size = after[..length]
                .iter()
                .rev()
                .fold(0, |size, byte| (size << 7) | usize::from(byte & 0x7f));
            count += usize::from(*kind == 1);
            rest = &after[length + size..];
        }
        count
    }

    pub fn section(kind: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128, "a length of one byte");
        [&[kind, u8::try_from(content.len()).unwrap()], content].concat()
    }
}

/// A tape of a short stream with these pieces of text.
pub fn tape(pieces: &[&str]) -> Tape {
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 1_700_000_000_000,
        dialect: "chat-completions".to_owned(),
        body: r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#
            .to_owned(),
        attachments: Vec::new(),
        settings: r#"{"strict":true}"#.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    let context = Context {
        id: "req_1".to_owned(),
        arrived: 1_700_000_000_000,
        dialect: "chat-completions".to_owned(),
        model: "gpt-test".to_owned(),
        notes: "another's".to_owned(),
        seed: String::new(),
    };
    let load = Load {
        wanted: 1,
        running: 0,
        waiting: 0,
        capacity: 1,
        room: 0,
        longest_wait: 0,
    };
    let mut calls = vec![
        PolicyCall::Render(request),
        PolicyCall::Decide(load),
        PolicyCall::Open(context),
    ];
    calls.extend(pieces.iter().map(|piece| {
        PolicyCall::Feed(vec![Event {
            source: 0,
            at: 1_700_000_000_001,
            kind: EventKind::Text(Text {
                message: 0,
                phase: None,
                text: (*piece).to_owned(),
                item: None,
            }),
        }])
    }));
    calls.push(PolicyCall::Finish(Ending::Completed));
    Tape::new("req_1".to_owned(), 1, calls)
}
