//! Tests over real databases: each operation, chains, limits, files, and a process that is killed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod chains; // chains, expiry and deletion
mod files; // files that are not ours, damaged, or newer
mod full; // limits of bytes and records
mod killed; // a process that is killed within each change
mod verbs; // each operation

use crate::config::{StoreConfig, StoreMode};
use crate::error::StoreError;
use crate::object::{NewObject, ObjectChange, Owner, StoredItem, StoredObject};
use crate::sqlite::SqliteStore;
use crate::sqlite::database::Database;

/// A time for databases whose time is an argument, in Unix milliseconds.
const NOW: u64 = 1_800_000_000_000;

fn owner() -> Owner {
    Owner::new("default")
}

fn stranger() -> Owner {
    Owner::new("stranger")
}

fn item(id: &str, text: &str) -> StoredItem {
    StoredItem {
        id: id.to_owned(),
        text: text.to_owned(),
    }
}

/// An object that has ended, with one item `KEY-1` and a head that names it.
fn object(key: &str, base: Option<&str>) -> NewObject {
    NewObject {
        key: key.to_owned(),
        format: "test.1".to_owned(),
        base: base.map(str::to_owned),
        head: format!("head of {key}"),
        items: vec![item(&format!("{key}-1"), &format!("text of {key}"))],
        is_running: false,
    }
}

fn put(key: &str, base: Option<&str>) -> ObjectChange {
    ObjectChange::Put(object(key, base))
}

fn put_running(key: &str, base: Option<&str>) -> ObjectChange {
    ObjectChange::Put(NewObject {
        is_running: true,
        ..object(key, base)
    })
}

/// An object whose head has this many bytes.
fn put_large(key: &str, bytes: usize) -> ObjectChange {
    ObjectChange::Put(NewObject {
        head: "x".repeat(bytes),
        items: Vec::new(),
        ..object(key, None)
    })
}

fn delete(key: &str) -> ObjectChange {
    ObjectChange::Delete {
        key: key.to_owned(),
    }
}

fn end(key: &str, head: &str, items: Vec<StoredItem>) -> ObjectChange {
    ObjectChange::End {
        key: key.to_owned(),
        head: head.to_owned(),
        items,
    }
}

fn append(key: &str, items: Vec<StoredItem>) -> ObjectChange {
    ObjectChange::Append {
        key: key.to_owned(),
        items,
    }
}

fn replace_head(key: &str, head: &str) -> ObjectChange {
    ObjectChange::ReplaceHead {
        key: key.to_owned(),
        head: head.to_owned(),
    }
}

fn remove_item(key: &str, item: &str) -> ObjectChange {
    ObjectChange::RemoveItem {
        key: key.to_owned(),
        item: item.to_owned(),
    }
}

fn absent(key: &str) -> StoreError {
    StoreError::Absent {
        key: key.to_owned(),
    }
}

fn ids(object: &StoredObject) -> Vec<&str> {
    object.items.iter().map(|item| item.id.as_str()).collect()
}

fn memory() -> SqliteStore {
    let config = StoreConfig {
        mode: StoreMode::Memory,
        ..StoreConfig::default()
    };
    SqliteStore::open("/nonexistent".as_ref(), &config)
        .unwrap()
        .unwrap()
}

/// A database in memory, whose time is an argument.
fn database(config: &StoreConfig) -> Database {
    Database::open(None, config).unwrap()
}

impl Database {
    fn change(
        &self,
        owner: &Owner,
        changes: Vec<ObjectChange>,
        now: u64,
    ) -> Result<(), StoreError> {
        self.write(&[(owner.clone(), changes)], now).pop().unwrap()
    }

    /// The object with this key. None: it is absent.
    fn get(&self, owner: &Owner, key: &str, now: u64) -> Option<StoredObject> {
        self.load(owner, &[key.to_owned()], now).unwrap().pop()
    }

    fn objects(&self) -> u64 {
        self.usage().unwrap().objects
    }
}
