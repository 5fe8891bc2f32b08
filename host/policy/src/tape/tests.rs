//! Tests of writing, reading and finding tapes.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::tape;

#[test]
fn a_tape_is_lines_and_comes_back_as_it_was() {
    let tape = tape(&["Grüße\n", "🦀 password=hunter2"]);
    let lines = tape.to_lines().unwrap();
    assert!(lines.starts_with(
        "{\"airlock_tape\":1,\"world\":\"0.3.0-draft\",\"request\":\"req_1\",\"recorded_at\":1}\n"
    ));
    assert_eq!(lines.lines().count(), 1 + tape.calls.len());
    for left in ["strict", "another's", "hunter2"] {
        assert!(!lines.contains(left), "{lines}");
    }
    assert_eq!(Tape::parse(&lines).unwrap(), tape);
}

#[test]
fn a_file_that_is_not_a_tape_is_refused() {
    let good = tape(&["x"]).to_lines().unwrap();
    let later = good.replace("\"airlock_tape\":1", "\"airlock_tape\":2");
    let cut = &good[..good.len() - 5];
    for (text, word) in [
        ("", "empty"),
        ("{}", "line 1"),
        (later.as_str(), "version 2"),
        (cut, "line 6"),
    ] {
        let error = Tape::parse(text).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn tapes_of_folders_are_found_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let error = find(&[folder.path().to_owned()]).unwrap_err();
    assert!(error.to_string().contains("holds no tape"), "{error}");
    for name in ["b.jsonl", "a.jsonl", "c.new"] {
        std::fs::write(at(name), tape(&[]).to_lines().unwrap()).unwrap();
    }
    let found = find(&[at("c.new"), folder.path().to_owned()]).unwrap();
    assert_eq!(found, [at("c.new"), at("a.jsonl"), at("b.jsonl")]);
    assert_eq!(Tape::read(&found[1]).unwrap(), tape(&[]));
    let error = Tape::read(&at("absent")).unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
}
