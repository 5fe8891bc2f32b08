//! The table of settings against the fields of the configuration, the precedence of sources, and printing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use std::time::Duration;

use super::*;
use airlock_policy::config::PolicySource;

mod refused; // errors and warnings

fn environment(variables: &[(&str, &str)]) -> Environment {
    let base = [("HOME", "/nonexistent/home")];
    base.iter().chain(variables).copied().collect()
}

fn load(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<LoadedConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("airlock.toml");
    std::fs::write(&path, file).unwrap();
    let values = flags
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    Config::load(
        &Flags {
            config: Some(path),
            values,
        },
        environment(variables),
    )
}

fn refusal(file: &str, variables: &[(&str, &str)]) -> String {
    match load(file, variables, &[]) {
        Ok(loaded) => panic!("accepted: {:#?}", loaded.config),
        Err(error) => error.to_string(),
    }
}

/// A valid value of a setting that is not its default.
fn other_value(setting: &Setting, existing: &Path) -> String {
    let mut config = Config::defaults(Environment::default());
    match (setting.field)(&mut config) {
        SettingField::Address(_) => "127.0.0.1:9999",
        SettingField::Secret(_) => "key-1",
        SettingField::Name(_) => "vote",
        SettingField::Url(_) => "https://tokens.example/codex",
        SettingField::Command(_) => "tokens --json",
        SettingField::Hosts(_) => "one,two",
        SettingField::Origins(_) => "https://one.example,http://two.example:3000",
        SettingField::PublicKeys(_) => "RWTvzauJZ0UjASDEit/q3XYYgygd81pMKhbKmpQOpagBTtBxzvVEOuZ7",
        SettingField::Policy(_) => return existing.join("file").display().to_string(),
        SettingField::ExistingFolder(_) => return existing.display().to_string(),
        SettingField::Path(_) | SettingField::Folder(_) => "/somewhere/else",
        SettingField::Bool(on) => return (!*on).to_string(),
        SettingField::LoginMode(_) => "separate",
        SettingField::StoreMode(_) => "off",
        SettingField::LogFilter(_) => "error",
        SettingField::Count(_) | SettingField::Count32(_) | SettingField::Count64(_) => "77",
        // Twice the largest body, at least.
        SettingField::Bytes(_) if setting.key == "limits.line_bytes" => "65MiB",
        // Six times the largest body, at least.
        SettingField::Bytes(_) if setting.key == "limits.body_memory_bytes" => "192MiB",
        SettingField::Bytes(_) if setting.key == "policies.compile_memory_bytes" => "1GiB",
        SettingField::Bytes(_) if setting.key == "fleet.recycle_resident_bytes" => "1GiB",
        SettingField::Bytes(_) | SettingField::Bytes64(_) => "3MiB",
        SettingField::Duration(_) => "7s",
    }
    .to_owned()
}

/// The paths of all fields, read from the pretty debug output.
fn fields() -> BTreeSet<String> {
    let text = format!("{:#?}", Config::defaults(Environment::default()));
    let mut path: Vec<String> = Vec::new();
    let mut fields = BTreeSet::new();
    for line in text.lines() {
        let depth = (line.len() - line.trim_start().len()) / 4;
        let Some((name, value)) = line.trim().split_once(": ") else {
            continue;
        };
        path.truncate(depth.saturating_sub(1));
        path.push(name.to_owned());
        if !value.ends_with('{') {
            fields.insert(path.join("."));
        }
    }
    fields
}

/// The key of the setting whose field this is. None: the field is not a setting, or a copy.
fn key_of(field: &str) -> Option<String> {
    let parts: Vec<&str> = field.split('.').collect();
    Some(match parts.as_slice() {
        // Each part has a copy of these two.
        ["environment" | "gateway_flags"] | [_, "environment" | "data_dir"] => return None,
        ["policy", "source"] => "policy".to_owned(),
        ["policy", leaf @ ("strict" | "synthesis")] | ["server", leaf] => (*leaf).to_owned(),
        ["policy", leaf] => format!("policies.{leaf}"),
        [_, table, leaf] => format!("{table}.{leaf}"),
        _ => field.to_owned(),
    })
}

