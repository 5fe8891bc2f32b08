//! Removing objects: deleted ones, expired ones, and those that were not used for longest when there is no room.
//!
//! A `+` before a column keeps SQLite from searching by it, where another index is the better one
//! (<https://www.sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_>).

use rusqlite::{Connection, params};

use super::query_error::QueryError;
use super::scope::{OwnerScope, horizon};
use crate::config::StoreConfig;
use crate::error::StoreError;

/// Objects that one step examines at most.
const STEP: u32 = 256;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    /// Objects that are no longer present.
    pub(super) objects: u64,
    /// The bytes of heads and items that were removed.
    pub(super) bytes: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Hides or removes some expired objects of all owners, the longest unused first. None is left if it returns 0 objects.
pub(super) fn remove_expired(
    connection: &Connection,
    config: &StoreConfig,
    boot: &str,
    now: i64,
) -> Result<Removed, QueryError> {
    let mut find = connection.prepare_cached(
        "SELECT id, owner FROM object
         WHERE used <= ?1 AND hidden = 0 AND (boot IS NULL OR boot <> ?2) ORDER BY used LIMIT ?3",
    )?;
    let expired = find.query_map(params![horizon(now, config), boot, STEP], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let expired = expired.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let mut all = Removed::default();
    for (id, owner) in expired {
        let scope = OwnerScope {
            connection,
            config,
            boot,
            owner: &owner,
            now,
        };
        all += scope.hide_or_remove(id)?;
    }
    Ok(all)
}

impl OwnerScope<'_> {
    /// Removes an object. While others continue it, it is hidden instead: its head goes, and its items stay.
    pub(super) fn hide_or_remove(&self, id: i64) -> Result<Removed, QueryError> {
        if !self.is_continued(id)? {
            return self.remove(id);
        }
        let mut measure = self
            .connection
            .prepare_cached("SELECT octet_length(head) FROM object WHERE owner = ?1 AND id = ?2")?;
        let bytes = measure.query_row(params![self.owner, id], |row| row.get(0))?;
        let mut hide = self.connection.prepare_cached(
            "UPDATE object SET hidden = 1, boot = NULL, head = '' WHERE owner = ?1 AND id = ?2",
        )?;
        hide.execute(params![self.owner, id])?;
        Ok(Removed { objects: 1, bytes })
    }

    /// Removes an object that no other continues, and then its bases that are hidden and no longer continued.
    fn remove(&self, id: i64) -> Result<Removed, QueryError> {
        let mut remove = self.connection.prepare_cached(
            "DELETE FROM object WHERE owner = ?1 AND id = ?2
             RETURNING base, item_bytes + octet_length(head)",
        )?;
        let mut is_hidden = self
            .connection
            .prepare_cached("SELECT hidden FROM object WHERE owner = ?1 AND id = ?2")?;
        let mut removed = Removed {
            objects: 1,
            bytes: 0,
        };
        let mut next = Some(id);
        while let Some(id) = next {
            // Its items go with it (`ON DELETE CASCADE`).
            let row = remove.query_row(params![self.owner, id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
            let (base, bytes): (Option<i64>, u64) = row?;
            removed.bytes += bytes;
            next = match base {
                Some(base)
                    if is_hidden.query_row(params![self.owner, base], |row| row.get(0))?
                        && !self.is_continued(base)? =>
                {
                    Some(base)
                }
                Some(_) | None => None,
            };
        }
        Ok(removed)
    }

    fn is_continued(&self, id: i64) -> Result<bool, QueryError> {
        let mut find = self
            .connection
            .prepare_cached("SELECT 1 FROM object WHERE +owner = ?1 AND base = ?2")?;
        Ok(find.exists(params![self.owner, id])?)
    }

    /// Makes room for one more object of this owner, if it has as many as it may have.
    pub(super) fn make_room_for_one(&self, protected: &[&str]) -> Result<(), QueryError> {
        let mut count = self
            .connection
            .prepare_cached("SELECT coalesce(max(objects), 0) FROM owner WHERE name = ?1")?;
        let most = self.config.records;
        loop {
            let objects: u64 = count.query_row([self.owner], |row| row.get(0))?;
            if objects < most {
                return Ok(());
            }
            let wanted = Removed {
                // More than one, so that not every object searches for another to remove.
                objects: (objects - most)
                    .saturating_add(most / 100)
                    .saturating_add(1),
                bytes: 0,
            };
            let expired = remove_expired(self.connection, self.config, self.boot, self.now)?;
            if expired.objects == 0 && self.evict(wanted, protected)?.objects == 0 {
                return Err(StoreError::Full.into());
            }
        }
    }

    /// Removes this owner's objects that were not used for longest, until these many objects and bytes are removed, or a
    /// limited number of candidates was examined.
    ///
    /// Those that others continue are passed over, as their items would stay; a chain goes from its end. Running objects
    /// stay, and so do the protected keys. Nothing is removed if there are no others.
    pub(super) fn evict(&self, wanted: Removed, protected: &[&str]) -> Result<Removed, QueryError> {
        let mut find = self.connection.prepare_cached(
            "SELECT id, key FROM object
             WHERE +owner = ?1 AND hidden = 0 AND (boot IS NULL OR boot <> ?2)
                 AND NOT EXISTS (SELECT 1 FROM object AS next WHERE next.base = object.id AND +next.owner = ?1)
             ORDER BY used LIMIT ?3",
        )?;
        let limit = u64::from(STEP) + u64::try_from(protected.len()).unwrap_or(u64::MAX);
        let found = find.query_map(params![self.owner, self.boot, limit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let found = found.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        let mut removed = Removed::default();
        for (id, key) in found {
            if removed.objects >= wanted.objects && removed.bytes >= wanted.bytes {
                break;
            }
            if !protected.contains(&key.as_str()) {
                removed += self.remove(id)?;
            }
        }
        Ok(removed)
    }
}
