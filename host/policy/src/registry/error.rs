//! The author of a change, and the errors of changes.

use std::io;

use crate::release::LoadError;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no such policy, or no such build of it.
    #[error("{0}")]
    NotFound(String),
    /// The request is ambiguous or invalid.
    #[error("{0}")]
    Unclear(String),
    /// A file cannot be read or written.
    #[error("{what}: {cause}")]
    File {
        /// The file.
        what: String,
        /// The system's error.
        cause: io::Error,
    },
    /// The change cannot be written to the disk, so it is not made.
    #[error("{0}; nothing has changed")]
    Unsaved(io::Error),
    /// The build cannot serve.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The author of a change.
#[derive(Clone, Debug)]
pub struct ChangedBy {
    /// The author's name.
    pub who: String,
    /// The reason of an automatic change.
    pub reason: Option<String>,
}

impl ChangedBy {
    /// An author without a reason.
    pub fn name(who: &str) -> Self {
        Self {
            who: who.to_owned(),
            reason: None,
        }
    }
}
