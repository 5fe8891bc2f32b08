//! Changes as they are asked for: by whom, and why one cannot be.

use std::io;

use crate::release::LoadError;

/// What an operator asks for cannot be.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no such policy, or no such build of it.
    #[error("{0}")]
    NotFound(String),
    /// It is not clear what is meant, or it makes no sense.
    #[error("{0}")]
    Unclear(String),
    /// A file cannot be read or written.
    #[error("{what}: {cause}")]
    File {
        /// Which.
        what: String,
        /// Why not.
        cause: io::Error,
    },
    /// The change cannot be written to the disk, so it is not made.
    #[error("{0}; nothing has changed")]
    Unsaved(io::Error),
    /// The build cannot serve.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Who asks for a change, and why if nobody did.
#[derive(Clone, Debug)]
pub struct By {
    /// Who made the change.
    pub who: String,
    /// Why, where it was said.
    pub reason: Option<String>,
}

impl By {
    /// Someone who needs no reason.
    pub fn name(who: &str) -> Self {
        Self {
            who: who.to_owned(),
            reason: None,
        }
    }
}
