//! The folder of policies.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::config::SandboxConfig;

#[test]
fn a_files_name_is_the_policys() {
    let named =
        |file: &str| Build::at(Path::new(file)).map(|build| (build.name.clone(), build.is_plain()));
    assert_eq!(named("/p/redact.wasm"), Some(("redact".to_owned(), true)));
    assert_eq!(
        named("/p/redact@1.2.wasm"),
        Some(("redact".to_owned(), false))
    );
    assert_eq!(
        named("/p/house-voice@a@b.wasm"),
        Some(("house-voice".to_owned(), false))
    );
    for other in [
        "redact.toml",
        "Redact.wasm",
        ".wasm",
        "@1.wasm",
        "-a.wasm",
        "a b.wasm",
        "redact.wasm.minisig",
    ] {
        assert_eq!(named(other), None, "{other}");
    }
}

#[test]
fn the_settings_file_beside_a_policy_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redact.toml");
    let common = SandboxLimits::of(&SandboxConfig::default());
    assert_eq!(beside(&path).unwrap().allowance(common).unwrap(), common);
    let read_limits = |text: &str| {
        fs::write(&path, text).unwrap();
        let sidecar = beside(&path)?;
        sidecar.settings()?;
        sidecar.allowance(common)
    };
    let limits = read_limits("digest = \"sha256:00\"\n[settings]\nvoice = \"x\"\n[limits]\nmemory_bytes = \"16MiB\"\ncall_time = \"50ms\"").unwrap();
    assert_eq!(
        (limits.memory_bytes, limits.call_time.as_millis()),
        (16 << 20, 50)
    );
    assert_eq!(limits.output_bytes, common.output_bytes);
    for (text, expected) in [
        ("x = 1", "unknown field `x`"),
        ("[limits]\nmemory = 1", "unknown field `memory`"),
        ("[limits]\ncall_time = \"soon\"", "limits.call_time"),
        ("[limits]\nmemory_bytes = \"8GiB\"", "limits.memory_bytes"),
        (
            "[limits]\nmemory_bytes = 1",
            "limits.memory_bytes must be between 1MiB and 4GiB",
        ),
        (
            "[limits]\noutput_bytes = 0",
            "limits.output_bytes must be between 1KiB and 64GiB",
        ),
        (
            "[limits]\ncall_time = \"0ms\"",
            "limits.call_time must be between 1ms and 1min",
        ),
        ("on_fault = \"ignore\"", "on_fault"),
        ("=", "redact.toml"),
    ] {
        let error = read_limits(text).unwrap_err();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}
