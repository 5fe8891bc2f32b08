//! The errors of loading the configuration.

use std::path::PathBuf;

/// Why a configuration was refused. Each message names the key or the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML: line {line}: {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's message, on one line.
        fault: String,
    },
    /// The file has an unknown key.
    #[error("{key} in {}: there is no such setting{hint}; `airlock config` lists all", path.display())]
    Unknown {
        /// The key, tables joined by dots.
        key: String,
        /// A similar key in brackets, or nothing.
        hint: String,
        /// The file.
        path: PathBuf,
    },
    /// The setting does not accept a value.
    #[error("{key} {fault} (set by {origin})")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        fault: String,
        /// The flag, variable or file that set it.
        origin: String,
    },
    /// Values contradict each other.
    #[error("{0}")]
    Conflict(String),
}
