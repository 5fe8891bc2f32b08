//! The messages of the checks.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Error, ErrorKind};
use std::path::Path;

use super::*;
use airlock_base::environment::Environment;
use airlock_base::storage;

#[test]
fn each_error_of_a_folder_has_a_message_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("data");
    let user = rustix::process::geteuid().as_raw();
    let message = |kind: ErrorKind, path: &Path| {
        storage::error("write to", path, storage::DATA_DIR_REMEDY)(Error::from(kind)).to_string()
    };
    let data = Path::new("/data");
    for (kind, expected) in [
        (
            ErrorKind::StorageFull,
            "the disk is full; make room there, or ".to_owned(),
        ),
        (
            ErrorKind::QuotaExceeded,
            "the disk quota is used up; make room there, or ".to_owned(),
        ),
        (
            ErrorKind::FileTooLarge,
            "no file may grow to that size (`ulimit -f`); make room there, or ".to_owned(),
        ),
        (
            ErrorKind::ReadOnlyFilesystem,
            "its file system is read-only; mount it writable, or ".to_owned(),
        ),
        (
            ErrorKind::PermissionDenied,
            format!(
                "permission denied for user {user}, as whom airlock runs; give it to that user (chown), or "
            ),
        ),
        (ErrorKind::TimedOut, "timed out; ".to_owned()),
    ] {
        let expected =
            format!("cannot write to /data: {expected}give another folder with --data-dir");
        assert_eq!(message(kind, data), expected);
    }
    for path in [&file, &below] {
        assert_eq!(
            message(ErrorKind::NotADirectory, path),
            format!(
                "cannot write to {}: {} is not a folder; remove it, or give another folder with --data-dir",
                path.display(),
                file.display()
            )
        );
    }
}

#[test]
fn the_id_of_a_data_folder_follows_its_renaming() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    for path in [&one, &other] {
        std::fs::create_dir(path).unwrap();
    }
    let id = storage::data_dir_id(&one).unwrap();
    assert_ne!(storage::data_dir_id(&other), Some(id.clone()));
    let moved = folder.path().join("moved");
    #[expect(clippy::disallowed_methods, reason = "a test")]
    std::fs::rename(&one, &moved).unwrap();
    assert_eq!(storage::data_dir_id(&moved), Some(id));
    assert_eq!(storage::data_dir_id(&one), None);
}

#[test]
fn a_providers_missing_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let settings = "model_provider = \"corp\"\n[model_providers.corp]\nenv_key = \"CORP_KEY\"\n";
    std::fs::write(theirs.join("config.toml"), settings).unwrap();
    let home = folder.path().to_str().unwrap();
    for (variables, expected) in [
        (
            &[("HOME", home)][..],
            Some(Finding::Fail(
                "the model provider reads CORP_KEY, which is not set; export it before `airlock serve`".to_owned(),
            )),
        ),
        (&[("HOME", home), ("CORP_KEY", "k")], None),
    ] {
        let environment: Environment = variables.iter().copied().collect();
        let mut config = Config::defaults(environment);
        config.codex.home = Some(theirs.clone());
        let launch = Launch::prepare(&config.codex, config.command("login"), None).unwrap();
        assert_eq!(provider(&config, &launch), expected);
        // A provider with a key of its own needs no login.
        assert_eq!(login(&config, &launch), None);
    }
}
