//! The rows of one owner, at one time.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::query_error::QueryError;
use crate::config::StoreConfig;
use crate::error::StoreError;

/// How old an object's last use must be for a new one to be written, at most.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// What the statements of one owner's request have in common.
pub(super) struct OwnerScope<'a> {
    pub(super) connection: &'a Connection,
    pub(super) config: &'a StoreConfig,
    /// This process, as running objects name it.
    pub(super) boot: &'a str,
    pub(super) owner: &'a str,
    /// Unix milliseconds.
    pub(super) now: i64,
}

/// An object that is present.
pub(super) struct ObjectRow {
    pub(super) id: i64,
    /// The bytes of its head.
    pub(super) head_bytes: u64,
    /// The bytes of its own items.
    pub(super) item_bytes: u64,
    /// Its last use, in Unix milliseconds.
    pub(super) used: i64,
}

/// The last use of an object.
pub(super) struct LastUse {
    pub(super) object: i64,
    /// Unix milliseconds.
    pub(super) at: i64,
}

impl ObjectRow {
    pub(super) fn last_use(&self) -> LastUse {
        LastUse {
            object: self.id,
            at: self.used,
        }
    }
}

/// Objects whose last use is not later have expired.
pub(super) fn horizon(now: i64, config: &StoreConfig) -> i64 {
    now.saturating_sub(milliseconds(config.time))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl OwnerScope<'_> {
    /// The object with this key. None: it is absent.
    pub(super) fn find(&self, key: &str) -> Result<Option<ObjectRow>, QueryError> {
        let mut find = self.connection.prepare_cached(
            "SELECT id, octet_length(head), item_bytes, used FROM object
             WHERE owner = ?1 AND key = ?2 AND hidden = 0 AND (used > ?3 OR boot = ?4)",
        )?;
        let horizon = horizon(self.now, self.config);
        let row = find.query_row(params![self.owner, key, horizon, self.boot], |row| {
            Ok(ObjectRow {
                id: row.get(0)?,
                head_bytes: row.get(1)?,
                item_bytes: row.get(2)?,
                used: row.get(3)?,
            })
        });
        Ok(row.optional()?)
    }

    /// The object with this key.
    ///
    /// # Errors
    /// It is absent.
    pub(super) fn require(&self, key: &str) -> Result<ObjectRow, QueryError> {
        let absent = || StoreError::Absent {
            key: key.to_owned(),
        };
        Ok(self.find(key)?.ok_or_else(absent)?)
    }

    /// Whether a use now is to be recorded, as the last one is not recent.
    pub(super) fn is_due(&self, last: &LastUse) -> bool {
        let interval = milliseconds(USE_INTERVAL.min(self.config.time / 16));
        last.at.saturating_add(interval) <= self.now
    }

    /// Records that an object is used now.
    pub(super) fn touch(&self, id: i64) -> Result<(), QueryError> {
        let mut touch = self
            .connection
            .prepare_cached("UPDATE object SET used = ?3 WHERE owner = ?1 AND id = ?2")?;
        touch.execute(params![self.owner, id, self.now])?;
        Ok(())
    }
}
