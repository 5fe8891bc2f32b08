//! A temporary Codex home for one sign-in, so that the login in use changes only when the sign-in succeeds.
//!
//! Codex writes a login to the disk before it has checked it (0.169.0), and a Codex that is killed may leave an incomplete
//! file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::home::Home;
use airlock_base::secrets::Secret;

/// Attempts to remove the folder, in which a killed Codex may still write, and the pause between them.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// The file in the folder that its owner holds locked. A lock ends with its process, while a process id would not identify the
/// owner: ids are reused, and in a container each gateway has the same.
const LOCK: &str = "airlock.lock";

/// The age from which a folder without that file counts as abandoned. A younger one may be about to get it.
const NEW: Duration = Duration::from_secs(60);

/// The temporary home's folder. Dropping the value removes it.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    _lock: File,
}

impl Staging {
    /// Makes a folder beside the home, with the home's settings and no login, and removes abandoned ones.
    pub(super) fn make(home: &Home) -> io::Result<Self> {
        let all = beside(home);
        if !all.is_dir() {
            private().create(&all)?;
        }
        sweep(home);
        // Another gateway's sweep may take the lock first, and remove the folder.
        let staging = Self::claim(&all).or_else(|_| Self::claim(&all))?;
        fs::copy(
            home.path.join("config.toml"),
            staging.path.join("config.toml"),
        )?;
        Ok(staging)
    }

    fn claim(all: &Path) -> io::Result<Self> {
        let name = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = all.join(name);
        private().create(&path)?;
        let file = path.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&file)?;
        lock.try_lock()
            .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        // Fails if a sweep has removed the folder.
        fs::metadata(&file)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The login that Codex has written.
    pub(super) fn login(&self) -> io::Result<Secret> {
        fs::read_to_string(self.path.join("auth.json")).map(Secret::new)
    }

    /// Copies the home's login into the folder.
    pub(super) fn put_login(&self, home: &Home) -> io::Result<()> {
        fs::copy(home.login_file(), self.path.join("auth.json")).map(drop)
    }

    /// Removes the folder.
    pub(super) async fn remove(self) {
        for _ in 0..TRIES {
            if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!("the folder of a sign-in cannot be removed; the next one tries again");
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn beside(home: &Home) -> PathBuf {
    home.path.with_file_name("sign-in")
}

fn private() -> DirBuilder {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    private
}

/// Removes abandoned folders, which may contain logins.
pub(super) fn sweep(home: &Home) {
    for folder in fs::read_dir(beside(home)).into_iter().flatten().flatten() {
        let path = folder.path();
        let lock = OpenOptions::new().write(true).open(path.join(LOCK)).ok();
        let is_left = match &lock {
            Some(lock) => lock.try_lock().is_ok(),
            None => is_old(&path),
        };
        if is_left {
            let _ = fs::remove_dir_all(&path);
        }
        // Held until here, as the process that has just made a folder must not get the lock before the folder is removed.
        drop(lock);
    }
}

fn is_old(path: &Path) -> bool {
    let modified = path.metadata().and_then(|about| about.modified()).ok();
    let age = modified.and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age > NEW)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::CodexConfig;
    use airlock_base::environment::Environment;

    #[test]
    fn a_folder_is_private_and_removed_as_are_abandoned_ones() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().to_str().unwrap();
        let mut config = CodexConfig::defaults(Environment::from_iter([("HOME", user)]));
        config.data_dir = folder.path().join("data");
        let home = Home::prepare(&config, None).unwrap();
        let left = folder.path().join("data/sign-in/999999999-00");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        let first = Staging::make(&home).unwrap();
        // The id of a running process in the name does not protect a folder.
        let same = left.with_file_name(format!("{}-00", std::process::id()));
        fs::create_dir_all(&same).unwrap();
        fs::write(same.join(LOCK), "").unwrap();
        let staging = Staging::make(&home).unwrap();
        let path = staging.path().to_owned();
        assert!(!left.exists() && !same.exists() && path.join("config.toml").is_file());
        assert!(first.path().exists());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(staging.login().is_err());
        drop(staging);
        assert!(!path.exists());
    }
}
