#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use futures_util::FutureExt as _;

use super::*;
use airlock_store::SqliteStore;
use airlock_store::config::{StoreConfig, StoreMode};
use airlock_types::wit::{NewObject, ObjectEnd, ObjectStatus, Problem, StoredItem};

fn objects() -> Objects {
    let config = StoreConfig {
        mode: StoreMode::Memory,
        ..StoreConfig::default()
    };
    let store = SqliteStore::open(Path::new(""), &config).unwrap().unwrap();
    Objects::new(Some(Arc::new(store)), FrameLogConfig::default())
}

fn client(connection: bool) -> ObjectClient {
    ObjectClient {
        owner: Owner::new("default"),
        connection: connection.then(ConnectionObjects::default),
    }
}

fn items(ids: &[&str]) -> Vec<StoredItem> {
    let item = |id: &&str| StoredItem {
        id: (*id).to_owned(),
        text: format!("{{\"id\":\"{id}\"}}"),
    };
    ids.iter().map(item).collect()
}

fn object(key: &str, base: Option<&str>, own: &[&str], place: ObjectPlace) -> NewObject {
    NewObject {
        key: key.to_owned(),
        format: "f".to_owned(),
        base: base.map(str::to_owned),
        head: "begun".to_owned(),
        items: items(own),
        place,
    }
}

fn end(own: &[&str], append_to: Option<&str>) -> ObjectEnd {
    ObjectEnd {
        head: "ended".to_owned(),
        items: items(own),
        append_to: append_to.map(str::to_owned),
    }
}

fn keys(objects: &[&str]) -> ObjectKeys {
    ObjectKeys {
        objects: objects.iter().map(|&key| key.to_owned()).collect(),
        items: Vec::new(),
    }
}

/// The key, status, head and identifiers of items of each loaded object.
async fn loaded(
    objects: &Objects,
    client: &ObjectClient,
    names: &[&str],
) -> Vec<(String, ObjectStatus, String, String)> {
    let loaded = objects.load(client, &keys(names)).await.unwrap();
    let shown = |object: wit::StoredObject| {
        let ids: Vec<_> = object.items.iter().map(|item| item.id.as_str()).collect();
        (object.key, object.status, object.head, ids.join(" "))
    };
    loaded.objects.into_iter().map(shown).collect()
}

fn shown(
    key: &str,
    status: ObjectStatus,
    head: &str,
    ids: &str,
) -> (String, ObjectStatus, String, String) {
    (key.to_owned(), status, head.to_owned(), ids.to_owned())
}

fn recorder(objects: &Objects, client: &ObjectClient, object: NewObject) -> ObjectRecorder {
    ObjectRecorder::new(objects, client.clone(), Some(object), Vec::new(), None)
}

