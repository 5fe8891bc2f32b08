//! The objects of one WebSocket: responses that their client does not want stored, and continues on the same connection.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use airlock_types::wit::{NewObject, ObjectStatus, StoredItem, StoredObject};

/// The most objects of a connection.
const OBJECTS: usize = 32;

/// The most bytes of a connection's objects together.
const BYTES: usize = 32 << 20;

/// The objects of a WebSocket, each with the items of its whole chain. Those that were used last are kept. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionObjects(Arc<Mutex<ConnectionMemory>>);

#[derive(Debug, Default)]
struct ConnectionMemory {
    /// Those that were used last at the end.
    objects: VecDeque<StoredObject>,
    /// The keys that the present request has loaded.
    loaded: Vec<String>,
}

impl ConnectionObjects {
    /// Loads an object, which counts as used.
    pub(super) fn load(&self, key: &str) -> Option<StoredObject> {
        let mut state = self.0.lock();
        let index = state.objects.iter().position(|object| object.key == key)?;
        let object = state.objects.remove(index)?;
        state.objects.push_back(object.clone());
        state.loaded.push(key.to_owned());
        Some(object)
    }

    /// Loads the items with these identifiers, the newest of several with one.
    pub(super) fn load_items(&self, ids: &[String]) -> Vec<StoredItem> {
        let mut missing: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let state = self.0.lock();
        let objects = state.objects.iter().rev();
        let items = objects.flat_map(|object| object.items.iter().rev());
        let found = items.filter(|item| missing.remove(item.id.as_str()));
        found.cloned().collect()
    }

    /// Adds an object that continues these items. Those that were not used for longest are dropped if there are too many.
    pub(super) fn put(&self, object: NewObject, mut items: Vec<StoredItem>) {
        items.extend(object.items);
        let object = StoredObject {
            key: object.key,
            format: object.format,
            head: object.head,
            status: ObjectStatus::Ended,
            has_log: false,
            items,
        };
        let objects = &mut self.0.lock().objects;
        objects.push_back(object);
        let mut bytes: usize = objects.iter().map(size).sum();
        while objects.len() > OBJECTS || bytes > BYTES {
            let Some(dropped) = objects.pop_front() else {
                return;
            };
            bytes -= size(&dropped);
        }
    }

    /// Ends a request. One that failed has its objects dropped, as OpenAI's: the client sends the whole conversation next.
    pub fn end_request(&self, has_failed: bool) {
        let mut state = self.0.lock();
        let loaded = std::mem::take(&mut state.loaded);
        if has_failed {
            state.objects.retain(|object| !loaded.contains(&object.key));
        }
    }
}

fn size(object: &StoredObject) -> usize {
    let items = object
        .items
        .iter()
        .map(|item| item.id.len() + item.text.len() + size_of::<StoredItem>());
    object.head.len() + items.sum::<usize>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use airlock_types::wit::ObjectPlace;

    use super::*;

    fn object(key: &str, head: usize) -> NewObject {
        NewObject {
            key: key.to_owned(),
            format: "f".to_owned(),
            base: None,
            head: "x".repeat(head),
            items: vec![StoredItem {
                id: format!("item of {key}"),
                text: "{}".to_owned(),
            }],
            place: ObjectPlace::Connection,
        }
    }

    #[test]
    fn an_object_has_the_items_of_its_chain() {
        let objects = ConnectionObjects::default();
        objects.put(object("a", 1), Vec::new());
        let base = objects.load("a").unwrap().items;
        objects.put(object("b", 1), base);
        let ids: Vec<String> = objects
            .load("b")
            .unwrap()
            .items
            .into_iter()
            .map(|item| item.id)
            .collect();
        assert_eq!(ids, ["item of a", "item of b"]);
        let ids = ["item of a", "item of c"].map(str::to_owned);
        let found = objects.load_items(&ids);
        assert_eq!((found.len(), found[0].id.as_str()), (1, "item of a"));
    }

    #[test]
    fn those_used_last_stay() {
        let objects = ConnectionObjects::default();
        for number in 0..OBJECTS {
            objects.put(object(&number.to_string(), 1), Vec::new());
        }
        assert!(objects.load("0").is_some());
        objects.put(object("last", 1), Vec::new());
        assert!(objects.load("0").is_some() && objects.load("1").is_none());
        objects.put(object("large", BYTES / 2), Vec::new());
        assert!(objects.load("0").is_some());
        objects.put(object("larger", BYTES / 2 + 1), Vec::new());
        assert!(objects.load("0").is_some() && objects.load("large").is_none());
        objects.end_request(false);
        objects.put(object("small", 1), Vec::new());
        assert!(objects.load("larger").is_some());
        objects.end_request(true);
        assert!(objects.load("larger").is_none() && objects.load("small").is_some());
    }
}
