//! Tests of each operation, and of what is alike for all that is absent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::error::StoreLimit;
use crate::object::ObjectStatus;
use crate::sqlite::read::NEWEST_ITEM;
use crate::sqlite::{QUEUE, worker};
use crate::store::Store;

async fn get(store: &dyn Store, key: &str) -> StoredObject {
    let mut loaded = store.load(&owner(), vec![key.to_owned()]).await.unwrap();
    assert_eq!(loaded.len(), 1, "{key}");
    loaded.pop().unwrap()
}

#[tokio::test]
async fn an_object_is_put_changed_ended_and_deleted() {
    let store = memory();
    let mine = owner();
    store
        .write(&mine, vec![put_running("resp_1", None)])
        .await
        .unwrap();
    let loaded = get(&store, "resp_1").await;
    let expected = StoredObject {
        key: "resp_1".to_owned(),
        format: "test.1".to_owned(),
        base: None,
        head: "head of resp_1".to_owned(),
        status: ObjectStatus::Running,
        items: vec![item("resp_1-1", "text of resp_1")],
    };
    assert_eq!(loaded, expected);
    let change = replace_head("resp_1", "half");
    store.write(&mine, vec![change]).await.unwrap();
    assert_eq!(get(&store, "resp_1").await.head, "half");
    let last = vec![item("msg_1", "é"), item("msg_2", "")];
    store
        .write(&mine, vec![end("resp_1", "whole", last)])
        .await
        .unwrap();
    let loaded = get(&store, "resp_1").await;
    assert_eq!(loaded.status, ObjectStatus::Ended);
    assert_eq!(
        (loaded.head.as_str(), ids(&loaded)),
        ("whole", vec!["resp_1-1", "msg_1", "msg_2"])
    );
    let changes = vec![
        append("resp_1", vec![item("msg_3", "t")]),
        remove_item("resp_1", "msg_1"),
    ];
    store.write(&mine, changes).await.unwrap();
    assert_eq!(
        ids(&get(&store, "resp_1").await),
        ["resp_1-1", "msg_2", "msg_3"]
    );
    store.write(&mine, vec![delete("resp_1")]).await.unwrap();
    let loaded = store.load(&mine, vec!["resp_1".to_owned()]).await;
    assert_eq!(loaded, Ok(Vec::new()));
    assert_eq!(store.usage().await.unwrap().objects, 0);
}

#[tokio::test]
async fn a_chain_is_loaded_from_its_root_and_objects_in_the_order_of_their_keys() {
    let store = memory();
    let changes = vec![
        put("a", None),
        put("b", Some("a")),
        put("c", Some("b")),
        put("other", None),
        append("a", vec![item("a-2", "later")]),
    ];
    store.write(&owner(), changes).await.unwrap();
    let keys = ["other", "none", "c"].map(str::to_owned).to_vec();
    let loaded = store.load(&owner(), keys).await.unwrap();
    let found: Vec<_> = loaded
        .iter()
        .map(|object| (object.key.as_str(), object.base.as_deref(), ids(object)))
        .collect();
    assert_eq!(
        found,
        [
            ("other", None, vec!["other-1"]),
            ("c", Some("b"), vec!["a-1", "a-2", "b-1", "c-1"])
        ]
    );
}

#[tokio::test]
async fn items_are_found_in_all_objects_of_the_owner_the_newest_first() {
    let store = memory();
    let changes = vec![
        put("a", None),
        put("b", Some("a")),
        append("a", vec![item("msg", "old")]),
        append("b", vec![item("msg", "new")]),
    ];
    store.write(&owner(), changes).await.unwrap();
    let wanted = || ["b-1", "none", "msg", "a-1"].map(str::to_owned).to_vec();
    let loaded = store.load_items(&owner(), wanted()).await.unwrap();
    let expected = [
        item("b-1", "text of b"),
        item("msg", "new"),
        item("a-1", "text of a"),
    ];
    assert_eq!(loaded, expected);
    let foreign = store.load_items(&stranger(), wanted()).await.unwrap();
    assert_eq!(foreign, []);
    // Those of an object that is deleted are absent, though its chain still has them.
    store.write(&owner(), vec![delete("a")]).await.unwrap();
    let loaded = store.load_items(&owner(), wanted()).await.unwrap();
    assert_eq!(loaded, expected[..2]);
    assert_eq!(ids(&get(&store, "b").await), ["a-1", "msg", "b-1", "msg"]);
}

