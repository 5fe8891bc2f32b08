//! The store over SQLite: one connection on a thread of its own, behind a bounded queue.
//!
//! The file is in WAL mode with `synchronous=NORMAL`: a committed transaction outlives the process, as it is written before
//! `COMMIT` returns, but it is synced with the next checkpoint only. A power cut may lose the last transactions, never the
//! file (<https://www.sqlite.org/wal.html>, <https://www.sqlite.org/pragma.html#pragma_synchronous>).

mod database; // the connection, and its transactions
mod evict; // expiry, and making room
mod growth; // the room that changes need, and that eviction can make
mod query_error; // failures of statements
mod read; // loading chains and items
mod schema; // opening a file, and its tables
mod scope; // one owner's rows
#[cfg(test)]
mod tests;
mod worker; // the thread
mod write; // the statements of changes

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use airlock_base::storage::{self, StorageError};
use tokio::sync::oneshot;

use self::database::Database;
use self::worker::{Job, WriteJob};
use crate::config::{StoreConfig, StoreMode};
use crate::error::StoreError;
use crate::object::{ObjectChange, Owner, StoredItem, StoredObject};
use crate::store::{Store, StoreFuture, StoreUsage};

/// The name of the file in the data folder.
const FILE: &str = "store.sqlite3";

/// Operations that may wait for the thread. Most take less than 0.1 ms.
const QUEUE: usize = 256;

/// A [`Store`] over SQLite. Clones share it; it closes with the last one, or by [`Store::close`].
#[derive(Clone, Debug)]
pub struct SqliteStore(SyncSender<Job>);

impl SqliteStore {
    /// Opens or creates the store: `store.sqlite3` in the data folder with mode 0600, or a database in memory. None: the mode
    /// is [`StoreMode::Off`].
    ///
    /// Blocks until the database is open, which takes longer if the last process was killed. Several processes may have a
    /// file open; each reads the others' running objects as lost.
    ///
    /// # Errors
    /// The file cannot be created, or is no database of Airlock's or one of a newer Airlock; or no thread can be started.
    pub fn open(data_dir: &Path, config: &StoreConfig) -> Result<Option<Self>, StorageError> {
        let path = match config.mode {
            StoreMode::Disk => Some(data_dir.join(FILE)),
            StoreMode::Memory => None,
            StoreMode::Off => return Ok(None),
        };
        let database = Database::open(path.as_deref(), config)?;
        Self::start(database)
            .map(Some)
            .map_err(|cause| StorageError {
                action: "start the thread of",
                path: path.unwrap_or_else(|| PathBuf::from(FILE)),
                cause,
                remedy: "raise the limit of threads, or set store.mode to off",
            })
    }

    fn start(database: Database) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || worker::run(database, &queue))?;
        Ok(Self(jobs))
    }

    /// Queues a job, and returns the future of its result.
    fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> StoreFuture<'static, T> {
        let (reply, result) = oneshot::channel();
        let queued = self.0.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        });
        Box::pin(async move {
            queued?;
            result.await.map_err(|_| StoreError::Closed)?
        })
    }
}

impl Store for SqliteStore {
    fn write<'a>(&'a self, owner: &'a Owner, changes: Vec<ObjectChange>) -> StoreFuture<'a, ()> {
        let owner = owner.clone();
        self.call(|reply| {
            Job::Write(WriteJob {
                owner,
                changes,
                reply,
            })
        })
    }

    fn load<'a>(
        &'a self,
        owner: &'a Owner,
        keys: Vec<String>,
    ) -> StoreFuture<'a, Vec<StoredObject>> {
        let owner = owner.clone();
        self.call(|reply| Job::Load { owner, keys, reply })
    }

    fn load_items<'a>(
        &'a self,
        owner: &'a Owner,
        ids: Vec<String>,
    ) -> StoreFuture<'a, Vec<StoredItem>> {
        let owner = owner.clone();
        self.call(|reply| Job::LoadItems { owner, ids, reply })
    }

    fn expire(&self) -> StoreFuture<'_, u64> {
        Box::pin(async {
            let mut all = 0;
            loop {
                let removed = self.call(Job::Expire).await?;
                all += removed;
                // One job removes a limited number, so that others need not wait long.
                if removed == 0 {
                    return Ok(all);
                }
            }
        })
    }

    fn usage(&self) -> StoreFuture<'_, StoreUsage> {
        self.call(Job::Usage)
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.call(Job::Close)
    }
}

/// The remedy for a database that cannot be used.
const REMEDY: &str =
    "move it away, and an empty one is created at the next start, or set store.mode to off";

/// Makes an error about the database's file.
fn unusable(path: Option<&Path>, cause: std::io::Error) -> StorageError {
    let path = path.unwrap_or(Path::new(":memory:"));
    storage::error("open", path, REMEDY)(cause)
}
