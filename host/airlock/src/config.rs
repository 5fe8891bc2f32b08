//! Configuration: file, environment and flags become one frozen value, checked before the socket opens.

mod load;
mod names;
mod print;
mod setting;
mod value;

use std::path::PathBuf;

use crate::telemetry::LogConfig;
use airlock_base::environment::Environment;
use airlock_codex::config::CodexConfig;
use airlock_policy::config::PolicyConfig;
use airlock_server::config::ServerConfig;

pub use load::{ConfigError, Flags, Loaded, Source};
pub(crate) use setting::{SETTINGS, Setting};
pub(crate) use value::Slot;

/// The whole configuration, interpreted and checked. Each part of the gateway receives its own part.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Airlock keeps its own files: its Codex home, the Codex install, policies, tapes and caches.
    pub data_dir: PathBuf,
    /// Threads that serve requests. 0: one for every two processors.
    pub workers: usize,
    /// The server's part.
    pub server: ServerConfig,
    /// Codex's part.
    pub codex: CodexConfig,
    /// The policies' part.
    pub policy: PolicyConfig,
    /// The log's part.
    pub log: LogConfig,
    /// The process's environment as it was at the start. Not a setting.
    pub environment: Environment,
    /// Flags of this command that another one needs, too, to mean the same gateway, as a shell reads them. Not a setting.
    pub(crate) same_flags: String,
}

impl Config {
    /// The defaults. Folders follow `HOME` and `XDG_DATA_HOME` of this environment.
    pub fn defaults(environment: Environment) -> Self {
        let data_dir = environment.data_dir();
        Self {
            workers: 0,
            server: ServerConfig::defaults(data_dir.clone()),
            codex: CodexConfig::defaults(environment.clone()),
            policy: PolicyConfig::defaults(data_dir.clone()),
            log: LogConfig::default(),
            data_dir,
            environment,
            same_flags: String::new(),
        }
    }

    /// Sets the data folder of every part.
    pub fn set_data_dir(&mut self, data_dir: PathBuf) {
        self.server.data_dir.clone_from(&data_dir);
        self.codex.data_dir.clone_from(&data_dir);
        self.policy.data_dir.clone_from(&data_dir);
        self.data_dir = data_dir;
    }

    /// Another command of Airlock's for the same gateway, to be pasted into a shell: `airlock login --data-dir /srv/airlock`.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("airlock {words}{}", self.same_flags)
    }
}

#[cfg(test)]
mod tests;