#[test]
fn an_item_is_searched_for_once_among_a_limited_number_with_its_identifier() {
    const ROWS: usize = 100_000;
    let store = database(&StoreConfig::default());
    let mine = owner();
    let hidden = ObjectChange::Put(NewObject {
        items: vec![item("msg", "hidden"); ROWS],
        ..object("hidden", None)
    });
    let changes = vec![
        put("a", None),
        append("a", vec![item("msg", "old"), item("other", "text")]),
        hidden,
        put("b", Some("hidden")),
        delete("hidden"),
    ];
    store.change(&mine, changes, NOW).unwrap();
    let wanted: Vec<String> = ["msg"; 999]
        .into_iter()
        .chain(["other"])
        .map(str::to_owned)
        .collect();
    let loaded = store.load_items(&mine, &wanted, NOW).unwrap();
    assert_eq!(loaded, [item("other", "text")]);
    let search = store.connection.prepare_cached(NEWEST_ITEM).unwrap();
    let steps = search.get_status(StatementStatus::VmStep);
    assert!(steps < 50_000, "{steps} steps of SQLite's machine");
    // One that is present comes before them all.
    store
        .change(&mine, vec![append("b", vec![item("msg", "new")])], NOW)
        .unwrap();
    let loaded = store.load_items(&mine, &wanted[..2], NOW).unwrap();
    assert_eq!(loaded, [item("msg", "new")]);
}

#[tokio::test]
async fn what_is_unknown_deleted_expired_or_foreign_is_absent_alike() {
    let changes = |key: &str| {
        [
            replace_head(key, "head"),
            end(key, "head", Vec::new()),
            append(key, vec![item("msg", "text")]),
            remove_item(key, &format!("{key}-1")),
            delete(key),
            put("new", Some(key)),
        ]
    };
    let config = StoreConfig {
        time: std::time::Duration::from_secs(1),
        ..StoreConfig::default()
    };
    let store = database(&config);
    let mine = owner();
    store
        .change(&mine, vec![put("old", None)], NOW - 1000)
        .unwrap();
    let present = vec![put("gone", None), delete("gone"), put("kept", None)];
    store.change(&mine, present, NOW).unwrap();
    store
        .change(&stranger(), vec![put("theirs", None)], NOW)
        .unwrap();
    for key in ["unknown", "gone", "old", "theirs"] {
        for change in changes(key) {
            let error = store.change(&mine, vec![change.clone()], NOW).unwrap_err();
            assert_eq!(error, absent(key), "{change:?}");
        }
        assert_eq!(store.get(&mine, key, NOW), None, "{key}");
        let items = store.load_items(&mine, &[format!("{key}-1")], NOW);
        assert_eq!(items, Ok(Vec::new()), "{key}");
    }
    let missing = store.change(&mine, vec![remove_item("kept", "none")], NOW);
    assert_eq!(missing, Err(absent("none")));
    // Another owner's object is unchanged, and its key is free.
    let theirs = store.get(&stranger(), "theirs", NOW).unwrap();
    assert_eq!(ids(&theirs), ["theirs-1"]);
    let mut same = object("theirs", None);
    same.head = "mine".to_owned();
    store
        .change(&mine, vec![ObjectChange::Put(same)], NOW)
        .unwrap();
    assert_eq!(store.get(&mine, "theirs", NOW).unwrap().head, "mine");
    assert_eq!(store.get(&stranger(), "theirs", NOW), Some(theirs));
}

#[test]
fn changes_are_made_together_or_not_at_all_and_fail_alone() {
    let store = database(&StoreConfig::default());
    let (mine, other) = (owner(), stranger());
    let before = vec![put("conv", None), put_running("resp", None)];
    store.change(&mine, before, NOW).unwrap();
    let ending = |conversation: &str| {
        vec![
            end("resp", "whole", vec![item("out", "o")]),
            append(conversation, vec![item("out", "o")]),
        ]
    };
    let results = store.write(
        &[
            (other.clone(), vec![put("a", None)]),
            (mine.clone(), ending("gone")),
            (mine.clone(), vec![put("conv", None)]),
            (other.clone(), vec![put("b", Some("a"))]),
        ],
        NOW,
    );
    let exists = StoreError::Exists {
        key: "conv".to_owned(),
    };
    let expected = [Ok(()), Err(absent("gone")), Err(exists), Ok(())];
    assert_eq!(results, expected);
    let resp = store.get(&mine, "resp", NOW).unwrap();
    assert_eq!(
        (resp.status, ids(&resp)),
        (ObjectStatus::Running, vec!["resp-1"])
    );
    assert_eq!(ids(&store.get(&other, "b", NOW).unwrap()), ["a-1", "b-1"]);
    store.change(&mine, ending("conv"), NOW).unwrap();
    let resp = store.get(&mine, "resp", NOW).unwrap();
    assert_eq!(
        (resp.status, ids(&resp)),
        (ObjectStatus::Ended, vec!["resp-1", "out"])
    );
    assert_eq!(
        ids(&store.get(&mine, "conv", NOW).unwrap()),
        ["conv-1", "out"]
    );
}

