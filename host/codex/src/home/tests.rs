//! The files of a home: what is written, shared, set aside, and refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::LoginMode;
use airlock_base::environment::Environment;

/// A configuration whose user has a home with a login, below one temporary folder.
fn config(folder: &Path) -> CodexConfig {
    let user = folder.join("user");
    fs::create_dir_all(user.join(".codex")).unwrap();
    fs::write(user.join(".codex/auth.json"), "theirs").unwrap();
    let environment: Environment = [("HOME", user.to_str().unwrap())].into_iter().collect();
    let mut config = CodexConfig::defaults(environment);
    config.data_dir = folder.join("data");
    config
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_private_and_written_only_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let home = Home::prepare(&config, None).unwrap();
    let settings = home.path.join("config.toml");
    assert_eq!(
        (mode(&home.path), mode(&settings), mode(&home.workspace)),
        (0o700, 0o600, 0o700)
    );
    assert_eq!(fs::read_dir(&home.workspace).unwrap().count(), 0);
    drop(home);

    let old = std::time::SystemTime::UNIX_EPOCH;
    let touched = || settings.metadata().unwrap().modified().unwrap() != old;
    fs::File::options()
        .write(true)
        .open(&settings)
        .unwrap()
        .set_modified(old)
        .unwrap();
    drop(Home::prepare(&config, None).unwrap());
    assert!(!touched());

    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("config.toml"), "model = \"m\"").unwrap();
    config.home = Some(theirs);
    drop(Home::prepare(&config, None).unwrap());
    assert!(
        touched()
            && fs::read_to_string(&settings)
                .unwrap()
                .contains("model = \"m\"")
    );
    let names = fs::read_dir(settings.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().ends_with(".new"))
    );
}

#[test]
fn a_shared_login_is_a_link_and_the_own_login_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.login = LoginMode::Separate;
    let home = Home::prepare(&config, None).unwrap();
    assert_eq!(home.login_file(), home.path.join("auth.json"));
    fs::write(home.login_file(), "ours").unwrap();
    drop(home);

    config.login = LoginMode::Shared;
    let home = Home::prepare(&config, None).unwrap();
    let link = home.path.join("auth.json");
    assert_eq!(fs::read_link(&link).unwrap(), home.login_file());
    assert_eq!(fs::read_to_string(&link).unwrap(), "theirs");
    drop(home);

    config.login = LoginMode::Separate;
    let home = Home::prepare(&config, None).unwrap();
    assert!(!home.login_file().is_symlink());
    assert_eq!(fs::read_to_string(home.login_file()).unwrap(), "ours");
    assert_eq!(
        fs::read_to_string(folder.path().join("user/.codex/auth.json")).unwrap(),
        "theirs"
    );
}

#[test]
fn a_login_that_is_not_there_yet_is_shared_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let user = folder.path().join("user").canonicalize().unwrap();
    fs::remove_dir_all(user.join(".codex")).unwrap();
    let home = Home::prepare(&config, None).unwrap();
    let link = home.path.join("auth.json");
    assert_eq!(fs::read_link(&link).unwrap(), home.login_file());
    assert_eq!(home.login_file(), user.join(".codex/auth.json"));

    fs::create_dir(user.join(".codex")).unwrap();
    fs::write(user.join(".codex/auth.json"), "new").unwrap();
    assert_eq!(fs::read_to_string(&link).unwrap(), "new");
}

#[test]
fn a_rehearsal_has_a_home_of_its_own_without_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let real = Home::prepare(&config, None).unwrap();
    let home = Home::prepare(&config, Some("http://127.0.0.1:1/v1")).unwrap();
    assert_ne!(home.path, real.path);
    assert!(home.custom_provider && home.rehearsal && !home.login_file().exists());
    assert!(home.env_keys.is_empty());
    // A rehearsal on another port shares the home.
    drop(Home::prepare(&config, Some("http://127.0.0.1:2/v1")).unwrap());
}

#[test]
fn two_gateways_share_a_home_only_with_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let first = Home::prepare(&config, None).unwrap();
    let second = Home::prepare(&config, None).unwrap();
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("config.toml"), "model = \"m\"").unwrap();
    config.home = Some(theirs);
    assert!(matches!(
        Home::prepare(&config, None),
        Err(HomeError::Busy(_))
    ));
    drop((first, second));
    drop(Home::prepare(&config, None).unwrap());
}

#[test]
fn a_home_behind_a_link_is_the_same_before_and_after_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let real = folder.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    config.login = LoginMode::Shared;
    let home = link.join("theirs");
    config.environment = [("CODEX_HOME", home.to_str().unwrap())]
        .into_iter()
        .collect();
    let before = Home::prepare(&config, None).unwrap();
    fs::create_dir(&home).unwrap();
    let after = Home::prepare(&config, None).unwrap();
    assert_eq!(before.login_file(), after.login_file());
}

#[test]
fn a_home_in_use_keeps_its_login() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let home = |name: &str| {
        let home = folder.path().join(name);
        fs::create_dir(&home).unwrap();
        Some(home.canonicalize().unwrap())
    };
    config.login = LoginMode::Shared;
    config.home = home("first");
    let running = Home::prepare(&config, None).unwrap();
    let link = running.path.join("auth.json");
    let before = fs::read_link(&link).unwrap();
    config.home = home("second");
    assert!(matches!(
        Home::prepare(&config, None),
        Err(HomeError::Busy(_))
    ));
    assert_eq!(fs::read_link(&link).unwrap(), before);
    drop(running);
    let next = Home::prepare(&config, None).unwrap();
    assert_ne!(fs::read_link(next.path.join("auth.json")).unwrap(), before);
}

#[test]
fn airlocks_own_home_is_no_existing_home() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let path = Home::prepare(&config, None).unwrap().path;
    config.home = Some(path);
    assert!(matches!(Home::prepare(&config, None), Err(HomeError::Own)));
}

#[test]
fn a_home_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let theirs = folder.path().join("user/.codex");
    fs::write(theirs.join("config.toml"), "model = ").unwrap();
    config.home = Some(theirs.clone());
    let error = Home::prepare(&config, None).unwrap_err().to_string();
    assert!(
        error.contains(theirs.join("config.toml").to_str().unwrap())
            && error.contains("--codex-home"),
        "{error}"
    );
}

#[test]
fn an_existing_data_folder_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.data_dir = folder.path().join("shared");
    fs::create_dir(&config.data_dir).unwrap();
    fs::set_permissions(&config.data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    drop(Home::prepare(&config, None).unwrap());
    assert_eq!(mode(&config.data_dir), 0o755);
}
