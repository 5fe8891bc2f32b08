//! Compiled code that is kept: files in a folder that nobody else can write, named after component and engine.

mod files; // the folder and what lies in it
mod load; // the unsafe call

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use wasmtime::component::Component;

use self::files::fault;
use super::engine::Engine;

/// The folder's name in the data directory.
const FOLDER: &str = "policy-cache";

/// Components whose code is kept, the most recently used ones.
const RETAINED: usize = 32;

/// Compiled code on disk. Several gateways may share a folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    retained: usize,
    /// Files whose sum this process has checked.
    checked: Mutex<HashSet<PathBuf>>,
}

/// Compiled code cannot be kept, or not safely. The messages are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Somebody else could put code there, which we would run.
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
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
}

/// A file that is being written. Dropped before it is kept, it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    /// Open for writing.
    pub(super) file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is kept there is none under this name.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    /// Opens the folder in `data_dir`, which is made if it is missing, and removes what nobody finished.
    ///
    /// # Errors
    /// The folder is a link, belongs to somebody else, or can be written by others; or the system refuses.
    pub fn open(data_dir: &Path) -> Result<Self, CacheError> {
        let folder = files::private_folder(data_dir, FOLDER)?;
        files::tidy(&folder)?;
        Ok(Self {
            folder,
            retained: RETAINED,
            checked: Mutex::default(),
        })
    }

    /// The code of the component with this SHA-256, in hexadecimal digits, if it is kept and whole. What is not whole
    /// is removed. The first time a process reads a file of 10 MiB takes some 30 ms, later ones a millisecond.
    ///
    /// # Errors
    /// A file that others could have written, or one that cannot be read.
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

    /// A new file for code to be written to.
    ///
    /// # Errors
    /// That it cannot be made.
    pub(super) fn draft(&self) -> Result<Draft, CacheError> {
        let path = self.folder.join(files::draft_name());
        let file = files::create(&path)?;
        Ok(Draft { path, file })
    }

    /// Keeps the code of the component with this SHA-256, and lets the longest unused beyond the bound go.
    ///
    /// # Errors
    /// That a file cannot be written.
    pub(super) fn keep(
        &self,
        engine: &Engine,
        digest: &str,
        draft: &Draft,
    ) -> Result<(), CacheError> {
        let path = self.path(engine, digest);
        draft.file.sync_all().map_err(fault("write", &draft.path))?;
        let written = File::open(&draft.path).map_err(fault("read", &draft.path))?;
        let sum = files::sum(&written).map_err(fault("read", &draft.path))?;
        files::note(&files::beside(&path), &sum)?;
        // It is read again before it is used.
        self.lock().remove(&path);
        fs::rename(&draft.path, &path).map_err(fault("name", &path))?;
        files::sync(&self.folder)?;
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
