//! Conversions between stored objects of the boundary and those of the store.

use airlock_store as store;
use airlock_types::wit;

/// A loaded object for a policy. `runs`: whether a task of this process runs its turn.
pub(super) fn loaded_object(
    object: store::StoredObject,
    runs: bool,
    has_log: bool,
) -> wit::StoredObject {
    let status = match object.status {
        store::ObjectStatus::Running if runs => wit::ObjectStatus::Running,
        store::ObjectStatus::Running | store::ObjectStatus::Lost => wit::ObjectStatus::Lost,
        store::ObjectStatus::Ended => wit::ObjectStatus::Ended,
    };
    wit::StoredObject {
        key: object.key,
        format: object.format,
        head: object.head,
        status,
        has_log,
        items: object.items.into_iter().map(loaded_item).collect(),
    }
}

/// A loaded item for a policy.
pub(super) fn loaded_item(item: store::StoredItem) -> wit::StoredItem {
    wit::StoredItem {
        id: item.id,
        text: item.text,
    }
}

/// A policy's item for the store.
pub(super) fn item(item: wit::StoredItem) -> store::StoredItem {
    store::StoredItem {
        id: item.id,
        text: item.text,
    }
}

/// Policies' items for the store.
pub(super) fn items(items: Vec<wit::StoredItem>) -> Vec<store::StoredItem> {
    items.into_iter().map(item).collect()
}

/// A policy's object for the store.
pub(super) fn object(object: wit::NewObject, is_running: bool) -> store::NewObject {
    store::NewObject {
        key: object.key,
        format: object.format,
        base: object.base,
        head: object.head,
        items: items(object.items),
        is_running,
    }
}

/// A policy's change for the store.
pub(super) fn change(change: wit::ObjectChange) -> store::ObjectChange {
    use store::ObjectChange;
    match change {
        wit::ObjectChange::Put(new) => ObjectChange::Put(object(new, false)),
        wit::ObjectChange::ReplaceHead((key, head)) => ObjectChange::ReplaceHead { key, head },
        wit::ObjectChange::Append((key, list)) => ObjectChange::Append {
            key,
            items: items(list),
        },
        wit::ObjectChange::RemoveItem((key, item)) => ObjectChange::RemoveItem { key, item },
        wit::ObjectChange::Delete(key) => ObjectChange::Delete { key },
    }
}
