//! What a registry remembers over restarts: its releases, and who made which of them active when.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use airlock_base::file;
use serde::{Deserialize, Serialize};

/// Activations that are remembered.
const HISTORY: usize = 100;

/// Releases that are remembered. All of the history's are, and so is the last.
const RELEASES: usize = 100;

/// The extension of the file by which a gateway shows that the state is its own.
const LOCK: &str = "lock";

/// The part of the registry's state that survives a restart, and its file.
pub(super) struct PersistedState {
    path: PathBuf,
    /// Held for as long as this process lives. None: another gateway has it, and it alone remembers.
    lock: Option<fs::File>,
    pub(super) file: StateFile,
}

/// The file's content.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StateFile {
    /// By number.
    pub(super) releases: Vec<ReleaseRecord>,
    /// The oldest first.
    pub(super) history: Vec<Activation>,
    /// Numbers of releases that were taken back because they failed, and were not made active by anybody since.
    #[serde(default)]
    pub(super) failed: Vec<u64>,
}

/// A build that was loaded successfully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// From 1.
    pub number: u64,
    pub name: String,
    /// 64 hexadecimal digits.
    pub digest: String,
    /// Its author's own version. Empty where it says none.
    pub version: String,
    /// The version of the boundary that it speaks.
    pub world: String,
    /// Its component's bytes.
    pub size: u64,
    /// The key that it is signed with, where that was checked.
    pub signed_by: Option<String>,
    /// Unix milliseconds.
    pub loaded_at: u64,
}

/// A release that was made the active one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// Unix milliseconds.
    pub at: u64,
    /// Who: an operator's name, `configuration`, `start`, `watch` or `airlock`.
    pub by: String,
    /// Why, where nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub release: u64,
    pub name: String,
    pub digest: String,
    /// It was returned to: what was active before it was left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

impl PersistedState {
    /// What the file says, or nothing yet.
    ///
    /// # Errors
    /// It, or its lock, cannot be used; the error names which, and the way out.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        // First, so that nobody writes what is read here.
        let lock = path.with_extension(LOCK);
        let lock = own(&lock).map_err(|cause| named(&lock, &cause))?;
        if lock.is_some()
            && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        {
            remove_drafts(folder, &format!(".{}.", name.display()));
        }
        let file = read(&path)?;
        Ok(Self { path, lock, file })
    }

    /// The same for who only looks: it takes nothing from the gateway that may run.
    ///
    /// # Errors
    /// As for `open`.
    pub(super) fn look(path: PathBuf) -> io::Result<Self> {
        let file = read(&path)?;
        let lock = None;
        Ok(Self { path, lock, file })
    }

    /// The record of a build, made when there is none. Its number stays the same as long as it is remembered.
    pub(super) fn record(&mut self, found: ReleaseRecord) -> ReleaseRecord {
        let same = |record: &&mut ReleaseRecord| {
            record.name == found.name && record.digest == found.digest
        };
        if let Some(record) = self.file.releases.iter_mut().find(same) {
            *record = ReleaseRecord {
                number: record.number,
                ..found
            };
            return record.clone();
        }
        let number = self.file.releases.last().map_or(1, |last| last.number + 1);
        let record = ReleaseRecord { number, ..found };
        self.file.releases.push(record.clone());
        // Not only activations add to them: canaries, shadows and what comes into the folder do as well.
        self.prune();
        record
    }

    /// Notes an activation.
    pub(super) fn activated(&mut self, activation: Activation) {
        let history = &mut self.file.history;
        history.push(activation);
        let over = history.len().saturating_sub(HISTORY);
        history.drain(..over);
        self.prune();
    }

    /// Forgets the oldest releases where there are too many. Numbers only ever grow, so the last release stays: the next
    /// one's number follows on it.
    fn prune(&mut self) {
        let StateFile {
            releases, history, ..
        } = &mut self.file;
        let mut left = releases.len().saturating_sub(RELEASES);
        let last = releases.last().map(|record| record.number);
        releases.retain(|record| {
            let needed =
                Some(record.number) == last || history.iter().any(|it| it.release == record.number);
            let goes = left > 0 && !needed;
            left -= usize::from(goes);
            !goes
        });
    }

    /// What a rollback from the release of this number may return to, the best first: what was active before it, without
    /// what was left by a rollback or is known to fail.
    pub(super) fn before(&self, active: u64) -> Vec<Activation> {
        let mut stack: Vec<&Activation> = Vec::new();
        for it in &self.file.history {
            if it.rollback {
                while stack.last().is_some_and(|top| top.release != it.release) {
                    stack.pop();
                }
            }
            // What is made active again counts where it is now.
            stack.retain(|earlier| earlier.release != it.release);
            stack.push(it);
        }
        let may =
            |it: &&&Activation| it.release != active && !self.file.failed.contains(&it.release);
        stack
            .iter()
            .rev()
            .filter(may)
            .map(|it| (*it).clone())
            .collect()
    }

    /// Remembers that a release failed, or forgets it.
    pub(super) fn failed(&mut self, number: u64, failed: bool) {
        self.file.failed.retain(|it| *it != number);
        if failed {
            self.file.failed.push(number);
        }
        let over = self.file.failed.len().saturating_sub(HISTORY);
        self.file.failed.drain(..over);
    }

    /// Whether the release of this number is still remembered.
    pub(super) fn remembers(&self, number: u64) -> bool {
        self.file
            .releases
            .iter()
            .any(|record| record.number == number)
    }

    /// Whether a component's digest is still remembered.
    pub(super) fn needs(&self, digest: &str) -> bool {
        self.file
            .releases
            .iter()
            .any(|record| record.digest == digest)
    }

    /// Whether this gateway is the one that remembers: several may share a data directory.
    pub(super) fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    /// Writes the file: whole, or not at all.
    ///
    /// # Errors
    /// It cannot be written; the error names it.
    pub(super) fn save(&self) -> io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.file).map_err(io::Error::other)?;
        file::replace(&self.path, &bytes, file::PRIVATE).map_err(|cause| named(&self.path, &cause))
    }
}

