//! Codex's log database in its home. It grows by 33 MB with every 1,000 turns, no setting disables it (0.169.0), and the
//! gateway does not read it.

use std::fs;
use std::io;
use std::path::Path;

/// The database. A folder in its place has 0.169 go on without it, after a warning. 0.163 does not start then.
const DATABASE: &str = "logs_2.sqlite";

/// Before a child is started: `silent` keeps it from writing its log. One that is written all the same is begun anew once it
/// has so many bytes. A child that still writes to what is removed here does so until it ends, and no turn notices
/// (0.169.0).
pub(super) fn prepare(home: &Path, most: u64, silent: bool) {
    let folder = home.join(DATABASE);
    let prepared = match (folder.is_dir(), silent) {
        (true, false) => fs::remove_dir(folder),
        (false, true) => remove(home).and_then(|()| fs::create_dir_all(folder)),
        _ if bytes(home) >= most => remove(home),
        _ => Ok(()),
    };
    if let Err(error) = prepared {
        tracing::warn!(%error, "codex's log of itself cannot be removed");
    }
}

/// Bytes that it has.
pub(super) fn bytes(home: &Path) -> u64 {
    let files = fs::read_dir(home).into_iter().flatten().flatten();
    let logs = files.filter(|file| is_log(&file.file_name().to_string_lossy()));
    let about = logs.filter_map(|file| file.metadata().ok());
    about.filter(fs::Metadata::is_file).map(|it| it.len()).sum()
}

fn remove(home: &Path) -> io::Result<()> {
    for file in fs::read_dir(home)? {
        let file = file?;
        if is_log(&file.file_name().to_string_lossy()) && !file.file_type()?.is_dir() {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Whether a file of a Codex home belongs to its log: the database, or what lies beside it.
fn is_log(name: &str) -> bool {
    name.starts_with("logs_") && name.contains(".sqlite")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_kept_from_being_written() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let write = |name: &str| fs::write(path(name), [0; 60]).unwrap();
        for name in ["logs_2.sqlite", "logs_2.sqlite-wal", "state_5.sqlite"] {
            write(name);
        }
        assert_eq!(bytes(home.path()), 120);
        prepare(home.path(), 1000, true);
        assert_eq!(bytes(home.path()), 0);
        assert!(path(DATABASE).is_dir() && path("state_5.sqlite").exists());
        // It has another name now.
        write("logs_3.sqlite");
        prepare(home.path(), 61, true);
        assert_eq!(bytes(home.path()), 60);
        prepare(home.path(), 60, true);
        assert_eq!(bytes(home.path()), 0);
        // Another Codex runs now, which needs it.
        prepare(home.path(), 60, false);
        write(DATABASE);
        prepare(home.path(), 61, false);
        assert_eq!(bytes(home.path()), 60);
    }
}
