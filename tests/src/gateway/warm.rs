//! Compiled policies, kept from one gateway under test to the next: compiling one takes longer than most tests.
//!
//! Each gateway gets copies in its own folder, and checks them as its own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::programs;

/// Files that are kept. Of older builds nobody needs any.
const FILES: usize = 32;

/// Bytes of the largest that is kept.
const LARGEST: u64 = 96 << 20;

/// Where a gateway keeps compiled code in its data folder.
const CACHE: &str = "policy-cache";

/// Fills the data folder of a gateway that is about to start.
pub(super) fn fill(data: &Path) -> io::Result<()> {
    let cache = data.join(CACHE);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache)?;
    for file in files(&kept()) {
        // Somebody else may have removed it.
        let _ = copy(&file, &cache);
    }
    Ok(())
}

/// Keeps what a gateway that has started has compiled.
pub(super) fn keep(data: &Path) -> io::Result<()> {
    let kept = kept();
    fs::create_dir_all(&kept)?;
    for file in files(&data.join(CACHE)) {
        if !kept.join(file.file_name().unwrap_or_default()).exists() {
            let _ = copy(&file, &kept);
        }
    }
    let mut all = files(&kept);
    all.sort_by_key(|file| fs::metadata(file).and_then(|about| about.modified()).ok());
    let over = all.len().saturating_sub(FILES);
    for old in all.drain(..over) {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// Beside the program, so that another build tree has its own.
fn kept() -> PathBuf {
    let program = programs::airlock().unwrap_or_default();
    program.with_file_name("policy-cache-of-tests")
}

/// Code, and what it is checked by. Drafts are left.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_kept = |path: &PathBuf| {
        let fits = fs::metadata(path).is_ok_and(|about| about.len() <= LARGEST);
        fits && path
            .extension()
            .is_some_and(|kind| kind == "cwasm" || kind == "sha256")
    };
    entries.map(|entry| entry.path()).filter(is_kept).collect()
}

/// Whole, or not at all, and ours alone.
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
