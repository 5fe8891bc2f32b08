//! The modification time of the login's file, to detect a change.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The login's file and its modification time.
#[derive(Debug)]
pub(super) struct LoginFile {
    file: PathBuf,
    modified: Option<SystemTime>,
}

impl LoginFile {
    /// Reads the current modification time.
    pub(super) async fn read(file: PathBuf) -> Self {
        let modified = modified(&file).await;
        Self { file, modified }
    }

    /// Whether the file has changed since it was read. A running Codex does not notice a change (0.169.0).
    pub(super) async fn has_changed(&self) -> bool {
        modified(&self.file).await != self.modified
    }
}

async fn modified(file: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(file).await.ok()?.modified().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_that_appears_or_disappears_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        let absent = LoginFile::read(file.clone()).await;
        assert!(!absent.has_changed().await);
        tokio::fs::write(&file, "{}").await.unwrap();
        assert!(absent.has_changed().await);
        let present = LoginFile::read(file.clone()).await;
        assert!(!present.has_changed().await);
        tokio::fs::remove_file(&file).await.unwrap();
        assert!(present.has_changed().await);
    }
}
