//! Components that commands load without a gateway.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgAction};
use serde_json::Map;

use super::failure;
use crate::command::error::CommandError;
use airlock_base::environment::Environment;
use airlock_policy::config::{PolicyConfig, SandboxConfig};
use airlock_policy::{EMBEDDED, Engine, Release, ReleaseOptions, SHIPPED, settle_settings};

/// The most sandboxes that these commands use at once.
const INSTANCES: u32 = 4;

/// The argument that names a component.
pub(super) fn component(id: &'static str) -> Arg {
    Arg::new(id).value_name("FILE")
}

/// The flag for JSON output.
pub(super) fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON, for programs")
}

/// The default configuration: the results of these commands do not depend on the machine's own.
pub(super) fn defaults() -> PolicyConfig {
    PolicyConfig {
        sandbox: SandboxConfig {
            instances: INSTANCES,
            ..SandboxConfig::default()
        },
        ..PolicyConfig::defaults(Environment::of_process().data_dir())
    }
}

/// Reads a component that is named on the command line: its name, and its bytes.
pub(super) fn read(named: &str) -> Result<(String, Vec<u8>), CommandError> {
    if named == SHIPPED {
        return Ok((SHIPPED.to_owned(), EMBEDDED.to_vec()));
    }
    let path = PathBuf::from(named);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {named}"))
        .map_err(CommandError::Failure)?;
    let stem = path.file_stem().unwrap_or(Path::new(named).as_os_str());
    Ok((stem.to_string_lossy().into_owned(), bytes))
}

/// Loads a component as a release with the defaults of the settings that it declares, as a gateway would.
pub(super) async fn release(
    config: &PolicyConfig,
    engine: &Engine,
    named: &str,
) -> Result<Release, CommandError> {
    let (name, bytes) = read(named)?;
    let with = |settings: String| {
        let terms = ReleaseOptions {
            settings,
            ..ReleaseOptions::of(config)
        };
        Release::load(engine, &name, &bytes, terms).map_err(|error| failure(&error))
    };
    let common = config.common_settings();
    let release = with(config.settings())?;
    let described = match release.session().await {
        Ok(mut session) => session.describe().await,
        Err(fault) => Err(fault),
    };
    let description = described.map_err(|fault| failure(&format!("{name}: {fault}")))?;
    let settled = settle_settings(description.as_ref(), &common, &Map::new());
    let settled = settled.map_err(|why| failure(&format!("{name}: {why}")))?;
    let release = match settled == release.settings() {
        true => release,
        false => with(settled)?,
    };
    let accepted = release.accepts().await.map(|()| release);
    accepted.map_err(|error| failure(&error))
}

pub(super) fn engine(config: &PolicyConfig) -> Result<Engine, CommandError> {
    Engine::new(&config.sandbox).map_err(|error| CommandError::Failure(error.into()))
}

#[cfg(test)]
mod tests;
