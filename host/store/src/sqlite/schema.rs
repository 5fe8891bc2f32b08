//! Opening a database: its file, its settings, and its tables in the newest version.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use airlock_base::file::PRIVATE;
use airlock_base::storage::StorageError;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::unusable;
use crate::config::StoreConfig;

/// Marks the file as Airlock's (`Airl`, <https://www.sqlite.org/fileformat.html#application_id>).
const APPLICATION_ID: i32 = 0x4169_726c;

/// The steps from each version of the tables to the next; `user_version` is the number of those that were taken. A step that
/// was released does not change.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE object (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        key TEXT NOT NULL,
        base INTEGER REFERENCES object (id),
        boot TEXT,                            -- the process whose turn runs; null: ended
        hidden INTEGER NOT NULL DEFAULT 0,    -- 1: deleted or expired, and others continue it
        used INTEGER NOT NULL,                -- the last use, in Unix milliseconds
        item_bytes INTEGER NOT NULL,
        format TEXT NOT NULL,
        head TEXT NOT NULL,                   -- last: rows are read without it
        UNIQUE (owner, key)
    ) STRICT;
    CREATE INDEX object_base ON object (base) WHERE base IS NOT NULL;
    CREATE INDEX object_used ON object (used, owner);
    CREATE TABLE item (
        n INTEGER PRIMARY KEY,                -- ascending within an object
        owner TEXT NOT NULL,
        object INTEGER NOT NULL REFERENCES object (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX item_object ON item (object);
    CREATE INDEX item_id ON item (owner, id);
    CREATE TABLE owner (
        name TEXT PRIMARY KEY,
        objects INTEGER NOT NULL              -- how many rows of `object` it has
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER object_put AFTER INSERT ON object BEGIN
        INSERT INTO owner VALUES (new.owner, 1) ON CONFLICT DO UPDATE SET objects = objects + 1;
    END;
    CREATE TRIGGER object_removed AFTER DELETE ON object BEGIN
        UPDATE owner SET objects = objects - 1 WHERE name = old.owner;
    END;
"];

/// How long a statement waits for another process that writes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a locked file is opened again.
const RETRY: Duration = Duration::from_millis(10);

/// Bytes that the write-ahead log is cut to after a checkpoint.
const WAL_BYTES: u32 = 8 << 20;

/// Statements that stay prepared; there are about thirty.
const STATEMENTS: usize = 64;

/// The bytes of a page, SQLite's default.
pub(super) const PAGE: u64 = 4096;

/// Opens or creates a database. None: in memory.
///
/// # Errors
/// The file cannot be created or read, is not a database of Airlock's, is a newer Airlock's, or stays locked.
pub(super) fn open(path: Option<&Path>, config: &StoreConfig) -> Result<Connection, StorageError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_open(path, config) {
            Ok(connection) => return Ok(connection),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                // Some locks of opening and closing are not waited for by SQLite, and their end is no event
                // (<https://www.sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode>).
                #[expect(clippy::disallowed_methods, reason = "there is no event to wait for")]
                std::thread::sleep(RETRY);
            }
            Err(error) => return Err(unusable(path, error)),
        }
    }
}

fn try_open(path: Option<&Path>, config: &StoreConfig) -> io::Result<Connection> {
    let mut connection = match path {
        Some(path) => {
            create(path)?;
            // Not SQLITE_OPEN_URI: the path is no URL. One thread uses the connection.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)
        }
        None => Connection::open_in_memory(),
    }
    .map_err(|error| io_error(&error))?;
    let version = version(&connection)?;
    if let Some(path) = path {
        make_private(path)?;
    }
    configure(&connection, config).map_err(|error| io_error(&error))?;
    if version < MIGRATIONS.len() {
        migrate(&mut connection).map_err(|error| io_error(&error))?;
    }
    Ok(connection)
}

/// Creates the file as a private one, unless it exists. SQLite gives the files beside it the same mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true);
    options.mode(PRIVATE).open(path)?;
    Ok(())
}

/// Makes the file private, and those beside it, which are there by now if it is in WAL mode.
fn make_private(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::set_permissions(file, Permissions::from_mode(PRIVATE)) {
            Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => {}
            other => other?,
        }
    }
    Ok(())
}

/// The version of the tables; 0: the database is empty. Changes nothing, as the file may be another program's.
fn version(connection: &Connection) -> io::Result<usize> {
    let number = |sql: &str| -> io::Result<i64> {
        let read = connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| connection.query_row(sql, [], |row| row.get(0)));
        read.map_err(|error| io_error(&error))
    };
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if tables == 0 && application == 0 {
        return Ok(0);
    }
    if application != i64::from(APPLICATION_ID) {
        return Err(io::Error::other("it is a database of another program"));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(io::Error::other(format!(
            "a newer airlock has written it (version {version} of its tables; this one knows {}); start that one",
            MIGRATIONS.len()
        ))),
    }
}

fn configure(connection: &Connection, config: &StoreConfig) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        // Some return a row, such as the mode that is used now: `memory` in memory.
        connection.pragma_update_and_check(None, name, value, |_| Ok(()))
    };
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    set("journal_mode", &"WAL")?;
    // Checkpoints, which sync, are made after the replies.
    set("wal_autocheckpoint", &0)?;
    set("journal_size_limit", &WAL_BYTES)?;
    // What a client deletes is overwritten in the file. The log beside it has it until it is overwritten or removed itself.
    set("secure_delete", &true)?;
    let pages = i64::try_from(config.bytes / PAGE).unwrap_or(i64::MAX);
    set("max_page_count", &pages)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been quicker.
    let version: usize = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for step in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

/// SQLite's error as one of the system, with a cause that an operator understands.
pub(super) fn io_error(error: &rusqlite::Error) -> io::Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull.into(),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            ErrorKind::PermissionDenied.into()
        }
        Some(ErrorCode::NotADatabase) => io::Error::other("it is not a database of SQLite"),
        Some(ErrorCode::DatabaseCorrupt) => io::Error::other("the database is damaged"),
        Some(ErrorCode::DatabaseBusy) => {
            io::Error::new(ErrorKind::ResourceBusy, "another process keeps it locked")
        }
        _ => io::Error::other(error.to_string()),
    }
}
