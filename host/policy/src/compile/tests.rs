//! Tests of the parent, with scripts in place of the child: the result of each exit, and that no child is left.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::{Pid, test_kill_process};
use tokio::time::Instant;

use super::*;
use crate::EMBEDDED;
use crate::config::SandboxConfig;

/// An empty component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// The deadline of every wait.
const PATIENCE: Duration = Duration::from_secs(60);

fn compiler(data: &Path, script: &str, timeout: Duration) -> Compiler {
    let engine = Engine::new(&SandboxConfig {
        instances: 1,
        ..SandboxConfig::default()
    });
    let limits = CompileLimits {
        timeout,
        memory_bytes: 4 << 30,
    };
    let program = data.join("compiler");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let mut compiler = Compiler::new(engine.unwrap(), Cache::open(data).unwrap(), limits);
    compiler.program = program;
    compiler
}

async fn failure(script: &str) -> CompileError {
    let data = tempfile::tempdir().unwrap();
    let compiler = compiler(data.path(), script, PATIENCE);
    let Err(error) = compiler.compiled(EMPTY, "aa").await else {
        panic!("{script} compiled")
    };
    // Neither code nor a draft is left.
    let left = fs::read_dir(data.path().join("policy-cache")).unwrap();
    assert_eq!(left.count(), 0);
    error
}

/// A script that writes this code, and records each run.
fn gives(data: &Path, reservation: u64, component: &[u8]) -> String {
    let code = data.join("code");
    let engine = crate::engine::compiler(reservation, false).unwrap();
    fs::write(&code, engine.precompile_component(component).unwrap()).unwrap();
    let (code, runs) = (code.display(), data.join("runs"));
    format!("echo $* >> {}; cat > /dev/null; cat {code}", runs.display())
}

#[tokio::test]
async fn what_a_child_compiles_is_loaded_and_kept() {
    let data = tempfile::tempdir().unwrap();
    let made = compiler(data.path(), "", PATIENCE);
    let script = gives(data.path(), made.engine.reservation, EMPTY);
    let made = compiler(data.path(), &script, PATIENCE);
    // Both at once: the second waits for the first, and loads its code.
    let (one, two) = tokio::join!(made.compiled(EMPTY, "aa"), made.compiled(EMPTY, "aa"));
    assert!(one.is_ok() && two.is_ok());
    made.compiled(EMPTY, "aa").await.unwrap();
    let runs = fs::read_to_string(data.path().join("runs")).unwrap();
    let reservation = made.engine.reservation;
    let expected = format!(
        "{COMMAND} {} {reservation} 4294967296 60 19\n",
        std::process::id()
    );
    assert_eq!(runs, expected);
}

#[tokio::test]
async fn each_exit_has_its_error() {
    let invalid = failure("echo 'unknown import\n  at 7' >&2; exit 65").await;
    assert!(matches!(&invalid, CompileError::Invalid(words) if words == "unknown import at 7"));
    let starved = failure("exit 71").await;
    assert!(matches!(starved, CompileError::OutOfMemory(_)), "{starved}");
    for signal in ["ABRT", "KILL"] {
        let starved = failure(&format!("kill -{signal} $$")).await;
        assert!(matches!(starved, CompileError::OutOfMemory(_)), "{starved}");
    }
    let slow = failure("kill -XCPU $$").await;
    assert!(matches!(slow, CompileError::TimedOut(_)), "{slow}");
    for (script, word) in [
        ("echo 'it panicked' >&2; exit 101", "it panicked"),
        ("echo 'cannot limit' >&2; exit 1", "cannot limit"),
        ("kill -SEGV $$", "signal: 11"),
        (
            "echo 'thread main has overflowed its stack' >&2; kill -ABRT $$",
            "overflowed",
        ),
        ("echo 'no code'", "does not fit"),
    ] {
        let crashed = failure(script).await;
        let CompileError::Crashed(words) = &crashed else {
            panic!("{script}: {crashed}")
        };
        assert!(words.contains(word), "{script}: {words}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_a_component_start_no_child() {
    let data = tempfile::tempdir().unwrap();
    let compiler = compiler(data.path(), "exit 1", PATIENCE);
    for bytes in [&b"nonsense"[..], b"", b"\0asm\x01\0\0\0"] {
        let refused = compiler.compiled(bytes, "aa").await;
        assert!(matches!(refused, Err(CompileError::Invalid(_))));
    }
}

/// Waits for the process id that a script writes.
async fn noted(path: &Path) -> Pid {
    let found = async {
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if let Some(pid) = text.strip_suffix('\n') {
                return Pid::from_raw(pid.parse().unwrap()).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

async fn gone(pid: Pid) {
    let deadline = Instant::now() + PATIENCE;
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_that_takes_too_long_is_killed_and_reaped() {
    let data = tempfile::tempdir().unwrap();
    let pid = data.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", pid.display());
    let compiler = compiler(data.path(), &script, Duration::from_secs(2));
    let refused = compiler.compiled(EMBEDDED, "aa").await;
    assert!(matches!(refused, Err(CompileError::TimedOut(_))));
    let pid = noted(&pid).await;
    // Reaped: not even a zombie is left.
    assert!(test_kill_process(pid).is_err());
}

#[tokio::test]
async fn a_dropped_compilation_kills_its_child() {
    let data = tempfile::tempdir().unwrap();
    let pid = data.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", pid.display());
    let compiler = compiler(data.path(), &script, PATIENCE);
    let pid = tokio::select! {
        _ = compiler.compiled(EMPTY, "aa") => panic!("compiled"),
        pid = noted(&pid) => pid,
    };
    gone(pid).await;
    let left = fs::read_dir(data.path().join("policy-cache")).unwrap();
    assert_eq!(left.count(), 0, "its draft goes too");
}
