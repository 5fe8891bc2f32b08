//! Tests of the errors of builds, and of reading cargo's output.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use airlock_policy::EMBEDDED;

const BASE: Part<'_> = Part {
    name: "the shipped policy",
    bytes: EMBEDDED,
};

fn refused(folder: &Path, cargo: &str) -> BuildError {
    let mut err = Vec::new();
    build(folder, OsStr::new(cargo), &BASE, None, &mut err).unwrap_err()
}

#[test]
fn a_folder_without_a_crate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("Cargo.toml");
    let missing = refused(folder.path(), "cargo");
    assert!(matches!(missing, BuildError::NoProject { .. }), "{missing}");
    for text in ["[workspace]\n", "not TOML"] {
        fs::write(&manifest, text).unwrap();
        let error = refused(folder.path(), "cargo");
        assert!(matches!(error, BuildError::NoProject { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("airlock policy new") && !text.contains('\n'),
            "{text}"
        );
    }
}

#[test]
fn a_missing_cargo_and_a_failing_one_are_distinguished() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"mine\"\n",
    )
    .unwrap();
    let error = refused(folder.path(), "/nowhere/cargo");
    assert!(matches!(error, BuildError::NoCargo(_)), "{error}");
    assert!(error.to_string().contains("https://rustup.rs"), "{error}");
    let error = refused(folder.path(), "false");
    assert!(
        matches!(&error, BuildError::Failed(name) if name == "mine"),
        "{error}"
    );
    // A cargo that succeeds without output.
    let error = refused(folder.path(), "true");
    assert!(matches!(error, BuildError::NoModule(_)), "{error}");
}

fn output(lines: &str) -> (CargoOutput, String) {
    let mut err = Vec::new();
    let output = read_messages(lines.as_bytes(), Path::new("/p/Cargo.toml"), &mut err).unwrap();
    (output, String::from_utf8(err).unwrap())
}

#[test]
fn the_module_is_the_crates_own_cdylib() {
    let artifact = |manifest: &str, kind: &str, file: &str| {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","target":{{"crate_types":["{kind}"]}},"filenames":["/t/x.d","{file}"]}}"#
        )
    };
    let lines = [
        artifact("/dep/Cargo.toml", "cdylib", "/t/dep.wasm"),
        artifact("/p/Cargo.toml", "cdylib", "/t/mine.wasm"),
        artifact("/p/Cargo.toml", "rlib", "/t/libmine.wasm"),
        "a build script talks".to_owned(),
        r#"{"reason":"build-finished","success":true}"#.to_owned(),
    ];
    let (found, diagnostics) = output(&lines.join("\n"));
    assert_eq!(found.module.as_deref(), Some(Path::new("/t/mine.wasm")));
    assert_eq!((found.missing_library, diagnostics.as_str()), (false, ""));
}

#[test]
fn diagnostics_are_passed_on_and_a_missing_target_is_detected() {
    let message = |code: &str| {
        format!(
            r#"{{"reason":"compiler-message","message":{{"rendered":"error: no\n","code":{code}}}}}"#
        )
    };
    let (found, diagnostics) = output(&message("null"));
    assert_eq!(
        (found.missing_library, diagnostics.as_str()),
        (false, "error: no\n")
    );
    let (found, _) = output(&message(r#"{"code":"E0463","explanation":null}"#));
    assert!(found.missing_library);
    assert!(
        BuildError::NoTarget
            .to_string()
            .contains("rustup target add")
    );
}
