//! Tests of loading, some with components made by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use super::*;
use crate::EMBEDDED;
use crate::config::{PolicyConfig, SandboxConfig};

use crate::testing::hostile::{self, section};

fn engine() -> Engine {
    Engine::new(&SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    })
    .unwrap()
}

/// The default options.
pub(crate) fn terms() -> ReleaseOptions {
    ReleaseOptions::of(&PolicyConfig::defaults(PathBuf::new()))
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
    match crate::testing::load(&engine(), "bad", bytes, terms()) {
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
fn releases_differ_by_their_digests() {
    let engine = engine();
    let one = crate::testing::load(&engine, "embedded", EMBEDDED, terms()).unwrap();
    let trapping = hostile::with(EMBEDDED, hostile::TRAPS);
    let other = crate::testing::load(&engine, "other", &trapping, terms()).unwrap();
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
fn a_missing_export_is_named() {
    let error = refused(&component(&[]));
    assert!(matches!(error, LoadError::Misfit { .. }), "{error}");
    assert!(
        error.to_string().contains("airlock:policy/manifest"),
        "{error}"
    );
}

#[test]
fn bytes_that_are_not_a_component_are_refused() {
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
        let text = error.to_string();
        assert!(
            text.contains(expected) && !text.contains('\n') && !text.contains("  "),
            "{text}"
        );
    }
}
