//! A cache of compiled policies that gateways under test share: compiling one takes longer than most tests.
//!
//! Each gateway gets copies in its own data folder, and verifies them as usual.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::programs;

/// Files that the shared cache keeps, the newest ones.
const MAX_FILES: usize = 32;

/// Bytes of the largest file that is cached.
const MAX_BYTES: u64 = 96 << 20;

/// The folder of compiled code in a data folder.
const CACHE: &str = "policy-cache";

/// Copies the shared cache into the data folder of a gateway that is about to start.
pub(super) fn fill(data: &Path) -> io::Result<()> {
    let cache = data.join(CACHE);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache)?;
    for file in files(&shared_cache()) {
        // Another test may have removed it.
        let _ = copy(&file, &cache);
    }
    Ok(())
}

/// Copies what a gateway has compiled into the shared cache.
pub(super) fn store(data: &Path) -> io::Result<()> {
    let shared = shared_cache();
    fs::create_dir_all(&shared)?;
    for file in files(&data.join(CACHE)) {
        if !shared.join(file.file_name().unwrap_or_default()).exists() {
            let _ = copy(&file, &shared);
        }
    }
    let mut all = files(&shared);
    all.sort_by_key(|file| fs::metadata(file).and_then(|about| about.modified()).ok());
    let over = all.len().saturating_sub(MAX_FILES);
    for old in all.drain(..over) {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// The shared cache: beside the program, so that each target folder has its own.
fn shared_cache() -> PathBuf {
    let program = programs::airlock().unwrap_or_default();
    program.with_file_name("policy-cache-of-tests")
}

/// Compiled code and its digests. Temporary files are skipped.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_cached = |path: &PathBuf| {
        let fits = fs::metadata(path).is_ok_and(|about| about.len() <= MAX_BYTES);
        fits && path
            .extension()
            .is_some_and(|kind| kind == "cwasm" || kind == "sha256")
    };
    entries
        .map(|entry| entry.path())
        .filter(is_cached)
        .collect()
}

/// Copies a file atomically, readable by its owner alone.
#[expect(clippy::disallowed_methods, reason = "a copy for tests needs no sync")]
fn copy(file: &Path, folder: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default();
    let draft = folder.join(format!("{}.{}", name.display(), std::process::id()));
    let mut to = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    io::copy(&mut fs::File::open(file)?, &mut to)?;
    fs::rename(&draft, folder.join(name))
}
