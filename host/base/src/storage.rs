//! The data folder: it must be there, be writable, and have room.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes that are written to find out whether anything can be.
const PROBE: usize = 64 << 10;

/// Bytes of free disk below which an operator is warned: a turn's thread and a policy's code take some MiB.
const LOW: u64 = 64 << 20;

/// The way out where the data folder itself cannot be used.
pub const ANOTHER: &str = "give another folder with --data-dir";

/// A file or folder that cannot be used, with the way out.
#[derive(Debug)]
pub struct StorageError {
    /// What was tried: `write`.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// What the system says.
    pub cause: io::Error,
    /// What else an operator can do, as a command: `give another folder with --data-dir`.
    pub otherwise: &'static str,
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            action,
            path,
            cause,
            otherwise,
        } = self;
        write!(f, "cannot {action} {}: ", path.display())?;
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                let fault = match cause.kind() {
                    ErrorKind::StorageFull => "the disk is full",
                    ErrorKind::QuotaExceeded => "the disk quota is used up",
                    _ => "no file may grow to that size (`ulimit -f`)",
                };
                write!(f, "{fault}; make room there, or {otherwise}")
            }
            ErrorKind::ReadOnlyFilesystem => write!(
                f,
                "its file system is read-only; mount it writable, or {otherwise}"
            ),
            ErrorKind::PermissionDenied => {
                let user = rustix::process::geteuid().as_raw();
                write!(
                    f,
                    "permission denied for user {user}, as whom airlock runs; give it to that user (chown), or {otherwise}"
                )
            }
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => match file_above(path) {
                Some(file) => write!(
                    f,
                    "{} is no folder; remove it, or {otherwise}",
                    file.display()
                ),
                None => write!(f, "{cause}; {otherwise}"),
            },
            ErrorKind::IsADirectory => write!(f, "it is a folder; remove it, or {otherwise}"),
            _ => write!(f, "{cause}; {otherwise}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// What stands in the place of a folder: the path itself, or one above it.
fn file_above(path: &Path) -> Option<&Path> {
    path.ancestors()
        .find(|above| above.metadata().is_ok_and(|it| !it.is_dir()))
}

/// Names the path, what was tried with it, and the way out.
pub fn fault(
    action: &'static str,
    path: &Path,
    otherwise: &'static str,
) -> impl FnOnce(io::Error) -> StorageError {
    move |cause| StorageError {
        action,
        path: path.to_owned(),
        cause,
        otherwise,
    }
}

/// Makes a folder that only we can enter, and those above it. One that was there keeps its mode, for it may hold more than
/// ours. Gives its real path.
pub fn make_folder(path: &Path) -> Result<PathBuf, StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fault("make", path, ANOTHER))?;
    path.canonicalize().map_err(fault("read", path, ANOTHER))
}

/// Makes the data folder, and writes a file there to find out whether one can be written. Gives the bytes that are free.
///
/// # Errors
/// What is wrong with the folder, with its path and the way out.
pub fn prepare(data_dir: &Path) -> Result<u64, StorageError> {
    let folder = make_folder(data_dir)?;
    let probe = folder.join(format!(".airlock-{:016x}", rand::random::<u64>()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&probe)?;
        file.write_all(&[0; PROBE])
    };
    let written = write();
    // It is not there if it could not be made.
    let _ = std::fs::remove_file(&probe);
    written.map_err(fault("write to", &folder, ANOTHER))?;
    let about = rustix::fs::statvfs(&folder);
    Ok(about.map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize)))
}

/// Whether so much free disk is little.
pub fn is_low(free: u64) -> bool {
    free < LOW
}

/// What tells a data folder from all others of this machine, and says nothing of where it is.
pub fn id(folder: &Path) -> Option<String> {
    let about = folder.metadata().ok()?;
    let mut digest = Sha256::new();
    digest.update(b"airlock data folder");
    digest.update(about.dev().to_le_bytes());
    digest.update(about.ino().to_le_bytes());
    let digest = format!("{:x}", digest.finalize());
    Some(digest[..16].to_owned())
}
