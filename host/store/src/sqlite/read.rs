//! Loading objects with their chains, and items by their identifiers.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, params};

use super::query_error::QueryError;
use super::scope::{LastUse, ObjectRow, OwnerScope, horizon};
use crate::error::{StoreError, StoreLimit};
use crate::object::{ObjectStatus, StoredItem, StoredObject};

/// Keys or identifiers that one operation may load.
const KEYS: usize = 1000;

/// The chain of object ?2, that object at depth 1. At most ?3 + 1 objects are visited.
const CHAIN: &str = "
    WITH RECURSIVE chain (id, base, depth, bytes) AS (
        SELECT id, base, 1, item_bytes FROM object WHERE owner = ?1 AND id = ?2
        UNION ALL
        SELECT object.id, object.base, depth + 1, bytes + object.item_bytes
        FROM chain CROSS JOIN object
        WHERE object.id = chain.base AND object.owner = ?1 AND depth <= ?3
    ) ";

/// Items with one identifier that are searched for one that is present, the newest first. Those of hidden and expired objects
/// may be any number.
const SEARCHED: u32 = 1000;

/// The newest item with identifier ?2 that is present, among the newest ?5. Its text is read last, as only one is wanted.
pub(super) const NEWEST_ITEM: &str = "
    SELECT item.text, newest.object, newest.used
    FROM (
        SELECT found.n, object.id AS object, used
        FROM (
            SELECT n, object FROM item WHERE owner = ?1 AND id = ?2 ORDER BY n DESC LIMIT ?5
        ) AS found CROSS JOIN object
        WHERE object.id = found.object AND object.owner = ?1 AND hidden = 0 AND (used > ?3 OR boot = ?4)
        ORDER BY found.n DESC LIMIT 1
    ) AS newest CROSS JOIN item
    WHERE item.n = newest.n AND +item.owner = ?1";

impl OwnerScope<'_> {
    /// Loads objects with the items of their chains, and adds the objects to `used`.
    pub(super) fn load(
        &self,
        keys: &[String],
        used: &mut Vec<LastUse>,
    ) -> Result<Vec<StoredObject>, QueryError> {
        check_number(keys)?;
        let mut bytes = 0;
        let mut objects = Vec::new();
        for key in distinct(keys) {
            let Some(row) = self.find(key)? else { continue };
            bytes += row.head_bytes + self.measure_chain(key, &row)?;
            self.check_bytes(key, bytes)?;
            objects.push(self.object(key, &row)?);
            used.push(row.last_use());
        }
        Ok(objects)
    }

    /// Loads items by their identifiers, and adds their objects to `used`.
    pub(super) fn load_items(
        &self,
        ids: &[String],
        used: &mut Vec<LastUse>,
    ) -> Result<Vec<StoredItem>, QueryError> {
        check_number(ids)?;
        let mut find = self.connection.prepare_cached(NEWEST_ITEM)?;
        let horizon = horizon(self.now, self.config);
        let mut bytes = 0;
        let mut items = Vec::new();
        for id in distinct(ids) {
            let values = params![self.owner, id, horizon, self.boot, SEARCHED];
            let found = find.query_row(values, |row| {
                let (object, at) = (row.get(1)?, row.get(2)?);
                Ok((row.get(0)?, LastUse { object, at }))
            });
            let Some((text, last_use)) = found.optional()? else {
                continue;
            };
            let item = StoredItem {
                id: id.to_owned(),
                text,
            };
            bytes += item.bytes();
            self.check_bytes(id, bytes)?;
            items.push(item);
            used.push(last_use);
        }
        Ok(items)
    }

    /// The bytes of a chain's items.
    fn measure_chain(&self, key: &str, object: &ObjectRow) -> Result<u64, QueryError> {
        let most = self.config.chain_objects;
        let sql = format!("{CHAIN} SELECT max(depth), max(bytes) FROM chain");
        let mut measure = self.connection.prepare_cached(&sql)?;
        let (objects, bytes): (u64, u64) = measure
            .query_row(params![self.owner, object.id, most], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if objects > most {
            let key = key.to_owned();
            let limit = StoreLimit::ChainObjects;
            return Err(StoreError::Limit { key, limit, most }.into());
        }
        Ok(bytes)
    }

    fn check_bytes(&self, key: &str, bytes: u64) -> Result<(), QueryError> {
        let most = self.config.chain_bytes;
        if bytes <= most {
            return Ok(());
        }
        let key = key.to_owned();
        let limit = StoreLimit::ChainBytes;
        Err(StoreError::Limit { key, limit, most }.into())
    }

    fn object(&self, key: &str, row: &ObjectRow) -> Result<StoredObject, QueryError> {
        let mut read = self.connection.prepare_cached(
            "SELECT object.format, base.key, object.head, object.boot
             FROM object LEFT JOIN object AS base ON base.id = object.base AND base.owner = ?1
             WHERE object.owner = ?1 AND object.id = ?2",
        )?;
        let items = self.chain_items(row)?;
        let object = read.query_row(params![self.owner, row.id], |row| {
            let boot: Option<String> = row.get(3)?;
            Ok(StoredObject {
                key: key.to_owned(),
                format: row.get(0)?,
                base: row.get(1)?,
                head: row.get(2)?,
                status: match boot {
                    None => ObjectStatus::Ended,
                    Some(boot) if boot == self.boot => ObjectStatus::Running,
                    Some(_) => ObjectStatus::Lost,
                },
                items,
            })
        })?;
        Ok(object)
    }

    fn chain_items(&self, object: &ObjectRow) -> Result<Vec<StoredItem>, QueryError> {
        let sql = format!(
            "{CHAIN} SELECT item.id, item.text FROM chain CROSS JOIN item
             WHERE item.object = chain.id AND +item.owner = ?1 ORDER BY depth DESC, item.n"
        );
        let mut read = self.connection.prepare_cached(&sql)?;
        let most = self.config.chain_objects;
        let items = read.query_map(params![self.owner, object.id, most], |row| {
            Ok(StoredItem {
                id: row.get(0)?,
                text: row.get(1)?,
            })
        })?;
        Ok(items.collect::<rusqlite::Result<_>>()?)
    }
}

/// The keys or identifiers, each at its first place.
fn distinct(keys: &[String]) -> impl Iterator<Item = &str> {
    let mut seen = HashSet::new();
    keys.iter()
        .map(String::as_str)
        .filter(move |&key| seen.insert(key))
}

fn check_number(keys: &[String]) -> Result<(), QueryError> {
    match keys.get(KEYS) {
        None => Ok(()),
        Some(key) => Err(StoreError::Limit {
            key: key.clone(),
            limit: StoreLimit::Keys,
            most: u64::try_from(KEYS).unwrap_or(u64::MAX),
        }
        .into()),
    }
}
