//! The connection and its transactions, without a thread: all is synchronous, and the time is an argument.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_base::storage::StorageError;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::REMEDY;
use super::evict::{Removed, remove_expired};
use super::query_error::QueryError;
use super::schema::{self, BUSY_TIMEOUT, PAGE};
use super::scope::{LastUse, OwnerScope};
use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::object::{ObjectChange, Owner, StoredItem, StoredObject};
use crate::store::StoreUsage;

/// Pages in the write-ahead log that make a checkpoint due, as many as SQLite's own default.
const CHECKPOINT_PAGES: i64 = 1000;

/// A change takes fewer bytes than this many times its texts, and [`ROOM`]: rows, indices, and pages that are partly filled.
const OVERHEAD: u64 = 4;

/// Bytes that a change without text may take.
const ROOM: u64 = 64 << 10;

/// Making room removes at least this part of the store.
const EVICTED_SHARE: u64 = 64;

/// Changes to one owner's objects.
pub(super) type OwnerChanges = (Owner, Vec<ObjectChange>);

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    config: StoreConfig,
    /// A random number of this process, by which it knows its running objects.
    boot: String,
    /// None: in memory.
    path: Option<PathBuf>,
    /// Whether the last transaction that was to write found another process's lock, and waited in vain.
    is_locked: Cell<bool>,
}

/// The pages of a database.
struct Pages {
    used: u64,
    most: u64,
}

impl Pages {
    /// The bytes of pages that may still be used.
    fn free(&self) -> u64 {
        self.most.saturating_sub(self.used) * PAGE
    }
}

impl Database {
    /// Opens or creates a database. None: in memory.
    ///
    /// # Errors
    /// As for [`schema::open`].
    pub(super) fn open(path: Option<&Path>, config: &StoreConfig) -> Result<Self, StorageError> {
        Ok(Self {
            connection: schema::open(path, config)?,
            config: config.clone(),
            boot: format!("{:032x}", rand::random::<u128>()),
            path: path.map(Path::to_owned),
            is_locked: Cell::new(false),
        })
    }

    /// Loads objects.
    pub(super) fn load(
        &self,
        owner: &Owner,
        keys: &[String],
        now: u64,
    ) -> Result<Vec<StoredObject>, StoreError> {
        self.read(owner, now, |scope, used| scope.load(keys, used))
    }

    /// Loads items.
    pub(super) fn load_items(
        &self,
        owner: &Owner,
        ids: &[String],
        now: u64,
    ) -> Result<Vec<StoredItem>, StoreError> {
        self.read(owner, now, |scope, used| scope.load_items(ids, used))
    }

    /// Makes the changes of several owners in one transaction, and returns the result of each. They do not depend on one
    /// another: if a statement fails, each is tried in a transaction of its own. A lock of another process fails them all.
    pub(super) fn write(&self, writes: &[OwnerChanges], now: u64) -> Vec<Result<(), StoreError>> {
        match self.write_together(writes, now) {
            Ok(results) => results,
            Err(error) if error.is_busy() => vec![Err(StoreError::Busy); writes.len()],
            Err(_) => writes
                .iter()
                .map(|write| self.write_with_room(write, now))
                .collect(),
        }
    }

    /// Hides or removes some expired objects, and returns how many.
    pub(super) fn expire(&self, now: u64) -> Result<u64, StoreError> {
        let expired = self.remove_expired(now);
        expired.map_err(|error| self.public(error))
    }

    /// Measures the database.
    pub(super) fn usage(&self) -> Result<StoreUsage, StoreError> {
        let measure = || -> Result<StoreUsage, QueryError> {
            let pages = self.pages()?;
            Ok(StoreUsage {
                objects: self.number("SELECT coalesce(sum(objects), 0) FROM owner")?,
                bytes: pages.used * PAGE,
                capacity: pages.most * PAGE,
            })
        };
        measure().map_err(|error| self.public(error))
    }