#[test]
fn every_field_is_a_setting_and_every_setting_a_field() {
    let fields: BTreeSet<String> = fields().iter().filter_map(|it| key_of(it)).collect();
    let keys: BTreeSet<String> = SETTINGS
        .iter()
        .map(|setting| setting.key.to_owned())
        .collect();
    assert_eq!(fields, keys);
    assert_eq!(keys.len(), SETTINGS.len(), "a key is declared twice");
}

#[test]
fn every_setting_is_read_from_its_own_variable_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let before = load("", &[], &[]).unwrap();
    for (index, setting) in SETTINGS.iter().enumerate() {
        let value = other_value(setting, folder.path());
        let loaded = load("", &[(setting.variable().as_str(), value.as_str())], &[]).unwrap();
        for (other, source) in loaded.sources.iter().enumerate() {
            let expected = if other == index {
                ValueSource::Environment
            } else {
                ValueSource::Default
            };
            assert_eq!(*source, expected, "{}", setting.key);
        }
        let (mut now, mut then) = (loaded.config, before.config.clone());
        for other in SETTINGS {
            let same = (other.field)(&mut now).show() == (other.field)(&mut then).show();
            assert_eq!(
                same,
                other.key != setting.key,
                "{} set by {}",
                other.key,
                setting.variable()
            );
        }
    }
}

#[test]
fn flag_outweighs_environment_outweighs_file_outweighs_default() {
    let file = "[limits]\nturns = 2\nqueue = 2\nheartbeat = \"2s\"";
    let variables = [
        ("AIRLOCK_LIMITS_TURNS", "3"),
        ("AIRLOCK_LIMITS_QUEUE", "3"),
        ("CODEX_BIN", "/from/alias"),
    ];
    let loaded = load(file, &variables, &[("limits.turns", "4")]).unwrap();
    let limits = &loaded.config.server.limits;
    let turns = &loaded.config.codex.limits;
    assert_eq!(
        (turns.turns, limits.queue, limits.heartbeat),
        (4, 3, Duration::from_secs(2))
    );
    assert_eq!(turns.calls_in_flight, 100);
    assert_eq!(
        loaded.config.codex.bin.as_deref(),
        Some(Path::new("/from/alias"))
    );

    let both = [
        ("CODEX_BIN", "/from/alias"),
        ("AIRLOCK_CODEX_BIN", "/from/own"),
    ];
    let loaded = load("", &both, &[]).unwrap();
    assert_eq!(
        loaded.config.codex.bin.as_deref(),
        Some(Path::new("/from/own"))
    );
}

#[test]
fn paths_of_a_file_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.wasm"), "").unwrap();
    let path = folder.path().join("airlock.toml");
    std::fs::write(
        &path,
        "policy = \"mine.wasm\"\n[codex]\nbin = \"~/bin/codex\"",
    )
    .unwrap();
    let loaded = Config::load(
        &Flags {
            config: Some(path),
            values: vec![],
        },
        environment(&[]),
    )
    .unwrap();
    assert_eq!(
        loaded.config.policy.source,
        Some(PolicySource::File(folder.path().join("mine.wasm")))
    );
    assert_eq!(
        loaded.config.codex.bin.as_deref(),
        Some(Path::new("/nonexistent/home/bin/codex"))
    );
}

#[test]
fn what_config_prints_can_be_read_back() {
    let file = "listen = \"[::1]:9000\"\nallowed_hosts = [\"a\", \"b\"]\n[limits]\nbody_bytes = 1000000\nqueue_wait = \"90s\"";
    let first = load(file, &[("AIRLOCK_SANDBOX_CALL_TIMEOUT", "1500ms")], &[]).unwrap();
    let text = first.to_toml();
    let format = "# list of hosts; in a variable, commas between them; default []; from the file\n";
    assert!(text.contains(format), "{text}");
    let mut second = load(&text, &[], &[]).unwrap();
    second.config.environment = first.config.environment.clone();
    second.config.codex.environment = first.config.environment.clone();
    second.config.gateway_flags = first.config.gateway_flags.clone();
    assert_eq!(
        format!("{:?}", second.config),
        format!("{:?}", first.config)
    );
}

