//! The folder of compiled code and its files: permissions, writing and removal.

use std::fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};

use super::CacheError;
use airlock_base::file;

/// The extension of a file with code.
pub(super) const CODE: &str = "cwasm";

/// The extension of the file beside it with the code's SHA-256.
const SUM: &str = "sha256";

/// The age at which a draft is abandoned: the longest that `policies.compile_timeout` may be.
const STALE: Duration = Duration::from_secs(60 * 60);

/// Permission bits that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// Makes an error of an action on a file.
pub(super) fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |cause| CacheError::Files {
        action,
        path: path.to_owned(),
        cause,
    }
}

/// Creates a private folder, or checks that the existing one is private. Returns its canonical path.
pub(super) fn private_folder(data_dir: &Path, name: &str) -> Result<PathBuf, CacheError> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
        .recursive(true)
        .create(data_dir)
        .map_err(fault("make", data_dir))?;
    let path = data_dir
        .canonicalize()
        .map_err(fault("read", data_dir))?
        .join(name);
    match builder.recursive(false).create(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fault("make", &path)(cause));
        }
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(&path).map_err(fault("read", &path))?;
    if found.is_symlink() {
        return Err(exposed(&path, "it is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(exposed(&path, "it is not a folder"));
    }
    ours_alone(&path, &found)?;
    Ok(path)
}

/// Opens a file for reading and checks that only this user can have written it. `None` if there is no file.
pub(super) fn open_private(path: &Path) -> Result<Option<File>, CacheError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path);
    let file = match opened {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fault("read", path))?,
    };
    let found = file.metadata().map_err(fault("read", path))?;
    if !found.is_file() {
        return Err(exposed(path, "it is not a file"));
    }
    ours_alone(path, &found)?;
    Ok(Some(file))
}

fn ours_alone(path: &Path, found: &Metadata) -> Result<(), CacheError> {
    let us = geteuid().as_raw();
    if found.uid() != us {
        let owner = found.uid();
        let fault = format!("it belongs to user {owner} and not to {us}, as whom airlock runs");
        return Err(exposed(path, fault));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        let mode = found.mode() & 0o7777;
        return Err(exposed(
            path,
            format!("others may write it (mode {mode:04o})"),
        ));
    }
    Ok(())
}

fn exposed(path: &Path, fault: impl Into<String>) -> CacheError {
    CacheError::Exposed {
        path: path.to_owned(),
        fault: fault.into(),
    }
}

/// A random name.
pub(super) fn draft_name() -> String {
    format!(
        "{:016x}.{}",
        rand::random::<u64>(),
        file::TEMPORARY_EXTENSION
    )
}

/// Creates a private file.
pub(super) fn create(path: &Path) -> Result<File, CacheError> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(fault("make", path))
}

/// The path of the file with the sum of a code file.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("{CODE}.{SUM}"))
}

/// The SHA-256 of the rest of a file, in hexadecimal digits.
pub(super) fn sum(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher)?;
    let sum = hasher.finalize();
    Ok(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads a file with a sum. `None` if there is no file.
pub(super) fn noted(path: &Path) -> Result<Option<String>, CacheError> {
    let Some(file) = open_private(path)? else {
        return Ok(None);
    };
    io::read_to_string(file)
        .map(|text| Some(text.trim_end().to_owned()))
        .map_err(fault("read", path))
}

/// Writes a file with a sum, atomically.
pub(super) fn note(path: &Path, sum: &str) -> Result<(), CacheError> {
    let line = format!("{sum}\n");
    file::replace(path, line.as_bytes(), file::PRIVATE).map_err(fault("write", path))
}

/// Sets a file's time of use, its modification time.
pub(super) fn touch(file: &File) {
    let now = FileTimes::new().set_modified(SystemTime::now());
    if let Err(error) = file.set_times(now) {
        tracing::debug!(%error, "cannot note the use of compiled code");
    }
}

/// Removes a code file and its sum.
pub(super) fn remove(path: &Path) -> Result<(), CacheError> {
    for path in [path, beside(path).as_path()] {
        gone(fs::remove_file(path)).map_err(fault("remove", path))?;
    }
    Ok(())
}

/// Ignores that a file is already gone: another gateway may have removed it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes abandoned drafts.
pub(super) fn tidy(folder: &Path) -> Result<(), CacheError> {
    let now = SystemTime::now();
    for (path, modified) in with_ending(folder, file::TEMPORARY_EXTENSION)? {
        if now.duration_since(modified).is_ok_and(|age| age > STALE) {
            gone(fs::remove_file(&path)).map_err(fault("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes all code files but the `retained` most recently used.
pub(super) fn prune(folder: &Path, retained: usize) -> Result<(), CacheError> {
    let mut files = with_ending(folder, CODE)?;
    files.sort_by_key(|(_, modified)| std::cmp::Reverse(*modified));
    files
        .iter()
        .skip(retained)
        .try_for_each(|(path, _)| remove(path))
}

/// The files with this extension, and their modification times.
fn with_ending(folder: &Path, ending: &str) -> Result<Vec<(PathBuf, SystemTime)>, CacheError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault("read", folder))? {
        let path = entry.map_err(fault("read", folder))?.path();
        if path.extension().is_none_or(|extension| extension != ending) {
            continue;
        }
        // The file may have been removed meanwhile.
        if let Ok(modified) = fs::symlink_metadata(&path).and_then(|found| found.modified()) {
            found.push((path, modified));
        }
    }
    Ok(found)
}
