//! Tests of keeping, loading, checking and removing code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::SandboxConfig;
use crate::engine::compiler;

fn engine(memory_bytes: usize) -> Engine {
    Engine::new(&SandboxConfig {
        instances: 1,
        memory_bytes,
        ..SandboxConfig::default()
    })
    .unwrap()
}

/// Keeps the code of an empty component.
fn keep(cache: &Cache, engine: &Engine, digest: &str) {
    let code = compiler(engine.reservation, false)
        .unwrap()
        .precompile_component(b"\0asm\x0d\0\x01\0")
        .unwrap();
    let mut draft = cache.draft().unwrap();
    draft.file.write_all(&code).unwrap();
    cache.keep(engine, digest, &draft).unwrap();
}

fn has(cache: &Cache, engine: &Engine, digest: &str) -> bool {
    cache.load(engine, digest).unwrap().is_some()
}

fn names(cache: &Cache) -> usize {
    fs::read_dir(&cache.folder).unwrap().count()
}

#[test]
fn what_is_kept_is_found_again_and_private() {
    let (data, engine) = (tempfile::tempdir().unwrap(), engine(1 << 20));
    let cache = Cache::open(&data.path().join("new")).unwrap();
    assert!(!has(&cache, &engine, "aa"));
    keep(&cache, &engine, "aa");
    assert!(has(&cache, &engine, "aa") && has(&cache, &engine, "aa"));
    assert!(!has(&cache, &engine, "ab"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.folder), 0o700);
    assert_eq!(mode(&cache.path(&engine, "aa")), 0o600);
    assert_eq!(names(&cache), 2, "code and its sum");
    // As another process.
    assert!(has(
        &Cache::open(&data.path().join("new")).unwrap(),
        &engine,
        "aa"
    ));
}

#[test]
fn code_that_was_changed_is_removed_once_a_process_looks() {
    let (data, engine) = (tempfile::tempdir().unwrap(), engine(1 << 20));
    let first = Cache::open(data.path()).unwrap();
    keep(&first, &engine, "aa");
    let path = first.path(&engine, "aa");
    let mut code = fs::read(&path).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&path, &code).unwrap();
    assert!(!has(&first, &engine, "aa"));
    assert_eq!(names(&first), 0);

    keep(&first, &engine, "aa");
    fs::remove_file(files::beside(&path)).unwrap();
    assert!(!has(&first, &engine, "aa") && !path.exists());
}

#[test]
fn code_that_the_engine_does_not_take_is_removed() {
    let (data, engine) = (tempfile::tempdir().unwrap(), engine(1 << 20));
    let cache = Cache::open(data.path()).unwrap();
    let mut draft = cache.draft().unwrap();
    draft.file.write_all(b"\x7fELF and no more").unwrap();
    cache.keep(&engine, "aa", &draft).unwrap();
    assert!(!has(&cache, &engine, "aa"));
    assert_eq!(names(&cache), 0);
}

#[test]
fn a_folder_that_others_could_write_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join(FOLDER);
    let refused = |word: &str| {
        let error = Cache::open(data.path()).unwrap_err().to_string();
        assert!(
            error.contains(word) && error.contains(FOLDER) && error.contains("--data-dir"),
            "{error}"
        );
    };
    symlink(data.path(), &folder).unwrap();
    refused("symbolic link");
    fs::remove_file(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    refused("not a folder");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for mode in [0o720, 0o702] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        refused(&format!("{mode:04o}"));
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    Cache::open(data.path()).unwrap();
}

#[test]
fn a_file_that_others_could_write_is_refused_and_a_link_not_followed() {
    let (data, engine) = (tempfile::tempdir().unwrap(), engine(1 << 20));
    let cache = Cache::open(data.path()).unwrap();
    keep(&cache, &engine, "aa");
    let path = cache.path(&engine, "aa");
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    match cache.load(&engine, "aa") {
        Err(CacheError::Exposed { path: named, .. }) => assert_eq!(named, path),
        other => panic!("not refused: {:?}", other.map(|code| code.is_some())),
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let elsewhere = data.path().join("elsewhere");
    #[expect(clippy::disallowed_methods, reason = "a test")]
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(cache.load(&engine, "aa").is_err());
}

#[test]
fn the_longest_unused_go_first() {
    let (data, engine) = (tempfile::tempdir().unwrap(), engine(1 << 20));
    let cache = Cache {
        retained: 2,
        ..Cache::open(data.path()).unwrap()
    };
    let ago = |digest: &str, seconds| {
        let file = File::open(cache.path(&engine, digest)).unwrap();
        let then = SystemTime::now() - Duration::from_secs(seconds);
        file.set_modified(then).unwrap();
    };
    keep(&cache, &engine, "aa");
    keep(&cache, &engine, "bb");
    ago("aa", 200);
    ago("bb", 100);
    // The last use counts, and not the age.
    assert!(has(&cache, &engine, "aa"));
    keep(&cache, &engine, "cc");
    assert!(!has(&cache, &engine, "bb"));
    assert!(has(&cache, &engine, "aa") && has(&cache, &engine, "cc"));
    assert_eq!(names(&cache), 4, "two, each with its sum");
}

#[test]
fn abandoned_drafts_are_removed() {
    let data = tempfile::tempdir().unwrap();
    let cache = Cache::open(data.path()).unwrap();
    drop(cache.draft().unwrap());
    assert_eq!(names(&cache), 0);
    // Drafts of a process that was killed long ago, and of one that runs.
    for (name, seconds) in [("old.new", 7200), ("young.new", 60)] {
        let file = File::create(cache.folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .unwrap();
    }
    Cache::open(data.path()).unwrap();
    assert!(!cache.folder.join("old.new").exists() && cache.folder.join("young.new").exists());
}

#[test]
fn code_for_other_sandboxes_is_other_code() {
    let data = tempfile::tempdir().unwrap();
    let cache = Cache::open(data.path()).unwrap();
    let mut other = engine(1 << 20);
    keep(&cache, &other, "aa");
    other.inner = compiler(other.reservation / 2, false).unwrap();
    assert!(!has(&cache, &other, "aa"));
}
