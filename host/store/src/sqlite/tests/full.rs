//! Tests of a store without room: what is removed for a new object, and what a lack of room costs.

use std::time::Duration;

use super::*;

const LARGE: usize = 100 << 10;

/// Room for about nine large objects, which expire after an hour.
fn small() -> Database {
    database(&StoreConfig {
        bytes: 1 << 20,
        time: Duration::from_secs(3600),
        ..StoreConfig::default()
    })
}

/// Puts large objects `PREFIX0` …, one each second.
fn fill(store: &Database, owner: &Owner, prefix: &str, number: u64, now: u64) {
    for index in 0..number {
        let change = put_large(&format!("{prefix}{index}"), LARGE);
        store
            .change(owner, vec![change], now + index * 1000)
            .unwrap();
    }
}

/// Which of the objects `PREFIX0` … are present. Does not use them.
fn present(store: &Database, owner: &Owner, prefix: &str, number: u64) -> Vec<u64> {
    let mut find = store
        .connection
        .prepare("SELECT 1 FROM object WHERE owner = ?1 AND key = ?2")
        .unwrap();
    let is_there = |index: &u64| {
        let key = format!("{prefix}{index}");
        find.exists((owner.name(), key)).unwrap()
    };
    (0..number).filter(is_there).collect()
}

#[test]
fn the_longest_unused_objects_of_the_owner_make_room() {
    let store = small();
    let (mine, other) = (owner(), stranger());
    fill(&store, &other, "theirs", 3, NOW);
    fill(&store, &mine, "mine", 5, NOW + 10_000);
    // The first is used again, after all others.
    assert!(store.get(&mine, "mine0", NOW + 300_000).is_some());
    fill(&store, &mine, "new", 4, NOW + 400_000);
    assert_eq!(present(&store, &mine, "new", 4), [0, 1, 2, 3]);
    assert_eq!(present(&store, &other, "theirs", 3), [0, 1, 2]);
    let left = present(&store, &mine, "mine", 5);
    assert!(left.contains(&0) && !left.contains(&1), "{left:?}");
    assert!(left.is_sorted() && left.len() < 5, "{left:?}");
    let usage = store.usage().unwrap();
    assert_eq!(usage.capacity, 1 << 20);
    assert!(usage.bytes <= usage.capacity, "{usage:?}");
}

#[test]
fn expired_objects_make_room_first_whoever_owns_them() {
    let store = small();
    let (mine, other) = (owner(), stranger());
    fill(&store, &other, "theirs", 4, NOW);
    fill(&store, &mine, "mine", 5, NOW + 3_600_000);
    fill(&store, &mine, "new", 1, NOW + 3_700_000);
    assert_eq!(present(&store, &other, "theirs", 4), [] as [u64; 0]);
    assert_eq!(present(&store, &mine, "mine", 5), [0, 1, 2, 3, 4]);
}

#[test]
fn running_objects_and_those_of_others_are_never_removed_and_the_store_stays_usable() {
    let store = small();
    let (mine, other) = (owner(), stranger());
    fill(&store, &other, "theirs", 7, NOW);
    let running = NewObject {
        head: "x".repeat(LARGE),
        is_running: true,
        ..object("run", None)
    };
    store
        .change(&mine, vec![ObjectChange::Put(running)], NOW)
        .unwrap();
    store.change(&mine, vec![put("small", None)], NOW).unwrap();
    let grown = end("run", &"x".repeat(4 * LARGE), Vec::new());
    for change in [put_large("more", 3 * LARGE), grown] {
        let refused = store.change(&mine, vec![change], NOW);
        assert_eq!(refused, Err(StoreError::Full));
    }
    // Nothing was removed in vain.
    assert_eq!(present(&store, &other, "theirs", 7).len(), 7);
    assert!(store.get(&mine, "small", NOW).is_some());
    let run = store.get(&mine, "run", NOW).unwrap();
    assert_eq!((run.head.len(), ids(&run)), (LARGE, vec!["run-1"]));
    store
        .change(&mine, vec![end("run", "whole", Vec::new())], NOW)
        .unwrap();
    store
        .change(&mine, vec![put("next", Some("run"))], NOW)
        .unwrap();
    store.change(&mine, vec![delete("small")], NOW).unwrap();
}

#[test]
fn an_object_that_is_larger_than_the_store_removes_nothing() {
    let store = small();
    fill(&store, &owner(), "mine", 6, NOW);
    let refused = store.change(&owner(), vec![put_large("huge", 2 << 20)], NOW);
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(present(&store, &owner(), "mine", 6).len(), 6);
}

