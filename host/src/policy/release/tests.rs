//! Tests of loading, with components made by hand where no policy would be so bad.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use super::*;
use crate::policy::EMBEDDED;
use crate::policy::config::{PolicyConfig, SandboxConfig};

/// The shipped policy with parts appended that do harm as it starts.
pub(crate) mod hostile {
    /// `(module (func $f (loop br 0)) (start $f))`
    pub(crate) const LOOPS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\
        \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
    /// `(module (func $f unreachable) (start $f))`
    pub(crate) const TRAPS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\
        \x0a\x05\x01\x03\0\0\x0b";
    /// Takes 16 pages of memory at a time until it is refused, then traps.
    pub(crate) const HOARDS: &[u8] =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
        \x08\x01\0\x0a\x11\x01\x0f\0\x03\x40\x41\x10\x40\0\x41\x7f\x47\x0d\0\x0b\0\x0b";

    /// A policy that has this core module instantiated with it.
    pub(crate) fn with(policy: &[u8], module: &[u8]) -> Vec<u8> {
        let number = u8::try_from(modules(policy)).unwrap();
        let mut bytes = policy.to_vec();
        bytes.extend(section(1, module));
        bytes.extend(section(2, &[1, 0, number, 0]));
        bytes
    }

    /// The core modules of a component: sections of kind 1 at the top.
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

    pub(crate) fn section(kind: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128, "a length of one byte");
        [&[kind, u8::try_from(content.len()).unwrap()], content].concat()
    }
}

use hostile::section;

fn engine() -> Engine {
    Engine::new(&SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    })
    .unwrap()
}

/// What holds where nobody says otherwise.
pub(crate) fn terms() -> Terms {
    Terms::of(&PolicyConfig::defaults(PathBuf::new()))
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &sections.concat()].concat()
}

/// A component that imports an instance of this name with one function `f`.
fn importing(name: &str) -> Vec<u8> {
    let kind = [
        &[1, 0x42, 2],
        &b"\x01\x40\0\x01\0"[..],
        &b"\x04\0\x01f\x01\0"[..],
    ]
    .concat();
    let import = [
        &[1, 0, u8::try_from(name.len()).unwrap()],
        name.as_bytes(),
        &[5, 0],
    ]
    .concat();
    component(&[section(7, &kind), section(10, &import)])
}

fn refused(bytes: &[u8]) -> LoadError {
    match Release::load(&engine(), "bad", bytes, terms()) {
        Err(error) => error,
        Ok(_) => panic!("must be refused"),
    }
}

#[test]
fn the_shipped_policy_imports_no_function() {
    let engine = engine();
    let component = Component::new(&engine.inner, EMBEDDED).unwrap();
    assert_eq!(imports(&engine, &component), Ok(Imports::Nothing));
    // An empty linker can only instantiate what needs nothing.
    Linker::<()>::new(&engine.inner)
        .instantiate_pre(&component)
        .unwrap();
}

#[test]
fn releases_are_told_apart() {
    let engine = engine();
    let one = Release::load(&engine, "embedded", EMBEDDED, terms()).unwrap();
    let trapping = hostile::with(EMBEDDED, hostile::TRAPS);
    let other = Release::load(&engine, "other", &trapping, terms()).unwrap();
    let (one, other) = (one.about(), other.about());
    assert_eq!((one.name.as_str(), one.digest.len()), ("embedded", 64));
    assert_ne!(one.digest, other.digest);
}

#[test]
fn an_import_of_the_host_is_refused_by_name() {
    for name in [
        "evil:host/files@1.0.0",
        "wasi:http/types@0.3.0",
        "wasi-like:cli/environment@0.2.0",
    ] {
        let error = refused(&importing(name));
        assert!(
            matches!(&error, LoadError::Import { import, .. } if import == name),
            "{error}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn wasi_is_no_reason_to_refuse_but_what_it_lacks_is() {
    let engine = engine();
    let component = Component::new(&engine.inner, importing("wasi:cli/environment@0.2.0")).unwrap();
    assert_eq!(imports(&engine, &component), Ok(Imports::Wasi));
    let error = refused(&importing("wasi:http/types@0.2.0"));
    assert!(matches!(error, LoadError::Misfit { .. }), "{error}");
    assert!(error.to_string().contains("wasi:http/types"), "{error}");
}

#[test]
fn a_missing_export_is_said_by_name() {
    let error = refused(&component(&[]));
    assert!(matches!(error, LoadError::Misfit { .. }), "{error}");
    assert!(
        error.to_string().contains("airlock:policy/manifest"),
        "{error}"
    );
}

#[test]
fn what_is_no_component_is_said_to_be_none() {
    let truncated = &EMBEDDED[..EMBEDDED.len() / 2];
    let long = [b"#!/bin/sh\n".as_slice(), &[b'x'; 100], b"\n\xff\n"].concat();
    let cases = [
        (&b""[..], "not a WebAssembly component"),
        (b"not wasm", "not a WebAssembly component"),
        (&long, "not a WebAssembly component"),
        (hostile::LOOPS, "core module"),
        (b"\0asm\x0d\0\x01\0\xff\xff\xff", "does not compile"),
        (truncated, "does not compile"),
    ];
    for (bytes, expected) in cases {
        let error = refused(bytes);
        assert!(matches!(error, LoadError::Invalid { .. }), "{error}");
        let told = error.to_string();
        assert!(
            told.contains(expected) && !told.contains('\n') && !told.contains("  "),
            "{told}"
        );
    }
}
