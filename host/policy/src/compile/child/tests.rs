//! Tests of the child's code and errors. Its limits are tested on a real process, in host/airlock/tests/compile.rs.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const BOUNDS: ProcessLimits = ProcessLimits {
    memory: u64::MAX,
    seconds: u64::MAX,
    nice: 0,
};

const RESERVATION: u64 = 4 << 30;

fn compiled(component: &[u8]) -> (ChildExit, Vec<u8>, String) {
    let (mut code, mut words) = (Vec::new(), Vec::new());
    let outcome = compile(RESERVATION, BOUNDS, &mut &*component, &mut code, &mut words);
    (outcome, code, String::from_utf8(words).unwrap())
}

#[test]
fn a_component_becomes_code() {
    let (outcome, code, words) = compiled(b"\0asm\x0d\0\x01\0");
    assert_eq!((outcome, words.as_str()), (ChildExit::Done, ""));
    assert!(code.starts_with(b"\x7fELF"), "{} bytes", code.len());
}

#[test]
fn what_is_wrong_with_a_component_is_one_line() {
    // A section that is longer than the file.
    let (outcome, code, words) = compiled(b"\0asm\x0d\0\x01\0\x01\x7f");
    assert_eq!((outcome, code.len()), (ChildExit::Invalid, 0));
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.len() > 10, "{words}");
}

#[test]
fn code_that_cannot_be_written_is_not_a_fault_of_the_component() {
    let mut full: &mut [u8] = &mut [0; 10];
    let component: &[u8] = b"\0asm\x0d\0\x01\0";
    let mut words = Vec::new();
    let outcome = compile(RESERVATION, BOUNDS, &mut &*component, &mut full, &mut words);
    assert_eq!(outcome, ChildExit::Failed);
}

#[test]
fn every_outcome_is_known_by_its_code() {
    for outcome in [
        ChildExit::Done,
        ChildExit::Failed,
        ChildExit::Invalid,
        ChildExit::OutOfMemory,
    ] {
        assert_eq!(ChildExit::from_code(outcome as i32), Some(outcome));
    }
    assert_eq!(ChildExit::from_code(101), None);
}

#[test]
fn a_lack_of_memory_is_an_error_of_its_own() {
    let starved = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    let error = wasmtime::Error::from(starved).context("cannot map code");
    assert_eq!(fault(&error, ChildExit::Invalid), ChildExit::OutOfMemory);
    let error = wasmtime::Error::from(Errno::NOMEM);
    assert_eq!(fault(&error, ChildExit::Invalid), ChildExit::OutOfMemory);
    let error = wasmtime::Error::msg("bad magic number");
    assert_eq!(fault(&error, ChildExit::Invalid), ChildExit::Invalid);
}
