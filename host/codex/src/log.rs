//! Codex's log database in its home. It grows by 33 MB with every 1,000 turns, no setting disables it (0.169.0), and the
//! gateway does not read it.

use std::fs;
use std::io;
use std::path::Path;

/// The file name of the database. With a folder of that name, 0.169 warns and runs without its log; 0.163 does not start.
const DATABASE: &str = "logs_2.sqlite";

/// Prepares the home for the start of a child. With `silent`, Codex writes no log. If it does write one, the log is removed
/// once it has `most` bytes. A running child goes on writing to the removed files, which affects no turn (0.169.0).
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

/// The bytes of the log.
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

/// Whether a file of a Codex home belongs to its log: the database, or a file beside it.
fn is_log(name: &str) -> bool {
    name.starts_with("logs_") && name.contains(".sqlite")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn codex_runs_without_its_log_where_it_can() {
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
        // The database of a later version has another name.
        write("logs_3.sqlite");
        prepare(home.path(), 61, true);
        assert_eq!(bytes(home.path()), 60);
        prepare(home.path(), 60, true);
        assert_eq!(bytes(home.path()), 0);
        // A Codex that needs its log.
        prepare(home.path(), 60, false);
        write(DATABASE);
        prepare(home.path(), 61, false);
        assert_eq!(bytes(home.path()), 60);
    }
}