#[tokio::test]
async fn a_response_is_stored_with_its_end_and_appended_to_its_conversation() {
    let (objects, client) = (objects(), client(false));
    let conversation = object("conv", None, &["m0"], ObjectPlace::Store);
    let put = vec![ObjectChange::Put(conversation)];
    objects.change(&client, put).await.unwrap();
    let mut first = recorder(
        &objects,
        &client,
        object("a", None, &["m1"], ObjectPlace::Store),
    );
    assert!(loaded(&objects, &client, &["a"]).await.is_empty());
    first.end(Some(end(&["m2"], Some("conv")))).await;
    let next = object("b", Some("a"), &["m3"], ObjectPlace::Store);
    recorder(&objects, &client, next)
        .end(Some(end(&["m4"], None)))
        .await;
    let ended = ObjectStatus::Ended;
    assert_eq!(
        loaded(&objects, &client, &["conv", "b", "none", "a"]).await,
        [
            shown("conv", ended, "begun", "m0 m1 m2"),
            shown("b", ended, "ended", "m1 m2 m3 m4"),
            shown("a", ended, "ended", "m1 m2"),
        ]
    );
    let others = ObjectClient {
        owner: Owner::new("other"),
        connection: None,
    };
    assert!(loaded(&objects, &others, &["conv", "a"]).await.is_empty());
    let delete = vec![ObjectChange::Delete("a".to_owned())];
    let refused = objects.change(&others, delete).await.unwrap_err();
    assert_eq!(refused.problem.kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn a_response_of_a_connection_is_found_there_alone() {
    let (objects, client) = (objects(), client(true));
    let first = object("a", None, &["m1"], ObjectPlace::Connection);
    recorder(&objects, &client, first)
        .end(Some(end(&["m2"], None)))
        .await;
    let base = objects.load(&client, &keys(&["a"])).await.unwrap();
    let base = base.objects.into_iter().next().unwrap().items;
    let next = object("b", Some("a"), &["m3"], ObjectPlace::Connection);
    let mut next = ObjectRecorder::new(&objects, client.clone(), Some(next), base, None);
    next.end(Some(end(&["m4"], None))).await;
    let expected = shown("b", ObjectStatus::Ended, "ended", "m1 m2 m3 m4");
    assert_eq!(loaded(&objects, &client, &["b"]).await, [expected]);
    // An immediate response continues it as a turn's does.
    let warm = object("c", Some("b"), &["m5"], ObjectPlace::Connection);
    let put = vec![ObjectChange::Put(warm)];
    objects.change(&client, put).await.unwrap();
    let expected = shown("c", ObjectStatus::Ended, "begun", "m1 m2 m3 m4 m5");
    assert_eq!(loaded(&objects, &client, &["c"]).await, [expected]);
    let elsewhere = ObjectClient {
        connection: None,
        ..client
    };
    assert!(loaded(&objects, &elsewhere, &["a", "b"]).await.is_empty());
}

#[tokio::test]
async fn a_background_response_runs_until_it_is_stopped_and_is_lost_without_its_end() {
    let (objects, client) = (objects(), client(false));
    let response = BackgroundResponse::begin(&objects, &client.owner, "a").unwrap();
    assert!(BackgroundResponse::begin(&objects, &client.owner, "a").is_err());
    let mut running = recorder(
        &objects,
        &client,
        object("a", None, &["m1"], ObjectPlace::Store),
    );
    running.create().await.unwrap();
    running.replace_head("running".to_owned()).await;
    let expected = shown("a", ObjectStatus::Running, "running", "m1");
    assert_eq!(loaded(&objects, &client, &["a"]).await, [expected]);
    assert!(objects.background_ended().now_or_never().is_none());

    let task = async move {
        response.cancelled().await;
        running.end(Some(end(&["m2"], None))).await;
    };
    tokio::join!(task, objects.stop(&client.owner, "a"));
    objects.background_ended().await;
    let expected = shown("a", ObjectStatus::Ended, "ended", "m1 m2");
    assert_eq!(loaded(&objects, &client, &["a"]).await, [expected]);

    let response = BackgroundResponse::begin(&objects, &client.owner, "b").unwrap();
    let mut lost = recorder(
        &objects,
        &client,
        object("b", None, &[], ObjectPlace::Store),
    );
    lost.create().await.unwrap();
    drop((lost, response));
    let expected = shown("b", ObjectStatus::Lost, "begun", "");
    assert_eq!(loaded(&objects, &client, &["b"]).await, [expected]);
}

#[tokio::test]
async fn a_lock_is_held_by_one_response_of_its_owner() {
    let objects = objects();
    let lock = || ObjectLock {
        key: "conv".to_owned(),
        busy: Problem {
            kind: ProblemKind::InvalidRequest,
            code: Some("conversation_locked".to_owned()),
            message: "Busy.".to_owned(),
            param: None,
            retry_after_seconds: None,
        },
    };
    let owner = Owner::new("default");
    let held = objects.lock(&owner, lock()).ok().unwrap();
    let refused = objects.lock(&owner, lock()).err().unwrap();
    assert_eq!(refused.problem, lock().busy);
    assert!(objects.lock(&Owner::new("other"), lock()).is_ok());
    drop(held);
    assert!(objects.lock(&owner, lock()).is_ok());
}

#[tokio::test]
async fn nothing_is_found_or_changed_without_a_store() {
    let objects = Objects::new(None, FrameLogConfig::default());
    let client = client(false);
    assert!(loaded(&objects, &client, &["a"]).await.is_empty());
    let delete = vec![ObjectChange::Delete("a".to_owned())];
    let refused = objects.change(&client, delete).await.unwrap_err();
    assert_eq!(refused.problem.code.as_deref(), Some("store_off"));
}

#[tokio::test]
async fn too_many_keys_are_refused() {
    let (objects, client) = (objects(), client(false));
    let many = ObjectKeys {
        objects: (0..=1000).map(|number| format!("resp_{number}")).collect(),
        items: Vec::new(),
    };
    let refused = objects.load(&client, &many).await.unwrap_err();
    assert_eq!(
        refused.problem.code.as_deref(),
        Some("stored_limit_exceeded")
    );
}
