//! Tests that the engine that compiles fits the one that runs.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn an_engine_that_only_compiles_makes_code_for_the_one_that_runs() {
    let engine = Engine::new(&SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    })
    .unwrap();
    let same = compiler(engine.reservation, false).unwrap();
    assert_eq!(compatibility(&same), engine.compatibility());
    // The reservation is part of the code, so the test can fail.
    let other = compiler(engine.reservation / 2, false).unwrap();
    assert_ne!(compatibility(&other), engine.compatibility());
}

#[test]
fn an_engine_with_narrow_memories_has_its_compiler_too() {
    let sandbox = SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    };
    let narrow = 128 << 20;
    let runs = wasmtime::Engine::new(&pooled(&sandbox, narrow)).unwrap();
    assert_eq!(
        compatibility(&compiler(narrow, false).unwrap()),
        compatibility(&runs)
    );
}
