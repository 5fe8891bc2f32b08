//! The compiler's process itself: what it gives, and that its limits hold.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio, id};

const EMBEDDED: &[u8] = airlock_policy::EMBEDDED;
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const GIB: u64 = 1 << 30;

/// Runs a compiler for `parent`, with 4 GiB for each memory of its code.
fn compile(parent: u32, memory: u64, seconds: u64, component: &[u8]) -> Output {
    let numbers = [u64::from(parent), 4 * GIB, memory, seconds, 19];
    let mut child = Command::new(env!("CARGO_BIN_EXE_airlock"))
        .arg("compile-policy")
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends early does not read it.
    let _ = child.stdin.take().unwrap().write_all(component);
    child.wait_with_output().unwrap()
}

#[test]
fn the_shipped_policy_is_compiled_within_the_limits() {
    let output = compile(id(), 4 * GIB, 120, EMBEDDED);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert!(output.stdout.starts_with(b"\x7fELF"));
    assert!(stderr.is_empty(), "{stderr}");
}

#[test]
fn a_broken_component_is_reported_in_one_line() {
    let half = &EMBEDDED[..EMBEDDED.len() / 2];
    let output = compile(id(), 4 * GIB, 120, half);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn memory_and_time_are_limited() {
    // Enough for the program, and not for its work.
    let output = compile(id(), 48 << 20, 120, EMBEDDED);
    let starved = output.status.code() == Some(71) || output.status.signal() == Some(6);
    assert!(starved, "{output:?}");
    let output = compile(id(), 4 * GIB, 0, EMBEDDED);
    // SIGXCPU, or SIGKILL should it be held up.
    assert!(matches!(output.status.signal(), Some(24 | 9)), "{output:?}");
}

#[test]
fn it_works_for_its_parent_alone() {
    let output = compile(1, 4 * GIB, 120, EMPTY);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("the gateway has ended"), "{stderr}");
}
