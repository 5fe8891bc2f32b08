//! The environment of a Codex process, and its start.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use std::ffi::OsStr;
use std::path::Path;

use tokio::process::Command;

use super::*;
use airlock_base::descriptors;

/// A launch in a temporary folder, with these variables in the gateway's environment.
fn launch(
    folder: &Path,
    variables: &[(&str, &str)],
    settings: &str,
    rehearsal: Option<&str>,
) -> Launch {
    let theirs = folder.join("theirs");
    std::fs::create_dir_all(&theirs).unwrap();
    std::fs::write(theirs.join("config.toml"), settings).unwrap();
    let mut config = CodexConfig::defaults(variables.iter().copied().collect());
    config.data_dir = folder.join("data");
    config.home = Some(theirs);
    Launch::prepare(&config, "airlock login".to_owned(), rehearsal).unwrap()
}

fn variables(launch: &Launch) -> BTreeMap<String, String> {
    let command = launch.command.command(Path::new("/codex"), &[]);
    let variables = command.as_std().get_envs();
    variables
        .map(|(name, value)| {
            (
                name.to_str().unwrap().to_owned(),
                value.unwrap().to_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn codex_inherits_only_listed_variables() {
    let folder = tempfile::tempdir().unwrap();
    let around = [
        ("PATH", "/bin"),
        ("HOME", "/home/me"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("http_proxy", "p"),
        ("HTTPS_PROXY", "q"),
        ("SSL_CERT_FILE", "c"),
        ("CODEX_CA_CERTIFICATE", "d"),
        ("CORP_KEY", "k"),
        ("CORP_TEAM", "t"),
        ("OPENAI_API_KEY", "leak"),
        ("AIRLOCK_API_KEY", "leak"),
        ("AWS_SECRET_ACCESS_KEY", "leak"),
        ("CODEX_HOME", "/theirs"),
        ("RUST_LOG", "trace"),
        ("LD_PRELOAD", "evil"),
        ("TMPDIR", "/elsewhere"),
        ("OTHER_KEY", "leak"),
    ];
    let settings = "model_provider = \"corp\"\n[model_providers.corp]\nenv_key = \"CORP_KEY\"\n\
        env_http_headers = { team = \"CORP_TEAM\" }\n[model_providers.other]\nenv_key = \"OTHER_KEY\"";
    let launch = launch(folder.path(), &around, settings, None);
    let got = variables(&launch);
    let names: Vec<&str> = got.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AIRLOCK_CHILD_OF",
            "CODEX_CA_CERTIFICATE",
            "CODEX_HOME",
            "CORP_KEY",
            "CORP_TEAM",
            "HOME",
            "HTTPS_PROXY",
            "LC_ALL",
            "NO_COLOR",
            "PATH",
            "RUST_LOG",
            "SSL_CERT_FILE",
            "TMPDIR",
            "TZ",
            "http_proxy",
        ]
    );
    assert_eq!(got["CODEX_HOME"], launch.home().path.display().to_string());
    assert_eq!(got["RUST_LOG"], "warn");
    assert!(!got["TMPDIR"].starts_with("/elsewhere"));
}

#[test]
fn a_provider_cannot_override_airlocks_variables() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "model_provider = \"corp\"\n[model_providers.corp]\nenv_key = \"CODEX_HOME\"";
    let launch = launch(folder.path(), &[("CODEX_HOME", "/theirs")], settings, None);
    assert_eq!(
        variables(&launch)["CODEX_HOME"],
        launch.home().path.display().to_string()
    );
}

#[test]
fn a_rehearsal_uses_no_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let launch = launch(
        folder.path(),
        &[("HTTP_PROXY", "p"), ("PATH", "/bin")],
        "",
        Some("http://127.0.0.1:1/v1"),
    );
    let variables = variables(&launch);
    assert!(variables.contains_key("PATH"));
    assert!(!variables.contains_key("HTTP_PROXY"));
}

#[test]
fn codex_is_started_through_airlocks_own_binary() {
    let folder = tempfile::tempdir().unwrap();
    let launch = launch(folder.path(), &[], "", None);
    let command = launch.command.command(Path::new("/codex"), &["app-server"]);
    let command = command.as_std();
    let arguments: Vec<&OsStr> = command.get_args().collect();
    let parent = std::process::id().to_string();
    let files = descriptors::child_soft_limit().to_string();
    assert_eq!(command.get_program(), "/proc/self/exe");
    assert_eq!(
        arguments,
        [LAUNCH, &parent, &files, "/codex", "app-server"].map(OsStr::new)
    );
    assert_eq!(
        command.get_current_dir(),
        Some(launch.home().workspace.as_path())
    );
}

#[tokio::test]
async fn without_a_binary_clients_get_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let launch = launch(folder.path(), &[("PATH", "")], "", None);
    let refused = launch.spawn(&["app-server"]).await;
    let Err(LaunchError::NoBinary(unfit)) = refused else {
        panic!("not unfit: {refused:?}")
    };
    assert_eq!(unfit.problem().code.as_deref(), Some("codex_not_installed"));
}

#[tokio::test]
async fn the_spawning_thread_outlives_the_runtime() {
    let spawned = || async {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 3"]);
        spawner::spawn(command)
            .await
            .unwrap()
            .wait()
            .await
            .unwrap()
            .code()
    };
    assert_eq!(spawned().await, Some(3));
    let elsewhere = std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(spawned())
    });
    assert_eq!(elsewhere.unwrap().join().unwrap(), Some(3));
    assert_eq!(spawned().await, Some(3));
}
