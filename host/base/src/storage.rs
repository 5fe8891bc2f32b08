//! The data folder: created, checked for writes and free space, and identified; and errors of storage with a remedy.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes that are written to check that the folder is writable.
const PROBE_BYTES: usize = 64 << 10;

/// Free bytes below which the operator is warned: a turn's thread and a policy's code take some MiB.
const LOW_BYTES: u64 = 64 << 20;

/// The remedy for a data folder that cannot be used.
pub const DATA_DIR_REMEDY: &str = "give another folder with --data-dir";

/// A file or folder that cannot be used.
#[derive(Debug)]
pub struct StorageError {
    /// The operation that failed: `write`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's error.
    pub cause: io::Error,
    /// What the operator can do, in the imperative: `give another folder with --data-dir`.
    pub remedy: &'static str,
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            action,
            path,
            cause,
            remedy,
        } = self;
        write!(f, "cannot {action} {}: ", path.display())?;
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                let fault = match cause.kind() {
                    ErrorKind::StorageFull => "the disk is full",
                    ErrorKind::QuotaExceeded => "the disk quota is used up",
                    _ => "no file may grow to that size (`ulimit -f`)",
                };
                write!(f, "{fault}; make room there, or {remedy}")
            }
            ErrorKind::ReadOnlyFilesystem => write!(
                f,
                "its file system is read-only; mount it writable, or {remedy}"
            ),
            ErrorKind::PermissionDenied => {
                let user = rustix::process::geteuid().as_raw();
                write!(
                    f,
                    "permission denied for user {user}, as whom airlock runs; give it to that user (chown), or {remedy}"
                )
            }
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                match file_in_place_of_folder(path) {
                    Some(file) => {
                        write!(
                            f,
                            "{} is not a folder; remove it, or {remedy}",
                            file.display()
                        )
                    }
                    None => write!(f, "{cause}; {remedy}"),
                }
            }
            ErrorKind::IsADirectory => write!(f, "it is a folder; remove it, or {remedy}"),
            _ => write!(f, "{cause}; {remedy}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// The file where a folder should be: at the path itself, or above it.
fn file_in_place_of_folder(path: &Path) -> Option<&Path> {
    path.ancestors()
        .find(|above| above.metadata().is_ok_and(|it| !it.is_dir()))
}

/// Makes a [`StorageError`] of an error of the system, for `map_err`.
pub fn error(
    action: &'static str,
    path: &Path,
    remedy: &'static str,
) -> impl FnOnce(io::Error) -> StorageError {
    move |cause| StorageError {
        action,
        path: path.to_owned(),
        cause,
        remedy,
    }
}

/// Creates a folder with mode 0700, and those above it, and returns its real path. An existing folder keeps its mode.
///
/// # Errors
/// The folder cannot be created or read.
pub fn create_private_folder(path: &Path) -> Result<PathBuf, StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(error("make", path, DATA_DIR_REMEDY))?;
    path.canonicalize()
        .map_err(error("read", path, DATA_DIR_REMEDY))
}

/// Creates the data folder, checks that a file can be written there, and returns the free bytes of its disk.
///
/// # Errors
/// The folder cannot be created, or not written to.
pub fn prepare(data_dir: &Path) -> Result<u64, StorageError> {
    let folder = create_private_folder(data_dir)?;
    let probe = folder.join(format!(".airlock-{:016x}", rand::random::<u64>()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&probe)?;
        file.write_all(&[0; PROBE_BYTES])
    };
    let written = write();
    // It fails if the file could not be created.
    let _ = std::fs::remove_file(&probe);
    written.map_err(error("write to", &folder, DATA_DIR_REMEDY))?;
    let status = rustix::fs::statvfs(&folder);
    Ok(status.map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize)))
}

/// Whether this many free bytes are few.
pub fn is_low(free: u64) -> bool {
    free < LOW_BYTES
}

/// An identifier of a data folder among those of this machine, which does not reveal its path. None: it does not exist.
pub fn data_dir_id(folder: &Path) -> Option<String> {
    let metadata = folder.metadata().ok()?;
    let mut digest = Sha256::new();
    digest.update(b"airlock data folder");
    digest.update(metadata.dev().to_le_bytes());
    digest.update(metadata.ino().to_le_bytes());
    let digest = format!("{:x}", digest.finalize());
    Some(digest[..16].to_owned())
}