#[test]
fn an_object_has_a_limit_of_bytes() {
    let config = StoreConfig {
        object_bytes: 1000,
        ..StoreConfig::default()
    };
    let store = database(&config);
    let mine = owner();
    let text = "x".repeat(400);
    store.change(&mine, vec![put_large("a", 400)], NOW).unwrap();
    // 3 bytes of the identifier, 400 of the text, and 128.
    let full = append("a", vec![item("i-1", &text)]);
    store.change(&mine, vec![full.clone()], NOW).unwrap();
    for change in [
        full.clone(),
        replace_head("a", &"x".repeat(470)),
        end("a", &text, vec![item("i-2", &text)]),
        put_large("b", 1001),
        ObjectChange::Put(NewObject {
            items: vec![item("i", "{}"); 8],
            ..object("c", None)
        }),
    ] {
        let key = change.key().to_owned();
        let error = store.change(&mine, vec![change], NOW).unwrap_err();
        let limit = StoreLimit::ObjectBytes;
        assert_eq!(
            error,
            StoreError::Limit {
                key,
                limit,
                most: 1000
            }
        );
        assert!(error.to_string().contains("store.object_bytes"), "{error}");
    }
    // What is removed makes room.
    store
        .change(&mine, vec![remove_item("a", "i-1"), full], NOW)
        .unwrap();
    assert_eq!(store.get(&mine, "a", NOW).unwrap().items.len(), 1);
}

#[test]
fn one_operation_loads_a_limited_number_of_keys() {
    let store = database(&StoreConfig::default());
    let keys: Vec<String> = (0..1001).map(|number| format!("k{number}")).collect();
    assert_eq!(store.load(&owner(), &keys[..1000], NOW), Ok(Vec::new()));
    let refused = StoreError::Limit {
        key: "k1000".to_owned(),
        limit: StoreLimit::Keys,
        most: 1000,
    };
    assert_eq!(store.load(&owner(), &keys, NOW), Err(refused.clone()));
    assert_eq!(store.load_items(&owner(), &keys, NOW), Err(refused));
}

#[tokio::test]
async fn a_store_that_is_off_is_none_and_one_that_is_closed_refuses() {
    let config = StoreConfig {
        mode: StoreMode::Off,
        ..StoreConfig::default()
    };
    let off = SqliteStore::open(Path::new("/nonexistent"), &config).unwrap();
    assert!(off.is_none());
    let store = memory();
    let other = store.clone();
    store.close().await.unwrap();
    assert_eq!(other.usage().await, Err(StoreError::Closed));
    assert_eq!(other.close().await, Err(StoreError::Closed));
}

#[tokio::test]
async fn a_full_queue_refuses_and_what_was_queued_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), &StoreConfig::default());
    let store = store.unwrap().unwrap();
    // The thread waits for this transaction of another process.
    let other = Connection::open(folder.path().join("store.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mine = owner();
    let writes: Vec<_> = (0..2 * QUEUE)
        .map(|number| store.write(&mine, vec![put(&format!("k{number}"), None)]))
        .collect();
    other.execute_batch("COMMIT").unwrap();
    let results = futures_util::future::join_all(writes).await;
    let refused = results.iter().filter(|it| **it == Err(StoreError::Busy));
    let refused = refused.count();
    let done = results.iter().filter(|it| it.is_ok()).count();
    assert_eq!(refused + done, 2 * QUEUE);
    assert!(
        done >= QUEUE && refused > 0,
        "{done} done, {refused} refused"
    );
    let objects = store.usage().await.unwrap().objects;
    assert_eq!(objects, u64::try_from(done).unwrap());
}

#[tokio::test]
async fn a_store_whose_queue_is_full_stays_open_when_it_is_to_close() {
    let (jobs, queue) = sync_channel(1);
    let store = SqliteStore(jobs);
    let waiting = store.usage();
    assert_eq!(store.close().await, Err(StoreError::Busy));
    let database = database(&StoreConfig::default());
    let thread = std::thread::Builder::new();
    let thread = thread.spawn(move || worker::run(database, &queue)).unwrap();
    assert!(waiting.await.is_ok());
    assert!(store.usage().await.is_ok());
    assert_eq!(store.close().await, Ok(()));
    thread.join().unwrap();
}

#[test]
fn a_lock_of_another_process_is_waited_for_once_and_its_writes_are_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    let mut store = Database::open(Some(&path), &StoreConfig::default()).unwrap();
    store.change(&owner(), vec![put("a", None)], NOW).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Counts the waits, and ends each at once.
    let waits = Arc::new(AtomicUsize::new(0));
    let counter = waits.clone();
    let wait = move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    };
    store.connection.busy_handler(Some(wait)).unwrap();
    let writes: Vec<_> = (0..8)
        .map(|number| (owner(), vec![put(&format!("k{number}"), None)]))
        .collect();
    for _ in 0..3 {
        assert_eq!(store.write(&writes, NOW), vec![Err(StoreError::Busy); 8]);
        assert_eq!(store.expire(NOW), Err(StoreError::Busy));
        // The use of the object is due to be recorded.
        assert!(store.get(&owner(), "a", NOW + 600_000).is_some());
    }
    assert_eq!(waits.load(Ordering::Relaxed), 1);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.write(&writes, NOW), vec![Ok(()); 8]);
}

#[tokio::test]
async fn a_write_whose_future_is_dropped_is_made() {
    let store = memory();
    drop(store.write(&owner(), vec![put("a", None)]));
    assert_eq!(get(&store, "a").await.head, "head of a");
}
