//! `airlock policy` as it is typed: exit codes, and one clear line for what is wrong.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsString;

use crate::command;

/// What a command prints and says, and its exit code as text.
fn typed(arguments: &[&str]) -> (String, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = ["airlock", "policy"].iter().chain(arguments);
    let code = command::run(all.map(OsString::from), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), format!("{code:?}"))
}

fn exit(code: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(code))
}

#[test]
fn help_teaches_each_command() {
    for (command, word) in [
        ("new", "--role"),
        ("build", "wasm32-unknown-unknown"),
        ("compose", "--onto"),
    ] {
        let (out, _, code) = typed(&[command, "--help"]);
        assert!(out.contains(word) && out.contains("Examples:"), "{out}");
        assert_eq!(code, exit(0));
    }
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text.wasm"), "text").unwrap();
    let (text, absent, out) = (path("text.wasm"), path("absent.wasm"), path("out.wasm"));
    let here = path("");
    let cases: [(&[&str], u8, &str); 5] = [
        (&["new", "Not-A-Name"], 2, "is not a name for a policy"),
        (&["new", "mine", "--dir", &here], 1, "is not empty"),
        (&["build", &here], 1, "airlock policy new"),
        (&["compose", &absent, "-o", &out], 1, "cannot read"),
        (&["compose", &text, "-o", &out], 1, "it is not WebAssembly"),
    ];
    for (arguments, expected, word) in cases {
        let (_, err, code) = typed(arguments);
        assert_eq!(code, exit(expected), "{err}");
        assert!(err.contains(word) && err.lines().count() == 1, "{err}");
    }
    for unusual in [
        &["compose", &text][..],
        &["new"],
        &["new", "a", "--role", "b"],
    ] {
        assert_eq!(typed(unusual).2, exit(2));
    }
    assert!(!folder.path().join("out.wasm").exists());
}

#[test]
fn a_composition_is_written_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (whole, out) = (path("whole.wasm"), path("out.wasm"));
    std::fs::write(&whole, airlock_policy::EMBEDDED).unwrap();
    let (output, err, code) = typed(&["compose", &whole, "-o", &out]);
    assert_eq!((err.as_str(), code), ("", exit(0)));
    assert_eq!(std::fs::read(&out).unwrap(), airlock_policy::EMBEDDED);
    let digest = airlock_policy::digest(airlock_policy::EMBEDDED);
    assert!(
        output.contains(&digest) && output.contains(&out),
        "{output}"
    );
    let origins = format!("from {whole}: manifest, admit, prompt, translate, synthesize, relay\n");
    assert!(output.contains(&origins), "{output}");
}
