//! The files of a Codex home: created private, replaced atomically, and claimed by one configuration at a time.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::HomeError;
use airlock_base::{file, storage};

/// The error of an action on a file of the data folder.
pub(super) fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let fault = storage::error(action, path, storage::DATA_DIR_REMEDY);
    move |cause| fault(cause).into()
}

/// Attempts to lock a home that another gateway is writing, 10 ms apart.
const LOCK_ATTEMPTS: u32 = 100;

/// Creates a folder with mode 0700, and returns its real path, as Codex refuses a home behind a link.
pub(super) fn folder(path: &Path) -> Result<PathBuf, HomeError> {
    storage::create_private_folder(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(fault("make private", path))?;
    path.canonicalize().map_err(fault("read", path))
}

/// Locks the home for these settings and this login, and writes what has changed. Gateways may share a home if they have the
/// same settings and login, as Codex reads the settings with each thread and the login with each child. A home in use is not
/// changed.
pub(super) fn claim(home: &Path, text: &str, shared: Option<&Path>) -> Result<File, HomeError> {
    let path = home.join("airlock.lock");
    let mut options = OpenOptions::new();
    let lock = options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(fault("open", &path))?;
    let settings = home.join("config.toml");
    let same = || fs::read_to_string(&settings).is_ok_and(|current| current == text);
    match lock.try_lock() {
        Ok(()) => {
            if !same() {
                replace(&settings, text)?;
            }
            link_login(home, shared)?;
        }
        Err(fs::TryLockError::WouldBlock) => {
            // The holder shares the lock once it has written its files, which takes a moment.
            share(&lock, home)?;
            return if same() && is_linked(home, shared) {
                Ok(lock)
            } else {
                Err(HomeError::Busy(home.to_owned()))
            };
        }
        Err(fs::TryLockError::Error(cause)) => return Err(fault("lock", &path)(cause)),
    }
    share(&lock, home)?;
    Ok(lock)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a lock has no event to wait for, and nothing else runs yet"
)]
fn share(lock: &File, home: &Path) -> Result<(), HomeError> {
    for _ in 0..LOCK_ATTEMPTS {
        match lock.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(fs::TryLockError::Error(cause)) => return Err(fault("lock", home)(cause)),
        }
    }
    Err(HomeError::Busy(home.to_owned()))
}

/// Creates or replaces a private file atomically.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), HomeError> {
    file::replace(path, text.as_bytes(), file::PRIVATE).map_err(fault("write", path))
}

/// Makes `auth.json` a link to the shared login, or the home's own login. Codex follows the link when it writes the file
/// (0.169.0, on signing in and on refreshing tokens), so all that share the login get the refreshed tokens; signing out removes
/// only the link. The home's own login is set aside while another is shared.
#[expect(
    clippy::disallowed_methods,
    reason = "a login is moved whole, and nothing is written"
)]
fn link_login(home: &Path, shared: Option<&Path>) -> Result<(), HomeError> {
    if is_linked(home, shared) && shared.is_some() {
        return Ok(());
    }
    let current = home.join("auth.json");
    let aside = home.join("auth.own.json");
    let kind = fs::symlink_metadata(&current).ok();
    let linked = kind.as_ref().is_some_and(fs::Metadata::is_symlink);
    match shared {
        Some(target) => {
            if linked {
                fs::remove_file(&current).map_err(fault("remove", &current))?;
            } else if kind.is_some() {
                fs::rename(&current, &aside).map_err(fault("put aside", &current))?;
            }
            symlink(target, &current).map_err(fault("link", &current))
        }
        None => {
            if linked {
                fs::remove_file(&current).map_err(fault("remove", &current))?;
            }
            if !current.exists() && aside.exists() {
                fs::rename(&aside, &current).map_err(fault("bring back", &current))?;
            }
            Ok(())
        }
    }
}

/// Whether `auth.json` is a link to this login. With None: whether it is not a link.
fn is_linked(home: &Path, shared: Option<&Path>) -> bool {
    fs::read_link(home.join("auth.json")).ok().as_deref() == shared
}