    /// Copies the write-ahead log into the database if it has become long, and syncs both. A failure is logged; the log then
    /// grows until the next time.
    pub(super) fn checkpoint(&self) {
        let pragma = |sql: &str| {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
        };
        let checkpointed = match pragma("PRAGMA wal_checkpoint(NOOP)") {
            Ok(pages) if pages < CHECKPOINT_PAGES => return,
            Ok(_) => pragma("PRAGMA wal_checkpoint(PASSIVE)"),
            Err(error) => Err(error),
        };
        if let Err(error) = checkpointed {
            let error = self.public(error.into());
            tracing::warn!(%error, "the store's log could not be copied into its file");
        }
    }

    /// Reads in one transaction, then records the uses of objects in another. If that fails, nothing but the record is lost.
    fn read<T>(
        &self,
        owner: &Owner,
        now: u64,
        read: impl FnOnce(&OwnerScope<'_>, &mut Vec<LastUse>) -> Result<T, QueryError>,
    ) -> Result<T, StoreError> {
        let mut used = Vec::new();
        let read = || {
            let transaction = self.begin(TransactionBehavior::Deferred)?;
            let value = read(&self.scope(&transaction, owner, now), &mut used)?;
            transaction.commit()?;
            Ok(value)
        };
        let value = read().map_err(|error| self.public(error))?;
        let scope = self.scope(&self.connection, owner, now);
        used.retain(|last| scope.is_due(last));
        if let Err(error) = self.touch(owner, &used, now) {
            let error = self.public(error);
            tracing::warn!(%error, "the last use of stored objects could not be recorded");
        }
        Ok(value)
    }

    fn touch(&self, owner: &Owner, used: &[LastUse], now: u64) -> Result<(), QueryError> {
        if used.is_empty() {
            return Ok(());
        }
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        let scope = self.scope(&transaction, owner, now);
        for last in used {
            scope.touch(last.object)?;
        }
        Ok(transaction.commit()?)
    }

    /// Makes changes of one owner within a transaction.
    pub(super) fn apply(
        &self,
        connection: &Connection,
        (owner, changes): &OwnerChanges,
        now: u64,
    ) -> Result<(), QueryError> {
        let scope = self.scope(connection, owner, now);
        scope.apply(changes, &protected(changes))
    }

    /// The outer error is a statement's, upon which nothing is written.
    fn write_together(
        &self,
        writes: &[OwnerChanges],
        now: u64,
    ) -> Result<Vec<Result<(), StoreError>>, QueryError> {
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            // Those that fail are undone alone.
            execute(&transaction, "SAVEPOINT write")?;
            results.push(match self.apply(&transaction, write, now) {
                Ok(()) => Ok(()),
                Err(QueryError::Request(error)) => {
                    execute(&transaction, "ROLLBACK TO write")?;
                    Err(error)
                }
                Err(error) => return Err(error),
            });
            execute(&transaction, "RELEASE write")?;
        }
        transaction.commit()?;
        Ok(results)
    }

    /// Makes changes in a transaction of their own. If the database is full, makes room and tries again.
    fn write_with_room(&self, write: &OwnerChanges, now: u64) -> Result<(), StoreError> {
        loop {
            let error = match self.write_alone(write, now) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let retry = match error.is_full() {
                true => self.make_room(write, now),
                false => Ok(false),
            };
            match retry {
                Ok(true) => {}
                Ok(false) => return Err(self.public(error)),
                Err(error) => return Err(self.public(error)),
            }
        }
    }

    fn write_alone(&self, write: &OwnerChanges, now: u64) -> Result<(), QueryError> {
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        self.apply(&transaction, write, now)?;
        Ok(transaction.commit()?)
    }