#[test]
fn small_items_make_room_for_the_pages_that_they_take() {
    let store = database(&StoreConfig {
        bytes: 2 << 20,
        ..StoreConfig::default()
    });
    fill(&store, &owner(), "mine", 9, NOW);
    // 208,890 bytes of text, in 1.3 MB of pages. 1 MB is free.
    let items = (0..20_000).map(|number| item(&format!("msg_{number}"), "{}"));
    let many = ObjectChange::Put(NewObject {
        items: items.collect(),
        ..object("many", None)
    });
    assert_eq!(store.change(&owner(), vec![many], NOW + 60_000), Ok(()));
    let left = present(&store, &owner(), "mine", 9);
    assert!(left.contains(&8) && !left.contains(&0), "{left:?}");
}

#[test]
fn nothing_is_removed_in_vain_beside_objects_that_must_stay() {
    let store = small();
    let mine = owner();
    let running = NewObject {
        head: "x".repeat(4 * LARGE),
        is_running: true,
        ..object("run", None)
    };
    let changes = vec![ObjectChange::Put(running), put_large("named", 2 * LARGE)];
    store.change(&mine, changes, NOW).unwrap();
    fill(&store, &mine, "small", 2, NOW);
    // Those that run and those that the change names cannot make room, however large they are.
    let large = vec![
        replace_head("named", "short"),
        replace_head("named", &"x".repeat(2 * LARGE)),
        put_large("new", 5 * LARGE),
    ];
    let refused = store.change(&mine, large, NOW + 60_000);
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(present(&store, &mine, "small", 2), [0, 1]);
}

#[test]
fn what_a_change_deletes_is_part_of_the_room_that_it_finds() {
    let store = small();
    let mine = owner();
    let running = NewObject {
        head: "x".repeat(3 * LARGE),
        is_running: true,
        ..object("run", None)
    };
    let changes = vec![ObjectChange::Put(running), put_large("named", 3 * LARGE)];
    store.change(&mine, changes, NOW).unwrap();
    fill(&store, &mine, "old", 2, NOW);
    // More than is free without the other objects, but not more than that with the deleted one.
    let changes = vec![delete("named"), put_large("new", 5 * LARGE + LARGE / 2)];
    assert_eq!(store.change(&mine, changes, NOW + 60_000), Ok(()));
    assert_eq!(present(&store, &mine, "old", 2), [1]);
}

#[test]
fn a_chain_makes_room_from_its_end_but_for_the_base_of_the_new_object() {
    let store = small();
    let mine = owner();
    let link = |key: &str, base: Option<&str>| {
        ObjectChange::Put(NewObject {
            head: "x".repeat(LARGE),
            ..object(key, base)
        })
    };
    store.change(&mine, vec![link("a", None)], NOW).unwrap();
    for (key, base) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")] {
        store
            .change(&mine, vec![link(key, Some(base))], NOW + 1000)
            .unwrap();
    }
    // Room for what continues `c` comes from the chain's end, as `a` and `b` are part of it.
    for number in 0..6 {
        let change = link(&format!("new{number}"), Some("c"));
        store
            .change(&mine, vec![change], NOW + 2000 + number)
            .unwrap();
    }
    let newest = store.get(&mine, "new5", NOW + 3000).unwrap();
    assert_eq!(ids(&newest), ["a-1", "b-1", "c-1", "new5-1"]);
    assert_eq!(store.get(&mine, "e", NOW + 3000), None);
}

#[test]
fn writes_that_share_a_transaction_find_room_each() {
    let store = small();
    fill(&store, &owner(), "mine", 8, NOW);
    let writes: Vec<_> = (0..4)
        .map(|number| (owner(), vec![put_large(&format!("new{number}"), LARGE)]))
        .collect();
    assert_eq!(store.write(&writes, NOW + 60_000), vec![Ok(()); 4]);
    assert_eq!(present(&store, &owner(), "new", 4), [0, 1, 2, 3]);
}

#[test]
fn an_owner_has_a_limit_of_records() {
    let store = database(&StoreConfig {
        records: 3,
        ..StoreConfig::default()
    });
    let mine = owner();
    let changes = vec![
        put("k0", None),
        put_running("run", None),
        put("k1", Some("k0")),
    ];
    store.change(&mine, changes, NOW).unwrap();
    store
        .change(&stranger(), vec![put("theirs", None)], NOW)
        .unwrap();
    // `k1`, the end of the only chain, goes; `k0` would be the next.
    store.change(&mine, vec![put("k2", None)], NOW + 1).unwrap();
    assert_eq!(present(&store, &mine, "k", 3), [0, 2]);
    store
        .change(&mine, vec![put("k3", Some("k2"))], NOW + 2)
        .unwrap();
    assert_eq!(present(&store, &mine, "k", 4), [2, 3]);
    assert!(store.get(&mine, "run", NOW).is_some());
    // The only one that could go is the base.
    store
        .change(&mine, vec![delete("k3"), put_running("run2", None)], NOW)
        .unwrap();
    let refused = store.change(&mine, vec![put("k4", Some("k2"))], NOW);
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(present(&store, &stranger(), "theirs", 1), [] as [u64; 0]);
    assert!(store.get(&stranger(), "theirs", NOW).is_some());
}
