//! The configuration: file, environment and flags become one immutable value, checked before the gateway listens.

mod consistency; // checks across settings
mod error;
mod field; // kinds of values
mod load; // the sources and their precedence
mod print; // `airlock config`
mod setting; // the table of settings
mod validate; // hosts, origins, URLs and public keys
mod value; // parsers of values

use std::path::PathBuf;

use crate::telemetry::LogConfig;
use airlock_base::environment::Environment;
use airlock_codex::config::CodexConfig;
use airlock_policy::config::PolicyConfig;
use airlock_server::config::ServerConfig;
use airlock_store::config::{FrameLogConfig, StoreConfig};

pub use error::ConfigError;
pub(crate) use field::SettingField;
pub use load::{Flags, LoadedConfig, ValueSource};
pub(crate) use setting::{SETTINGS, Setting};

/// The whole configuration. Each crate receives its own part.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of Airlock's own files: its Codex home, the Codex install, policies, tapes and caches.
    pub data_dir: PathBuf,
    /// Threads that serve requests. 0: one for every two processors.
    pub workers: usize,
    /// The server's part.
    pub server: ServerConfig,
    /// Codex's part.
    pub codex: CodexConfig,
    /// The policies' part.
    pub policy: PolicyConfig,
    /// The store's part.
    pub store: StoreConfig,
    /// The part of the events of background responses.
    pub frame_logs: FrameLogConfig,
    /// The log's part.
    pub log: LogConfig,
    /// The environment as it was when the process started. Not a setting.
    pub environment: Environment,
    /// The flags with which another command reaches the same gateway, quoted for a shell. Not a setting.
    pub(crate) gateway_flags: String,
}

impl Config {
    /// The defaults. The data folder follows from `XDG_DATA_HOME` or `HOME` of the environment.
    pub fn defaults(environment: Environment) -> Self {
        let data_dir = environment.data_dir();
        Self {
            workers: 0,
            server: ServerConfig::defaults(data_dir.clone()),
            codex: CodexConfig::defaults(environment.clone()),
            policy: PolicyConfig::defaults(data_dir.clone()),
            store: StoreConfig::default(),
            frame_logs: FrameLogConfig::default(),
            log: LogConfig::default(),
            data_dir,
            environment,
            gateway_flags: String::new(),
        }
    }

    /// Sets the data folder of every part.
    pub fn set_data_dir(&mut self, data_dir: PathBuf) {
        self.server.data_dir.clone_from(&data_dir);
        self.codex.data_dir.clone_from(&data_dir);
        self.policy.data_dir.clone_from(&data_dir);
        self.data_dir = data_dir;
    }

    /// The shell command that runs a subcommand for the same gateway: `airlock login --data-dir /srv/airlock`.
    pub(crate) fn command(&self, subcommand: &str) -> String {
        format!("airlock {subcommand}{}", self.gateway_flags)
    }
}

#[cfg(test)]
mod tests;
