//! The command line of `airlock policy` and `airlock tape`: exit codes, and errors of one line.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsString;
use std::process::ExitCode;

use super::{defaults, engine, release};
use crate::command;
use airlock_policy::testing::patched;

/// The stdout and stderr of a command, and its exit code as text.
fn typed(arguments: &[&str]) -> (String, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = ["airlock"].iter().chain(arguments);
    let code = command::run(all.map(OsString::from), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), format!("{code:?}"))
}

fn exit(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[test]
fn the_help_of_each_command_has_examples() {
    for (command, word) in [
        (["policy", "check"], "100,000 events"),
        (["policy", "bench"], "medians"),
        (["policy", "replay"], "--against"),
        (["tape", "record"], "admin_key"),
    ] {
        let (out, _, code) = typed(&[command[0], command[1], "--help"]);
        assert!(out.contains(word) && out.contains("Examples:"), "{out}");
        assert_eq!(code, exit(0));
    }
}

#[test]
fn wrong_usage_and_failure_have_different_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text.wasm"), "text").unwrap();
    std::fs::write(path("text.jsonl"), "text").unwrap();
    std::fs::create_dir(path("none")).unwrap();
    let (text, tape, none) = (path("text.wasm"), path("text.jsonl"), path("none"));
    let absent = path("absent");
    let cases: [(&[&str], u8, &str); 6] = [
        (&["policy", "check", &absent], 1, "cannot read"),
        (
            &["policy", "bench", &text],
            1,
            "not a WebAssembly component",
        ),
        (
            &["policy", "replay", &none, "--policy", "shipped"],
            1,
            "holds no tape",
        ),
        (
            &["policy", "replay", &tape, "--policy", "shipped"],
            1,
            "is not a tape: line 1",
        ),
        (
            &["policy", "replay", &absent, "--policy", "shipped"],
            1,
            "cannot read",
        ),
        (
            &["tape", "record", "--data-dir", &none],
            2,
            "AIRLOCK_ADMIN_KEY",
        ),
    ];
    for (arguments, expected, word) in cases {
        let (_, err, code) = typed(arguments);
        assert_eq!(code, exit(expected), "{err}");
        assert!(err.contains(word) && err.lines().count() == 1, "{err}");
    }
    for unusual in [
        &["policy", "replay", &tape][..],
        &["policy", "check"],
        &["tape", "record", "--requests", "0"],
        &["tape", "record", "--seconds", "3601"],
    ] {
        assert_eq!(typed(unusual).2, exit(2));
    }
}

#[test]
fn a_file_that_is_not_a_component_fails_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.wasm").display().to_string();
    std::fs::write(&file, "text").unwrap();
    let (out, err, code) = typed(&["policy", "check", &file]);
    assert_eq!((err.as_str(), code), ("", exit(1)));
    assert!(out.contains("\nfail  component"), "{out}");
    let (out, _, code) = typed(&["policy", "check", &file, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["passed"], code), (&false.into(), exit(1)));
    assert_eq!(report["checks"][2]["mark"], "fail");
}

#[tokio::test]
async fn a_policy_is_given_the_defaults_of_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.wasm");
    std::fs::write(&file, patched("strict", "strikt")).unwrap();
    let config = defaults();
    let engine = engine(&config).ok().unwrap();
    let other = release(&config, &engine, &file.display().to_string()).await;
    assert_eq!(other.ok().unwrap().settings(), r#"{"strikt":false}"#);
    let shipped = release(&config, &engine, "shipped").await;
    assert_eq!(shipped.ok().unwrap().settings(), r#"{"strict":false}"#);
}
