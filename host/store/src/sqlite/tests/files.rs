//! Tests of the file: its mode, and files that are damaged, another program's, or a newer Airlock's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::store::Store;

fn open(folder: &Path) -> Result<SqliteStore, String> {
    match SqliteStore::open(folder, &StoreConfig::default()) {
        Ok(store) => Ok(store.unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

/// The error that this content of the file gives. It has the path and a remedy, and the file stays as it is.
fn refusal(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(
        error.starts_with(&format!("cannot open {}: ", path.display())),
        "{error}"
    );
    assert!(error.contains("move it away"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(modes(folder.path()), [0o644]);
    error
}

/// The modes of the files in a folder.
fn modes(folder: &Path) -> Vec<u32> {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect()
}

/// The bytes of a database that these statements make.
fn content(statements: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let other = Connection::open(&path).unwrap();
    other.execute_batch(statements).unwrap();
    drop(other);
    fs::read(path).unwrap()
}

#[tokio::test]
async fn the_file_is_private_and_keeps_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(folder.path()).unwrap();
    store.write(&owner(), vec![put("a", None)]).await.unwrap();
    assert_eq!(modes(folder.path()), [0o600; 3]);
    store.close().await.unwrap();
    // A store that was closed is one file.
    assert_eq!(modes(folder.path()), [0o600]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(modes(folder.path()), [0o600; 3]);
    let loaded = store.load(&owner(), vec!["a".to_owned()]).await.unwrap();
    assert_eq!(ids(&loaded[0]), ["a-1"]);
}

#[test]
fn files_that_are_not_the_stores_are_refused_and_unchanged() {
    let text = refusal(&b"not a database, but long enough to have a header\n".repeat(100));
    assert!(text.contains("not a database of SQLite"), "{text}");
    let other = refusal(&content("CREATE TABLE notes (text)"));
    assert!(other.contains("another program"), "{other}");
    let marked = refusal(&content(
        "PRAGMA application_id = 7; CREATE TABLE notes (text)",
    ));
    assert!(marked.contains("another program"), "{marked}");
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().close().await.unwrap();
    let path = folder.path().join("store.sqlite3");
    let file = Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 999).unwrap();
    drop(file);
    let error = open(folder.path()).unwrap_err();
    assert!(
        error.contains("newer airlock") && error.contains("version 999"),
        "{error}"
    );
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_with_the_path_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let large = vec![put_large("a", 100_000), put_large("b", 100_000)];
    store.write(&owner(), large).await.unwrap();
    store.close().await.unwrap();
    let path = folder.path().join("store.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    // All but the first page, which has the header and the schema.
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let store = open(folder.path()).unwrap();
    let error = store
        .load(&owner(), vec!["a".to_owned()])
        .await
        .unwrap_err();
    let StoreError::Database(message) = error else {
        panic!("{error}")
    };
    assert!(message.contains("damaged"), "{message}");
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains("move it away"), "{message}");
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let error = open(&missing).unwrap_err();
    assert!(error.contains("none/store.sqlite3"), "{error}");
    fs::create_dir(folder.path().join("store.sqlite3")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(error.contains("it is a folder"), "{error}");
}

#[test]
fn processes_that_open_a_new_file_at_once_agree_on_it() {
    let config = StoreConfig::default();
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite3");
        std::thread::scope(|scope| {
            for index in 0..8 {
                let (path, config) = (&path, &config);
                scope.spawn(move || {
                    let store = Database::open(Some(path), config).unwrap();
                    let change = put(&format!("k{index}"), None);
                    store.change(&owner(), vec![change], NOW).unwrap();
                });
            }
        });
        let store = Database::open(Some(&path), &config).unwrap();
        assert_eq!(store.objects(), 8);
    }
}
