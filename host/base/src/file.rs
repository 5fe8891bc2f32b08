//! Atomic writes: a reader sees the old content of a file or the new one, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::Builder;

/// The mode of a file that only its owner may read and write.
pub const PRIVATE: u32 = 0o600;

/// The mode of a file that everybody may read, before the umask.
pub const READABLE: u32 = 0o644;

/// The extension of temporary files. A process that is killed may leave one behind.
pub const TEMPORARY_EXTENSION: &str = "new";

/// Creates or replaces a file atomically: writes a temporary file beside it, syncs that, renames it, and syncs the folder.
///
/// The temporary file's name begins with a dot, cannot be guessed, and ends in [`TEMPORARY_EXTENSION`]. A symbolic link at
/// `path` is replaced and not followed.
///
/// # Errors
/// `path` has no name or no folder, or the system refuses one of the steps. The file is then unchanged, unless the last step
/// fails: then it is replaced, but may be the old one again after a power cut.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or_else(nameless)?;
    let folder = folder_of(path)?;
    let prefix = format!(".{}.", name.display());
    // `make_in` reports the system's own error; `tempfile_in` adds the temporary path to it.
    let mut temporary = Builder::new()
        .prefix(&prefix)
        .suffix(&format!(".{TEMPORARY_EXTENSION}"))
        .rand_bytes(16)
        .make_in(folder, |path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode).open(path)
        })?;
    temporary.as_file_mut().write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Creates or replaces a file atomically with a draft, a file in the same file system: syncs the draft, renames it, and syncs
/// the folder. A symbolic link at `path` is replaced and not followed.
///
/// # Errors
/// As [`replace`]. The draft stays, unless the last step fails.
pub fn persist(draft: &Path, path: &Path) -> io::Result<()> {
    let folder = folder_of(path)?;
    File::open(draft)?.sync_all()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the rename that the lint recommends"
    )]
    fs::rename(draft, path)?;
    sync_folder(folder)
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    match path.parent().ok_or_else(nameless)? {
        folder if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        folder => Ok(folder),
    }
}

fn nameless() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file")
}

/// Syncs a folder, so that files created, renamed or removed in it stay so after a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for content in ["first", "second"] {
            replace(&path, content.as_bytes(), PRIVATE).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["state.json"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let link = folder.path().join("link");
        fs::write(&target, "theirs").unwrap();
        symlink(&target, &link).unwrap();
        replace(&link, b"ours", READABLE).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert!(!link.is_symlink());
    }

    #[test]
    fn a_draft_takes_the_name_of_a_file_and_stays_after_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, path) = (folder.path().join("draft"), folder.path().join("file"));
        fs::write(&path, "old").unwrap();
        fs::write(&draft, "new").unwrap();
        let below = path.join("file");
        assert!(persist(&draft, &below).is_err() && persist(&draft, Path::new("/")).is_err());
        assert_eq!(fs::read_to_string(&draft).unwrap(), "new");
        persist(&draft, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(!draft.exists());
        let missing = persist(&draft, &path).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn errors_keep_their_kind_and_name_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = replace(&folder.path().join("none/file"), b"", PRIVATE).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(missing.raw_os_error().is_some(), "{missing}");
        let nameless = replace(Path::new("/"), b"", PRIVATE).unwrap_err();
        assert_eq!(nameless.kind(), io::ErrorKind::InvalidInput);
        let occupied = folder.path().join("folder");
        fs::create_dir(&occupied).unwrap();
        assert!(replace(&occupied, b"", PRIVATE).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