/// What the file says, or nothing yet.
fn read(path: &Path) -> io::Result<StateFile> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(StateFile::default()),
        Err(error) => return Err(named(path, &error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::other(format!(
            "{}: {error}; repair it, or remove it to start with the shipped policy or that of --policy",
            path.display()
        ))
    })
}

/// An error that says of which file it is.
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

/// Takes the state for this process, if no other has it.
fn own(lock: &Path) -> io::Result<Option<fs::File>> {
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
    use super::*;

    fn record(digest: &str) -> ReleaseRecord {
        ReleaseRecord {
            number: 0,
            name: "it".to_owned(),
            digest: digest.to_owned(),
            version: String::new(),
            world: "0.2".to_owned(),
            size: 1,
            signed_by: None,
            loaded_at: 1,
        }
    }

    fn activation(record: &ReleaseRecord) -> Activation {
        Activation {
            at: 1,
            by: "me".to_owned(),
            reason: None,
            release: record.number,
            name: record.name.clone(),
            digest: record.digest.clone(),
            rollback: false,
        }
    }

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
        let first = state.record(record("a"));
        assert_eq!((first.number, state.record(record("b")).number), (1, 2));
        assert_eq!(state.record(record("a")), first);
        for number in 0..500 {
            let record = state.record(record(&format!("x{number}")));
            assert_eq!(record.number, 3 + number);
            state.activated(activation(&record));
        }
        state.save().unwrap();
        let mut state = PersistedState::open(path).unwrap();
        assert_eq!(state.file.history.len(), HISTORY);
        assert_eq!(state.file.releases.len(), RELEASES);
        assert!(state.needs("x499") && !state.needs("x0"));
        assert_eq!(state.record(record("new")).number, 503);
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = PersistedState::open(folder.path().join("policies.json")).unwrap();
        let mut first = None;
        for number in 0..100 {
            let record = state.record(record(&format!("x{number}")));
            state.activated(activation(&record));
            first.get_or_insert(record);
        }
        // The history needs all of them, and nobody this one.
        let canary = state.record(record("canary"));
        state.activated(activation(&first.unwrap()));
        assert!(state.remembers(canary.number));
        assert_eq!(state.record(record("next")).number, canary.number + 1);
        for number in 0..500 {
            state.record(record(&format!("y{number}")));
        }
        assert!(state.file.releases.len() <= RELEASES + 1);
    }

    #[test]
    fn a_rollback_returns_to_what_was_before_and_not_to_what_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = PersistedState::open(folder.path().join("policies.json")).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|digest| state.record(record(digest)));
        let before = |state: &PersistedState, active: &ReleaseRecord| -> Vec<u64> {
            let before = state.before(active.number);
            before.iter().map(|it| it.release).collect()
        };
        assert!(before(&state, &a).is_empty());
        for it in [&a, &b, &b, &c] {
            state.activated(activation(it));
        }
        assert_eq!(before(&state, &c), [b.number, a.number]);
        state.failed(b.number, true);
        assert_eq!(before(&state, &c), [a.number]);
        state.failed(b.number, false);
        // What is returned from is not returned to.
        state.activated(Activation {
            rollback: true,
            ..activation(&b)
        });
        assert_eq!(before(&state, &b), [a.number]);
        state.activated(activation(&c));
        assert_eq!(before(&state, &c), [b.number, a.number]);
    }

    #[test]
    fn of_two_gateways_one_remembers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        let mut first = PersistedState::open(path.clone()).unwrap();
        let mut second = PersistedState::open(path.clone()).unwrap();
        assert!(first.is_ours() && !second.is_ours());
        first.record(record("a"));
        second.record(record("b"));
        first.save().unwrap();
        second.save().unwrap();
        let third = PersistedState::open(path).unwrap();
        assert_eq!(third.file.releases[0].digest, "a");
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        fs::write(&path, "{").unwrap();
        assert!(PersistedState::open(path).is_err());
    }
}
