//! The file in which the history of releases survives a restart, and the lock on it.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use airlock_base::file;

use super::history::ReleaseHistory;

/// The extension of the lock file.
const LOCK: &str = "lock";

/// The history of releases, and its file. Several gateways may share a data directory; the one with the lock writes the
/// file.
pub(super) struct PersistedState {
    path: PathBuf,
    /// Held until the process ends. None: another gateway has it.
    lock: Option<fs::File>,
    pub(super) history: ReleaseHistory,
}

impl PersistedState {
    /// Takes the lock if it is free, removes temporary files that killed gateways left, and reads the file. The history is
    /// empty if there is no file.
    ///
    /// # Errors
    /// The file or its lock cannot be used. The error names which, and the way out.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        // Before the file is read, so that no other gateway writes it afterwards.
        let lock = path.with_extension(LOCK);
        let lock = try_lock(&lock).map_err(|cause| named(&lock, &cause))?;
        if lock.is_some()
            && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        {
            remove_drafts(folder, &format!(".{}.", name.display()));
        }
        let history = read(&path)?;
        Ok(Self {
            path,
            lock,
            history,
        })
    }

    /// Reads the file without taking the lock.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn read_only(path: PathBuf) -> io::Result<Self> {
        let history = read(&path)?;
        let lock = None;
        Ok(Self {
            path,
            lock,
            history,
        })
    }

    /// Whether this gateway has the lock.
    pub(super) fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    /// Replaces the file atomically. Does nothing without the lock.
    ///
    /// # Errors
    /// The file cannot be written; the error names it.
    pub(super) fn save(&self) -> io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.history).map_err(io::Error::other)?;
        file::replace(&self.path, &bytes, file::PRIVATE).map_err(|cause| named(&self.path, &cause))
    }
}

fn read(path: &Path) -> io::Result<ReleaseHistory> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(ReleaseHistory::default());
        }
        Err(error) => return Err(named(path, &error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::other(format!(
            "{}: {error}; repair it, or remove it to start with the shipped policy or that of --policy",
            path.display()
        ))
    })
}

/// An error with the path of its file.
pub(super) fn named(path: &Path, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
}

/// Removes temporary files with this prefix that killed gateways left. A failure is only logged: the files do no harm.
pub(super) fn remove_drafts(folder: &Path, prefix: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(prefix))
            && path
                .extension()
                .is_some_and(|end| end == file::TEMPORARY_EXTENSION)
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "a temporary file cannot be removed");
        }
    }
}

/// Creates and locks a file. `None` if another process has the lock.
fn try_lock(lock: &Path) -> io::Result<Option<fs::File>> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::history::tests::{activation, record};
    use super::*;

    #[test]
    fn the_drafts_of_killed_gateways_are_removed_by_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        let owner = PersistedState::open(path.clone()).unwrap();
        let draft = folder.path().join(".policies.json.0123.new");
        let other = folder.path().join(".other.0123.new");
        for path in [&draft, &other] {
            fs::write(path, "").unwrap();
        }
        assert!(!PersistedState::open(path.clone()).unwrap().is_ours() && draft.exists());
        drop(owner);
        assert!(PersistedState::open(path).unwrap().is_ours());
        assert!(!draft.exists() && other.exists());
    }

    #[test]
    fn numbers_stay_and_grow_and_the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        let mut state = PersistedState::open(path.clone()).unwrap();
        let first = state.history.record(record("a"));
        assert_eq!(
            (first.number, state.history.record(record("b")).number),
            (1, 2)
        );
        assert_eq!(state.history.record(record("a")), first);
        for number in 0..500 {
            let record = state.history.record(record(&format!("x{number}")));
            assert_eq!(record.number, 3 + number);
            state.history.activate(activation(&record));
        }
        state.save().unwrap();
        let mut state = PersistedState::open(path).unwrap();
        assert_eq!(state.history.activations.len(), 100);
        assert_eq!(state.history.releases.len(), 100);
        assert!(state.history.has_digest("x499") && !state.history.has_digest("x0"));
        assert_eq!(state.history.record(record("new")).number, 503);
    }

    #[test]
    fn of_two_gateways_one_remembers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        let mut first = PersistedState::open(path.clone()).unwrap();
        let mut second = PersistedState::open(path.clone()).unwrap();
        assert!(first.is_ours() && !second.is_ours());
        first.history.record(record("a"));
        second.history.record(record("b"));
        first.save().unwrap();
        second.save().unwrap();
        let third = PersistedState::open(path).unwrap();
        assert_eq!(third.history.releases[0].digest, "a");
    }

    #[test]
    fn a_file_that_is_not_a_state_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        fs::write(&path, "{").unwrap();
        assert!(PersistedState::open(path).is_err());
    }
}