    /// Removes expired objects, or else this owner's that were not used for longest. False: that would not help, as there are
    /// none or too few, or as the disk is full and the database is not.
    fn make_room(&self, (owner, changes): &OwnerChanges, now: u64) -> Result<bool, QueryError> {
        let bytes = changes.iter().map(ObjectChange::bytes).sum::<u64>();
        let pages = self.pages()?;
        if pages.free() >= ROOM.saturating_add(bytes.saturating_mul(OVERHEAD)) {
            return Ok(false);
        }
        if self.remove_expired(now)? > 0 {
            return Ok(true);
        }
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        let scope = self.scope(&transaction, owner, now);
        let protected = protected(changes);
        let missing = scope.least_room(changes)?.saturating_sub(pages.free());
        if scope.evictable_bytes(&protected)? < missing {
            return Ok(false);
        }
        // More than the change needs, so that not every change searches for something to remove.
        let share = pages.most * PAGE / EVICTED_SHARE;
        let wanted = Removed {
            objects: 1,
            bytes: missing.max(share),
        };
        let removed = scope.evict(wanted, &protected)?;
        transaction.commit()?;
        Ok(removed.objects > 0)
    }

    fn remove_expired(&self, now: u64) -> Result<u64, QueryError> {
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        let removed = remove_expired(&transaction, &self.config, &self.boot, signed(now))?;
        transaction.commit()?;
        Ok(removed.objects)
    }

    fn pages(&self) -> Result<Pages, QueryError> {
        let all = self.number("PRAGMA page_count")?;
        Ok(Pages {
            used: all.saturating_sub(self.number("PRAGMA freelist_count")?),
            most: self.number("PRAGMA max_page_count")?,
        })
    }

    fn number(&self, sql: &str) -> Result<u64, QueryError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Begins a transaction. It is rolled back unless it is committed.
    ///
    /// One that is to write waits for another process's lock, and if that was in vain, later ones fail at once until one finds
    /// no lock: other operations wait for this thread.
    fn begin(&self, behavior: TransactionBehavior) -> Result<Transaction<'_>, QueryError> {
        let begun = Transaction::new_unchecked(&self.connection, behavior);
        let begun = begun.map_err(QueryError::from);
        if matches!(behavior, TransactionBehavior::Immediate) {
            let is_locked = begun.as_ref().is_err_and(QueryError::is_busy);
            if self.is_locked.replace(is_locked) != is_locked {
                self.connection.busy_timeout(match is_locked {
                    true => Duration::ZERO,
                    false => BUSY_TIMEOUT,
                })?;
                if is_locked {
                    let path = self.display_path();
                    tracing::warn!(%path, "another process keeps the store locked; changes fail until it ends");
                }
            }
        }
        begun
    }

    fn scope<'a>(
        &'a self,
        connection: &'a Connection,
        owner: &'a Owner,
        now: u64,
    ) -> OwnerScope<'a> {
        OwnerScope {
            connection,
            config: &self.config,
            boot: &self.boot,
            owner: owner.name(),
            now: signed(now),
        }
    }

    fn display_path(&self) -> std::path::Display<'_> {
        self.path
            .as_deref()
            .unwrap_or(Path::new(":memory:"))
            .display()
    }

    /// The error for the caller. One of SQLite names the file and the way out.
    fn public(&self, error: QueryError) -> StoreError {
        if error.is_full() {
            return StoreError::Full;
        }
        if error.is_busy() {
            return StoreError::Busy;
        }
        match error {
            QueryError::Request(error) => error,
            QueryError::Statement(error) => {
                let cause = schema::io_error(&error);
                let path = self.display_path();
                StoreError::Database(format!("cannot use {path}: {cause}; {REMEDY}"))
            }
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute([])
}

/// The keys that making room for these changes must not remove.
fn protected(changes: &[ObjectChange]) -> Vec<&str> {
    let keys = changes
        .iter()
        .flat_map(|change| [Some(change.key()), change.base()]);
    keys.flatten().collect()
}

/// Unix milliseconds as SQLite's integer.
fn signed(now: u64) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}
