//! Tests of chains: their limits, and expiry and deletion below objects that continue them.

use std::time::Duration;

use super::*;
use crate::error::StoreLimit;
use crate::object::ObjectStatus;

const HOUR: u64 = 3_600_000;

fn hourly() -> StoreConfig {
    StoreConfig {
        time: Duration::from_millis(HOUR),
        ..StoreConfig::default()
    }
}

/// Puts `k1` … `kN`, each continuing the one before.
fn put_chain(store: &Database, length: usize, now: u64) {
    let changes = (1..=length).map(|number| {
        let base = format!("k{}", number - 1);
        put(&format!("k{number}"), (number > 1).then_some(base.as_str()))
    });
    store.change(&owner(), changes.collect(), now).unwrap();
}

#[test]
fn a_chain_has_a_limit_of_objects_and_of_bytes() {
    let store = database(&StoreConfig {
        chain_objects: 5,
        chain_bytes: 709,
        ..StoreConfig::default()
    });
    put_chain(&store, 6, NOW);
    let refused = |key: &str, limit, most| {
        let key = key.to_owned();
        Err(StoreError::Limit { key, limit, most })
    };
    // Each item counts as 142 bytes, each head as 10.
    assert_eq!(ids(&store.get(&owner(), "k4", NOW).unwrap()).len(), 4);
    let load = |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        store.load(&owner(), &keys, NOW)
    };
    let bytes = refused("k5", StoreLimit::ChainBytes, 709);
    assert_eq!(load(&["k5"]), bytes);
    assert_eq!(load(&["k6"]), refused("k6", StoreLimit::ChainObjects, 5));
    // All that is loaded at once counts.
    assert_eq!(
        load(&["k2", "k3"]),
        refused("k3", StoreLimit::ChainBytes, 709)
    );
    let items: Vec<String> = (1..=5).map(|number| format!("k{number}-1")).collect();
    let items = store.load_items(&owner(), &items, NOW).unwrap_err();
    assert_eq!(Err(items), refused("k5-1", StoreLimit::ChainBytes, 709));
    assert!(bytes.unwrap_err().to_string().contains("store.chain_bytes"));
}

#[test]
fn heads_count_against_the_bytes_of_one_operation_and_a_key_that_is_repeated_loads_once() {
    let store = database(&StoreConfig {
        chain_bytes: 1500,
        ..StoreConfig::default()
    });
    let changes = vec![put_large("a", 1000), put_large("b", 1000)];
    store.change(&owner(), changes, NOW).unwrap();
    let load = |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        store.load(&owner(), &keys, NOW)
    };
    let repeated = load(&["a"; 1000]).map(|objects| objects.len());
    assert_eq!(repeated, Ok(1));
    let refused = StoreError::Limit {
        key: "b".to_owned(),
        limit: StoreLimit::ChainBytes,
        most: 1500,
    };
    assert_eq!(load(&["a", "b"]), Err(refused));
}

#[test]
fn a_chain_of_a_thousand_objects_is_loaded_whole() {
    let store = database(&StoreConfig::default());
    put_chain(&store, 1001, NOW);
    let loaded = store.get(&owner(), "k1000", NOW).unwrap();
    let expected: Vec<String> = (1..=1000).map(|number| format!("k{number}-1")).collect();
    assert_eq!(ids(&loaded), expected);
    let refused = store.load(&owner(), &["k1001".to_owned()], NOW);
    assert!(matches!(
        refused,
        Err(StoreError::Limit {
            limit: StoreLimit::ChainObjects,
            ..
        })
    ));
}

#[test]
fn what_expires_below_a_running_object_stays_in_its_chain() {
    let store = database(&hourly());
    let mine = owner();
    put_chain(&store, 2, NOW);
    store
        .change(&mine, vec![put_running("run", Some("k2"))], NOW)
        .unwrap();
    let later = NOW + 2 * HOUR;
    // Expired means absent, before and after it is removed.
    for key in ["k1", "k2"] {
        assert_eq!(store.get(&mine, key, later), None, "{key}");
    }
    assert_eq!(store.expire(later), Ok(2));
    assert_eq!(store.expire(later), Ok(0));
    assert_eq!(store.get(&mine, "k2", NOW), None);
    let running = store.get(&mine, "run", later).unwrap();
    assert_eq!(ids(&running), ["k1-1", "k2-1", "run-1"]);
    assert_eq!(running.base.as_deref(), Some("k2"));
    let ending = end("run", "whole", vec![item("out", "o")]);
    store.change(&mine, vec![ending], later).unwrap();
    let ended = store.get(&mine, "run", later).unwrap();
    assert_eq!(ids(&ended), ["k1-1", "k2-1", "run-1", "out"]);
    // The last of the chain takes the hidden ones with it.
    assert_eq!(store.objects(), 3);
    assert_eq!(store.expire(later + HOUR), Ok(1));
    assert_eq!(store.objects(), 0);
}

#[test]
fn what_is_deleted_below_a_running_object_stays_in_its_chain() {
    let store = database(&StoreConfig::default());
    let mine = owner();
    put_chain(&store, 2, NOW);
    let branches = vec![put_running("run", Some("k2")), put("other", Some("k1"))];
    store.change(&mine, branches, NOW).unwrap();
    store
        .change(&mine, vec![delete("k1"), delete("k2")], NOW)
        .unwrap();
    assert_eq!(store.get(&mine, "k2", NOW), None);
    let refused = store.change(&mine, vec![put("late", Some("k2"))], NOW);
    assert_eq!(refused, Err(absent("k2")));
    // The key is not free while its items are.
    let taken = store.change(&mine, vec![put("k2", None)], NOW);
    assert!(matches!(taken, Err(StoreError::Exists { .. })));
    let ending = end("run", "whole", Vec::new());
    store.change(&mine, vec![ending], NOW).unwrap();
    assert_eq!(
        ids(&store.get(&mine, "run", NOW).unwrap()),
        ["k1-1", "k2-1", "run-1"]
    );
    // The other branch still continues k1.
    store.change(&mine, vec![delete("run")], NOW).unwrap();
    assert_eq!(store.objects(), 2);
    assert_eq!(
        ids(&store.get(&mine, "other", NOW).unwrap()),
        ["k1-1", "other-1"]
    );
    store.change(&mine, vec![delete("other")], NOW).unwrap();
    assert_eq!(store.objects(), 0);
}

