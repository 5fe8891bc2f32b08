//! Tests of a process that is killed (SIGKILL): after a change was acknowledged it is there, before that nothing is half
//! written. The process is this test's own program, which runs one test with a variable that names the case.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use airlock_base::clock::unix_ms;
use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Runtime;

use super::*;
use crate::object::ObjectStatus;
use crate::store::Store;

/// The variable of the child: the folder, then the change, then the moment.
const CASE: &str = "AIRLOCK_TEST_STORE_KILLED";

const CHANGES: [&str; 4] = ["put", "head", "end", "append"];

/// Large enough that SQLite writes pages of the transaction to its log before the commit: its cache has 2 MB.
const LARGE: usize = 6 << 20;

/// What is there before each change.
fn prepare() -> Vec<ObjectChange> {
    vec![
        put("base", None),
        put_running("run", Some("base")),
        put("conv", None),
    ]
}

/// The changes of a case: several rows each.
fn changes(name: &str) -> Vec<ObjectChange> {
    let text = "x".repeat(LARGE);
    let items = vec![item("one", "1"), item("large", &text), item("two", "2")];
    match name {
        "put" => vec![ObjectChange::Put(NewObject {
            items,
            ..object("new", Some("base"))
        })],
        "head" => vec![replace_head("run", &text)],
        "end" => vec![end("run", "whole", items.clone()), append("conv", items)],
        _ => vec![append("conv", items)],
    }
}

/// All that is stored, which the tests compare.
fn content(store: &Database) -> Vec<StoredObject> {
    let keys = ["base", "run", "conv", "new"].map(str::to_owned);
    store.load(&owner(), &keys, unix_ms()).unwrap()
}

fn open(folder: &Path) -> Database {
    Database::open(Some(&folder.join("store.sqlite3")), &StoreConfig::default()).unwrap()
}

/// The child's part. As a test of its own it has nothing to do.
#[test]
fn the_process_that_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    let parts: Vec<&str> = case.split('\n').collect();
    let [folder, change, moment] = parts[..] else {
        panic!("{case}")
    };
    if moment == "before" {
        // What the thread does, up to the commit.
        let store = open(Path::new(folder));
        store.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let write = (owner(), changes(change));
        store.apply(&store.connection, &write, unix_ms()).unwrap();
        println!("applied");
        kill_process(getpid(), Signal::KILL).unwrap();
    }
    let config = StoreConfig::default();
    let store = SqliteStore::open(Path::new(folder), &config);
    let store = store.unwrap().unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        if moment == "after" {
            store.write(&owner(), changes(change)).await.unwrap();
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        // Until the parent kills this process.
        for number in 0.. {
            let (key, base) = (format!("k{number}"), format!("k{}", number - 1));
            let base = (number > 0).then_some(base.as_str());
            store
                .write(&owner(), vec![put_running(&key, base)])
                .await
                .unwrap();
            let ending = vec![
                end(&key, "whole", vec![item("out", "o")]),
                append("conv", vec![item(&key, "o")]),
            ];
            store.write(&owner(), ending).await.unwrap();
            println!("\nended {number}");
        }
    });
}

fn child(folder: &Path, change: &str, moment: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture"])
        .arg("sqlite::tests::killed::the_process_that_is_killed")
        .env(CASE, format!("{}\n{change}\n{moment}", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_change_is_there_once_it_was_acknowledged_and_before_its_commit_not_at_all() {
    for change in CHANGES {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.change(&owner(), prepare(), unix_ms()).unwrap();
        let before = content(&store);
        drop(store);
        let killed = child(folder.path(), change, "before").output().unwrap();
        assert_eq!(signal(killed.status), Some(9), "{change}");
        assert!(
            String::from_utf8(killed.stdout)
                .unwrap()
                .contains("applied")
        );
        let store = open(folder.path());
        // It was the process that ran `run` which ended first.
        let expected = before.into_iter().map(lost).collect::<Vec<_>>();
        assert_eq!(content(&store), expected, "{change}");
        drop(store);

        let killed = child(folder.path(), change, "after").output().unwrap();
        assert_eq!(signal(killed.status), Some(9), "{change}");
        let reference = database(&StoreConfig::default());
        reference.change(&owner(), prepare(), unix_ms()).unwrap();
        reference
            .change(&owner(), changes(change), unix_ms())
            .unwrap();
        let expected = content(&reference).into_iter().map(lost);
        let store = open(folder.path());
        assert!(content(&store) == expected.collect::<Vec<_>>(), "{change}");
        assert_whole(&store);
    }
}

#[test]
fn a_process_that_is_killed_at_any_moment_loses_nothing_that_was_acknowledged() {
    for round in 1..=8 {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store
            .change(&owner(), vec![put("conv", None)], unix_ms())
            .unwrap();
        drop(store);
        let mut killed = child(folder.path(), "all", "any").spawn().unwrap();
        let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
        let mut ended = lines.filter_map(|line| {
            let number = line.ok()?.strip_prefix("ended ")?.parse::<usize>();
            number.ok()
        });
        let mut acknowledged = ended.nth(round * 5).unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        acknowledged = ended.last().unwrap_or(acknowledged);

        let store = open(folder.path());
        assert_whole(&store);
        let now = unix_ms();
        let last = format!("k{acknowledged}");
        let chain = store.get(&owner(), &last, now).unwrap();
        assert_eq!(chain.status, ObjectStatus::Ended);
        assert_eq!(chain.items.len(), 2 * (acknowledged + 1));
        // The next may have been ended, or begun; with its item in the conversation if and only if it was ended.
        let next = store.get(&owner(), &format!("k{}", acknowledged + 1), now);
        let is_ended = next.is_some_and(|next| next.status == ObjectStatus::Ended);
        let conversation = store.get(&owner(), "conv", now).unwrap();
        let expected = 1 + acknowledged + 1 + usize::from(is_ended);
        assert_eq!(conversation.items.len(), expected);
    }
}

fn signal(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The object as another process sees it.
fn lost(object: StoredObject) -> StoredObject {
    StoredObject {
        status: match object.status {
            ObjectStatus::Running | ObjectStatus::Lost => ObjectStatus::Lost,
            ObjectStatus::Ended => ObjectStatus::Ended,
        },
        ..object
    }
}

fn assert_whole(store: &Database) {
    let check = store
        .connection
        .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(check.unwrap(), "ok");
}