#[test]
fn what_config_prints_names_each_source_and_no_secret() {
    let variables = [("AIRLOCK_API_KEY", "top-secret"), ("AIRLOCK_STRICT", "yes")];
    let text = load(
        "[limits]\nturns = 5",
        &variables,
        &[("listen", "127.0.0.1:1")],
    )
    .unwrap()
    .to_toml();
    for setting in SETTINGS {
        assert!(text.contains(setting.help), "no help for {}", setting.key);
    }
    assert!(
        !text.contains("top-secret") && text.contains("# api_key = \"(secret)\""),
        "{text}"
    );
    assert!(
        text.contains("default 64; from the file\nturns = 5"),
        "{text}"
    );
    assert!(
        text.contains("default false; from the environment\nstrict = true"),
        "{text}"
    );
    assert!(
        text.contains("from the flag --listen\nlisten = \"127.0.0.1:1\""),
        "{text}"
    );
    assert!(
        text.contains("default \"32MiB\"; not set (variable AIRLOCK_LIMITS_BODY_BYTES)"),
        "{text}"
    );
}

#[test]
fn a_proxy_closes_an_idle_connection_before_the_gateway_does() {
    let config = Config::defaults(Environment::from_iter([("HOME", "/h")]));
    // nginx closes an idle connection after 60 s.
    assert_eq!(
        config.server.limits.keep_alive_timeout,
        Duration::from_secs(75)
    );
}

#[test]
fn another_command_for_the_same_gateway_has_the_flags_that_identify_it() {
    let folder = tempfile::tempdir().unwrap();
    let command = |config: Option<PathBuf>, values: &[(&'static str, &str)]| {
        let values = values
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        let flags = Flags {
            config,
            values: values.collect(),
        };
        let loaded = Config::load(&flags, environment(&[("AIRLOCK_LISTEN", "127.0.0.1:1")]));
        loaded.unwrap().config.command("login")
    };
    assert_eq!(command(None, &[]), "airlock login");
    // Flags that do not identify the gateway, and variables, are left out.
    assert_eq!(command(None, &[("strict", "true")]), "airlock login");
    let file = folder.path().join("it's.toml");
    std::fs::write(&file, "").unwrap();
    assert_eq!(
        command(
            Some(file.clone()),
            &[("listen", "[::1]:9000"), ("data_dir", "/srv/a b")]
        ),
        format!(
            "airlock login --config '{}' --listen [::1]:9000 --data-dir '/srv/a b'",
            file.display().to_string().replace('\'', r"'\''")
        )
    );
}

#[test]
fn a_client_command_needs_no_keys_of_the_server() {
    let flags = Flags {
        config: None,
        values: vec![("listen", "0.0.0.0:8787".to_owned())],
    };
    let error = Config::load(&flags, environment(&[])).unwrap_err();
    assert!(error.to_string().contains("there is no api_key"), "{error}");
    let loaded = Config::load_for_client(&flags, environment(&[])).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 8787);
}

#[test]
fn a_former_name_still_works_and_warns() {
    let file = "[codex]\ndata_dir = \"/old\"\n[fleet]\nthreads_ahead = 3";
    let loaded = load(file, &[("AIRLOCK_FLEET_THREADS_AHEAD", "5")], &[]).unwrap();
    let config = &loaded.config;
    assert_eq!(config.data_dir, Path::new("/old"));
    assert_eq!(config.policy.data_dir, Path::new("/old"));
    assert_eq!(config.codex.fleet.warm_threads, 5);
    let warned = loaded.warnings.join("\n");
    for expected in [
        "codex.data_dir is now called data_dir",
        "fleet.threads_ahead is now called fleet.warm_threads",
        "AIRLOCK_FLEET_THREADS_AHEAD is now called AIRLOCK_FLEET_WARM_THREADS",
    ] {
        assert!(warned.contains(expected), "{warned}");
    }
    assert_eq!(loaded.warnings.len(), 3, "{warned}");

    let both = "data_dir = \"/new\"\n[codex]\ndata_dir = \"/old\"";
    let loaded = load(both, &[], &[]).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("/new"));
}