#[test]
fn the_head_of_an_object_that_is_deleted_goes_though_its_items_stay() {
    let store = database(&StoreConfig::default());
    let mine = owner();
    let large = put_large("base", 1 << 20);
    store
        .change(&mine, vec![large, put("next", Some("base"))], NOW)
        .unwrap();
    let before = store.usage().unwrap().bytes;
    store.change(&mine, vec![delete("base")], NOW).unwrap();
    let after = store.usage().unwrap().bytes;
    assert!(after + (1 << 20) <= before, "{before} bytes, then {after}");
    let heads = "SELECT head FROM object WHERE key = 'base'";
    let head = store
        .connection
        .query_row(heads, [], |row| row.get::<_, String>(0));
    assert_eq!(head.as_deref(), Ok(""));
    assert!(store.get(&mine, "next", NOW).is_some());
}

#[test]
fn expired_heads_below_other_objects_make_room() {
    let store = database(&StoreConfig {
        bytes: 1 << 20,
        ..hourly()
    });
    let mine = owner();
    let large = put_large("base", 600 << 10);
    store.change(&mine, vec![large], NOW).unwrap();
    store
        .change(&mine, vec![put_running("run", Some("base"))], NOW)
        .unwrap();
    let new = put_large("new", 600 << 10);
    store.change(&mine, vec![new], NOW + 2 * HOUR).unwrap();
}

#[test]
fn an_object_that_is_deleted_while_it_runs_is_not_ended() {
    let store = database(&StoreConfig::default());
    let mine = owner();
    let changes = vec![put_running("run", None), delete("run")];
    store.change(&mine, changes, NOW).unwrap();
    let ending = vec![end("run", "whole", Vec::new())];
    assert_eq!(store.change(&mine, ending, NOW), Err(absent("run")));
}

#[test]
fn every_use_of_an_object_postpones_its_expiry_and_that_of_no_other() {
    let store = database(&hourly());
    let mine = owner();
    let uses: [(&str, &dyn Fn(u64)); 4] = [
        ("load", &|now| drop(store.get(&mine, "load", now))),
        ("items", &|now| {
            store
                .load_items(&mine, &["items-1".to_owned()], now)
                .unwrap();
        }),
        ("head", &|now| {
            store
                .change(&mine, vec![replace_head("head", "h")], now)
                .unwrap();
        }),
        ("append", &|now| {
            store
                .change(&mine, vec![append("append", Vec::new())], now)
                .unwrap();
        }),
    ];
    store.change(&mine, vec![put("idle", None)], NOW).unwrap();
    for (key, _) in uses {
        store.change(&mine, vec![put(key, None)], NOW).unwrap();
    }
    for step in 1..=3 {
        for (_, make_use) in uses {
            make_use(NOW + step * HOUR * 9 / 10);
        }
    }
    let later = NOW + 3 * HOUR;
    assert_eq!(store.expire(later), Ok(1));
    assert_eq!(store.get(&mine, "idle", later), None);
    for (key, _) in uses {
        assert!(store.get(&mine, key, later).is_some(), "{key}");
    }
}

#[test]
fn what_another_process_runs_is_lost_until_that_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    let open = || Database::open(Some(&path), &hourly()).unwrap();
    let (first, mine) = (open(), owner());
    first
        .change(&mine, vec![put_running("run", None)], NOW)
        .unwrap();
    let second = open();
    let status = |store: &Database| store.get(&mine, "run", NOW).unwrap().status;
    assert_eq!(status(&first), ObjectStatus::Running);
    assert_eq!(status(&second), ObjectStatus::Lost);
    let ending = end("run", "whole", Vec::new());
    first.change(&mine, vec![ending], NOW).unwrap();
    assert_eq!(status(&second), ObjectStatus::Ended);
    // A lost object expires; a running one does not.
    first
        .change(&mine, vec![put_running("next", None)], NOW)
        .unwrap();
    assert!(first.get(&mine, "next", NOW + 2 * HOUR).is_some());
    drop(first);
    assert_eq!(second.get(&mine, "next", NOW + 4 * HOUR), None);
    assert_eq!(second.expire(NOW + 4 * HOUR), Ok(2));
}

#[test]
fn an_abandoned_object_is_lost_and_makes_room() {
    let (store, mine) = (Database::open(None, &hourly()).unwrap(), owner());
    let changes = vec![put_running("run", None), put("ended", None)];
    store.change(&mine, changes, NOW).unwrap();
    for key in ["run", "ended"] {
        let key = key.to_owned();
        let abandon = vec![ObjectChange::Abandon { key }];
        store.change(&mine, abandon, NOW).unwrap();
    }
    let status = |key: &str| store.get(&mine, key, NOW).unwrap().status;
    assert_eq!(status("run"), ObjectStatus::Lost);
    assert_eq!(status("ended"), ObjectStatus::Ended);
    let later = NOW + 2 * 3_600_000;
    assert_eq!(store.expire(later), Ok(2));
}
