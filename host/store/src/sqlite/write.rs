//! The statements of each change. A change is checked before it writes.

use rusqlite::params;

use super::query_error::QueryError;
use super::scope::{ObjectRow, OwnerScope};
use crate::error::{StoreError, StoreLimit};
use crate::object::{ITEM_BYTES, NewObject, ObjectChange, StoredItem, bytes_of};

impl OwnerScope<'_> {
    /// Makes changes in order. `protected` has the keys that making room must not remove.
    pub(super) fn apply(
        &self,
        changes: &[ObjectChange],
        protected: &[&str],
    ) -> Result<(), QueryError> {
        for change in changes {
            match change {
                ObjectChange::Put(object) => self.put(object, protected)?,
                ObjectChange::ReplaceHead { key, head } => self.replace_head(key, head)?,
                ObjectChange::End { key, head, items } => self.end(key, head, items)?,
                ObjectChange::Abandon { key } => self.abandon(key)?,
                ObjectChange::Append { key, items } => self.append(key, items)?,
                ObjectChange::RemoveItem { key, item } => self.remove_item(key, item)?,
                ObjectChange::Delete { key } => {
                    let object = self.require(key)?;
                    self.hide_or_remove(object.id)?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, object: &NewObject, protected: &[&str]) -> Result<(), QueryError> {
        let key = &object.key;
        let mut exists = self
            .connection
            .prepare_cached("SELECT 1 FROM object WHERE owner = ?1 AND key = ?2")?;
        if exists.exists(params![self.owner, key])? {
            return Err(StoreError::Exists { key: key.clone() }.into());
        }
        let base = object.base.as_deref();
        let base = base.map(|base| self.require(base)).transpose()?;
        let item_bytes = item_bytes(&object.items);
        self.check_size(key, bytes_of(&object.head) + item_bytes)?;
        self.make_room_for_one(protected)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO object (owner, key, base, boot, used, item_bytes, format, head)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let id = insert.insert(params![
            self.owner,
            key,
            base.map(|base| base.id),
            object.is_running.then_some(self.boot),
            self.now,
            item_bytes,
            object.format,
            object.head,
        ])?;
        self.insert_items(id, &object.items)
    }

    fn replace_head(&self, key: &str, head: &str) -> Result<(), QueryError> {
        let object = self.require(key)?;
        self.check_size(key, bytes_of(head) + object.item_bytes)?;
        let mut update = self.connection.prepare_cached(
            "UPDATE object SET head = ?3, used = ?4 WHERE owner = ?1 AND id = ?2",
        )?;
        update.execute(params![self.owner, object.id, head, self.now])?;
        Ok(())
    }

    fn end(&self, key: &str, head: &str, items: &[StoredItem]) -> Result<(), QueryError> {
        let object = self.require(key)?;
        let item_bytes = object.item_bytes + item_bytes(items);
        self.check_size(key, bytes_of(head) + item_bytes)?;
        let mut update = self.connection.prepare_cached(
            "UPDATE object SET head = ?3, boot = NULL, item_bytes = ?4, used = ?5
             WHERE owner = ?1 AND id = ?2",
        )?;
        update.execute(params![self.owner, object.id, head, item_bytes, self.now])?;
        self.insert_items(object.id, items)
    }

    /// Makes a running object one of no process.
    fn abandon(&self, key: &str) -> Result<(), QueryError> {
        let object = self.require(key)?;
        let mut update = self.connection.prepare_cached(
            "UPDATE object SET boot = '' WHERE owner = ?1 AND id = ?2 AND boot IS NOT NULL",
        )?;
        update.execute(params![self.owner, object.id])?;
        Ok(())
    }

    fn append(&self, key: &str, items: &[StoredItem]) -> Result<(), QueryError> {
        let object = self.require(key)?;
        let item_bytes = object.item_bytes + item_bytes(items);
        self.check_size(key, object.head_bytes + item_bytes)?;
        self.set_item_bytes(&object, item_bytes)?;
        self.insert_items(object.id, items)
    }

    fn remove_item(&self, key: &str, item: &str) -> Result<(), QueryError> {
        let object = self.require(key)?;
        let mut remove = self.connection.prepare_cached(
            "DELETE FROM item WHERE owner = ?1 AND +object = ?2 AND id = ?3
             RETURNING octet_length(id) + octet_length(text) + ?4",
        )?;
        let removed = remove
            .query_map(params![self.owner, object.id, item, ITEM_BYTES], |row| {
                row.get(0)
            })?;
        let removed = removed.collect::<rusqlite::Result<Vec<u64>>>()?;
        if removed.is_empty() {
            let key = item.to_owned();
            return Err(StoreError::Absent { key }.into());
        }
        let item_bytes = object.item_bytes.saturating_sub(removed.iter().sum());
        self.set_item_bytes(&object, item_bytes)
    }

    fn set_item_bytes(&self, object: &ObjectRow, item_bytes: u64) -> Result<(), QueryError> {
        let mut update = self.connection.prepare_cached(
            "UPDATE object SET item_bytes = ?3, used = ?4 WHERE owner = ?1 AND id = ?2",
        )?;
        update.execute(params![self.owner, object.id, item_bytes, self.now])?;
        Ok(())
    }

    fn insert_items(&self, object: i64, items: &[StoredItem]) -> Result<(), QueryError> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO item (owner, object, id, text) VALUES (?1, ?2, ?3, ?4)")?;
        for item in items {
            insert.execute(params![self.owner, object, item.id, item.text])?;
        }
        Ok(())
    }

    fn check_size(&self, key: &str, bytes: u64) -> Result<(), QueryError> {
        let most = self.config.object_bytes;
        if bytes <= most {
            return Ok(());
        }
        let key = key.to_owned();
        let limit = StoreLimit::ObjectBytes;
        Err(StoreError::Limit { key, limit, most }.into())
    }
}

fn item_bytes(items: &[StoredItem]) -> u64 {
    items.iter().map(StoredItem::bytes).sum()
}
