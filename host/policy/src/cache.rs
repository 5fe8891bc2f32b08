//! The cache of compiled code: files in a folder that no other user can write, named after component and engine.

mod files; // the folder and its files
mod load; // the unsafe call

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use wasmtime::component::Component;

use self::files::fault;
use super::engine::Engine;
use airlock_base::file;

/// The folder's name in the data directory.
const FOLDER: &str = "policy-cache";

/// The number of components whose code is kept: the most recently used.
const RETAINED: usize = 32;

/// Compiled code on disk. Several gateways may share a folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    retained: usize,
    /// Files whose SHA-256 this process has checked.
    checked: Mutex<HashSet<PathBuf>>,
}

/// Why compiled code cannot be kept. The messages are for operators.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another user could write code there, which the gateway would run.
    #[error(
        "{} holds machine code that is run as it is, but {fault}; remove it, or give another folder with --data-dir",
        path.display()
    )]
    Exposed {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    Files {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

/// A file that is being written. Dropping it removes the file unless it was kept.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    /// Open for writing.
    pub(super) file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A draft that was kept has been renamed.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    /// Opens the folder in `data_dir`, creates it if it is missing, and removes old drafts.
    ///
    /// # Errors
    /// The folder is a link, belongs to another user or can be written by others; or the system's error.
    pub fn open(data_dir: &Path) -> Result<Self, CacheError> {
        let folder = files::private_folder(data_dir, FOLDER)?;
        files::tidy(&folder)?;
        Ok(Self {
            folder,
            retained: RETAINED,
            checked: Mutex::default(),
        })
    }

    /// Loads the code of the component with this SHA-256, in hexadecimal digits. `None` if it is missing. Damaged code is
    /// removed. The first load of 10 MiB takes a process about 30 ms, later ones one millisecond.
    ///
    /// # Errors
    /// Others could have written the file, or it cannot be read.
    pub(super) fn load(
        &self,
        engine: &Engine,
        digest: &str,
    ) -> Result<Option<Component>, CacheError> {
        let path = self.path(engine, digest);
        let Some(file) = files::open_private(&path)? else {
            return Ok(None);
        };
        if !self.is_checked(&path) {
            let sum = files::sum(&file).map_err(fault("read", &path))?;
            if files::noted(&files::beside(&path))?.as_deref() != Some(sum.as_str()) {
                tracing::warn!(path = %path.display(), "compiled code was damaged and is removed");
                self.remove(&path)?;
                return Ok(None);
            }
            self.lock().insert(path.clone());
        }
        match load::load(&engine.inner, &file) {
            Ok(component) => {
                files::touch(&file);
                Ok(Some(component))
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code is not usable and is removed");
                self.remove(&path)?;
                Ok(None)
            }
        }
    }

    /// Creates a file for code to be written to.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn draft(&self) -> Result<Draft, CacheError> {
        let path = self.folder.join(files::draft_name());
        let file = files::create(&path)?;
        Ok(Draft { path, file })
    }

    /// Keeps a draft as the code of the component with this SHA-256, and removes the least recently used code beyond
    /// [`RETAINED`].
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn keep(
        &self,
        engine: &Engine,
        digest: &str,
        draft: &Draft,
    ) -> Result<(), CacheError> {
        let path = self.path(engine, digest);
        let written = File::open(&draft.path).map_err(fault("read", &draft.path))?;
        let sum = files::sum(&written).map_err(fault("read", &draft.path))?;
        files::note(&files::beside(&path), &sum)?;
        // The next load checks the new file.
        self.lock().remove(&path);
        file::persist(&draft.path, &path).map_err(fault("write", &path))?;
        files::prune(&self.folder, self.retained)
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let name = format!("{digest}-{}.{}", engine.compatibility(), files::CODE);
        self.folder.join(name)
    }

    fn remove(&self, path: &Path) -> Result<(), CacheError> {
        self.lock().remove(path);
        files::remove(path)
    }

    fn is_checked(&self, path: &Path) -> bool {
        self.lock().contains(path)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.checked.lock()
    }
}

#[cfg(test)]
mod tests;
