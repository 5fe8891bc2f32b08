//! The room that changes need at least, and the most that eviction can make.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use rusqlite::params;

use super::query_error::QueryError;
use super::scope::OwnerScope;
use crate::object::{ObjectChange, StoredItem, bytes_of};

/// The texts of one object while changes are counted.
struct Texts {
    head: u64,
    items: u64,
}

/// How much changes add to an owner's objects so far, less what they remove, and the most that it was.
#[derive(Default)]
struct Growth {
    bytes: i64,
    most: i64,
}

impl Growth {
    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add_unsigned(bytes);
        self.most = self.most.max(self.bytes);
    }

    fn subtract(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub_unsigned(bytes);
    }
}

impl OwnerScope<'_> {
    /// The bytes that must be free at least before these changes are made.
    pub(super) fn least_room(&self, changes: &[ObjectChange]) -> Result<u64, QueryError> {
        let mut growth = Growth::default();
        let mut objects = HashMap::new();
        for change in changes {
            let texts = match objects.entry(change.key()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.texts(change.key())?),
            };
            let (head, items) = match change {
                ObjectChange::Put(object) => (Some(&object.head), object.items.as_slice()),
                ObjectChange::ReplaceHead { head, .. } => (Some(head), [].as_slice()),
                ObjectChange::End { head, items, .. } => (Some(head), items.as_slice()),
                ObjectChange::Append { items, .. } => (None, items.as_slice()),
                ObjectChange::Abandon { .. } => continue,
                ObjectChange::RemoveItem { .. } | ObjectChange::Delete { .. } => {
                    // An item has no more than its object.
                    growth.subtract(texts.head + texts.items);
                    *texts = Texts { head: 0, items: 0 };
                    continue;
                }
            };
            if let Some(head) = head {
                // SQLite writes the new head before it frees the pages of the old one.
                growth.add(bytes_of(head));
                growth.subtract(std::mem::replace(&mut texts.head, bytes_of(head)));
            }
            growth.add(items.iter().map(StoredItem::least_bytes).sum());
            texts.items += items.iter().map(StoredItem::bytes).sum::<u64>();
        }
        Ok(growth.most.unsigned_abs())
    }

    /// The bytes of an object's head and of its own items; none if it is absent.
    fn texts(&self, key: &str) -> Result<Texts, QueryError> {
        let row = self.find(key)?;
        Ok(row.map_or(Texts { head: 0, items: 0 }, |row| Texts {
            head: row.head_bytes,
            items: row.item_bytes,
        }))
    }

    /// The bytes of heads and items of this owner's objects, but for those that run and the protected keys. Eviction frees no
    /// more than these, and fewer if objects that stay continue some of them.
    pub(super) fn evictable_bytes(&self, protected: &[&str]) -> Result<u64, QueryError> {
        let mut sum = self.connection.prepare_cached(
            "SELECT coalesce(sum(item_bytes + octet_length(head)), 0) FROM object
             WHERE owner = ?1 AND (boot IS NULL OR boot <> ?2)",
        )?;
        let mut of_one = self.connection.prepare_cached(
            "SELECT coalesce(sum(item_bytes + octet_length(head)), 0) FROM object
             WHERE owner = ?1 AND key = ?3 AND (boot IS NULL OR boot <> ?2)",
        )?;
        let mut bytes: u64 = sum.query_row(params![self.owner, self.boot], |row| row.get(0))?;
        for key in protected.iter().collect::<HashSet<_>>() {
            let values = params![self.owner, self.boot, key];
            bytes -= of_one.query_row(values, |row| row.get::<_, u64>(0))?;
        }
        Ok(bytes)
    }
}
