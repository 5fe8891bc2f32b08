//! Errors, with the key and what to do, and warnings.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{environment, load, refusal};
use crate::config::*;

/// A file and variables, with parts of the error.
type RefusedConfig<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn refusals_name_the_key_and_what_to_do() {
    let cases: &[RefusedConfig<'_>] = &[
        ("lissten = 1", &[], &["lissten", "no such setting"]),
        ("turns = 4", &[], &["turns", "did you mean limits.turns?"]),
        ("[limits]\nturns = 4\nbogus = 1", &[], &["limits.bogus"]),
        ("limits = 4", &[], &["limits"]),
        ("listen = ", &[], &["not TOML"]),
        (
            "[limits]\nturns = \"many\"",
            &[],
            &["limits.turns", "whole number", "the configuration file"],
        ),
        (
            "[limits]\nturns = 0",
            &[],
            &["limits.turns", "between 1 and 1000"],
        ),
        (
            "[limits]\ncalls_in_flight = 200",
            &[],
            &["limits.calls_in_flight", "150"],
        ),
        (
            "[limits]\nheartbeat = \"20s\"",
            &[],
            &["limits.heartbeat", "between 10ms and 15s"],
        ),
        ("[limits]\ndrain = 30", &[], &["limits.drain", "\"15s\""]),
        (
            "[limits]\nbody_bytes = \"4MB\"",
            &[],
            &["limits.body_bytes", "4MiB"],
        ),
        (
            "[limits]\nbody_bytes = \"99999999999GiB\"",
            &[],
            &["limits.body_bytes"],
        ),
        (
            "[limits]\nbody_bytes = \"8MiB\"\nline_bytes = \"15MiB\"",
            &[],
            &["limits.line_bytes", "limits.body_bytes"],
        ),
        (
            "[limits]\nbody_bytes = \"8MiB\"\nbody_memory_bytes = \"45MiB\"",
            &[],
            &["limits.body_memory_bytes", "limits.body_bytes"],
        ),
        (
            "policy = \"/no/such/file\"",
            &[],
            &["policy", "/no/such/file"],
        ),
        (
            "[codex]\nlogin = \"mine\"",
            &[],
            &["codex.login", "separate"],
        ),
        ("strict = 3", &[], &["strict", "true or false"]),
        (
            "",
            &[("AIRLOCK_LISTEN", "8787")],
            &["listen", "127.0.0.1:8787", "AIRLOCK_LISTEN"],
        ),
        (
            "",
            &[("AIRLOCK_API_KEY", "two words")],
            &["api_key", "without spaces"],
        ),
        (
            "listen = \"0.0.0.0:80\"",
            &[],
            &["listen", "api_key", "AIRLOCK_API_KEY"],
        ),
        (
            "allowed_origins = [\"https://chat.example\", \"https://x.example/\"]",
            &[],
            &["allowed_origins", "write \"https://x.example\""],
        ),
        (
            "api_key = \"words\"\nadmin_key = \"words\"",
            &[],
            &["admin_key", "api_key", "set another"],
        ),
        (
            "[policies]\npublic_keys = [\"RWQf\"]",
            &[],
            &["policies.public_keys", "\"RWQf\"", "minisign.pub"],
        ),
        (
            "[policies]\ncompile_memory_bytes = \"1MiB\"",
            &[],
            &["policies.compile_memory_bytes", "between 256MiB"],
        ),
        (
            "[rollback]\npercent = 101",
            &[],
            &["rollback.percent", "between 0 and 100"],
        ),
        (
            "allowed_origins = [\"*\"]",
            &[],
            &["allowed_origins", "\"*\"", "no wildcards"],
        ),
        (
            "",
            &[("AIRLOCK_ALLOWED_HOSTS", "box.example, a:8787")],
            &["allowed_hosts", "write \"a\"", "AIRLOCK_ALLOWED_HOSTS"],
        ),
    ];
    for (file, variables, expected) in cases {
        let refusal = refusal(file, variables);
        for part in *expected {
            assert!(
                refusal.contains(part),
                "{file:?}: no {part:?} in {refusal:?}"
            );
        }
        assert!(
            !refusal.contains("two words"),
            "a secret is shown: {refusal}"
        );
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    for name in ["AIRLOCK_API_KEY", "RUST_LOG"] {
        let broken = OsStr::from_bytes(b"a\xff").to_owned();
        let variables = [
            (OsString::from("HOME"), OsString::from("/nonexistent/home")),
            (OsString::from(name), broken),
        ];
        let error = Config::load(&Flags::default(), variables.into_iter().collect()).unwrap_err();
        let refusal = error.to_string();
        assert!(
            refusal.contains(name) && refusal.contains("UTF-8"),
            "{refusal}"
        );
    }
}

#[test]
fn other_machines_may_connect_with_a_key() {
    let loaded = load(
        "listen = \"0.0.0.0:80\"",
        &[("AIRLOCK_API_KEY", "key")],
        &[],
    )
    .unwrap();
    assert_eq!(loaded.config.server.api_key.unwrap().expose(), "key");
}

#[test]
fn a_named_file_must_exist_and_the_default_one_need_not() {
    let named = Flags {
        config: Some(PathBuf::from("/no/such.toml")),
        values: vec![],
    };
    let error = Config::load(&named, environment(&[])).unwrap_err();
    assert!(error.to_string().contains("/no/such.toml"), "{error}");
    assert!(
        Config::load(&Flags::default(), environment(&[]))
            .unwrap()
            .file
            .is_none()
    );
}

#[test]
fn without_a_home_the_data_folder_must_be_named() {
    let nowhere = Environment::default();
    let error = Config::load(&Flags::default(), nowhere.clone()).unwrap_err();
    assert!(error.to_string().contains("--data-dir"), "{error}");
    let flags = Flags {
        config: None,
        values: vec![("data_dir", "/data".to_owned())],
    };
    assert_eq!(
        Config::load(&flags, nowhere).unwrap().config.data_dir,
        Path::new("/data")
    );
}

#[test]
fn values_that_are_probably_not_intended_warn() {
    let file = "[sandbox]\ninstances = 10\n[policies]\nrequire_signature = true";
    let loaded = load(file, &[("AIRLOCK_TURNS", "3")], &[]).unwrap();
    assert_eq!(loaded.warnings.len(), 3, "{:?}", loaded.warnings);
    assert!(
        loaded.warnings[0].contains("AIRLOCK_TURNS")
            && loaded.warnings[1].contains("sandbox.instances")
            && loaded.warnings[2].contains("policies.public_keys")
    );
}
