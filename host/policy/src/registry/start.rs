//! The first policy of a gateway, which `serve` loads and `doctor` checks.

use std::error::Error;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use super::super::config::{PolicyConfig, PolicySource};
use super::find::{Finder, FoundBuild, blocking, embedded, name_of, read, short};
use super::history::Activation;
use super::load::Loader;
use super::persisted::{PersistedState, named};
use super::state::RegistryState;
use super::{ChangedBy, FOLDER, Registry, RegistryError, STATE, STORE, compiler};
use crate::SHIPPED;
use crate::engine::Engine;
use crate::release::Release;
use crate::trust::Trust;
use airlock_metrics::Metrics;

/// The value of `Activation::by` for the configured policy.
const CONFIGURATION: &str = "configuration";

/// The error of a start, with its causes.
type Cause = Box<dyn Error + Send + Sync>;

impl Registry {
    /// Loads the policy that `open` would load, without a change of the state. Returns its name and the first digits of its
    /// digest.
    ///
    /// # Errors
    /// As `open`.
    pub async fn check(config: &PolicyConfig) -> Result<(String, String), Cause> {
        folders(config)?;
        let persisted = PersistedState::read_only(config.data_dir.join(STATE))?;
        let engine = Engine::new(&config.sandbox)?;
        let loader = Loader {
            config,
            engine: &engine,
            compiler: &compiler(&engine, config)?.hurried(),
            trust: &trust(config)?,
            metrics: &Metrics::default(),
            fault_notify: &Arc::default(),
        };
        let first = StartPolicy::of(config, &persisted);
        let found = first.find(config, &persisted).await?;
        let (name, digest) = (found.name.clone(), short(&found.digest).to_owned());
        let ready = loader.ready(found, None, None, false).await;
        ready.map_err(|error| first.unusable(error.into()))?;
        Ok((name, digest))
    }
}

/// Creates the folders of the data directory.
///
/// # Errors
/// The folder that cannot be created, and the reason.
pub(super) fn folders(config: &PolicyConfig) -> io::Result<()> {
    let data = &config.data_dir;
    for folder in [data.clone(), data.join(FOLDER), data.join(STORE)] {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|cause| unmade(&folder, &cause))?;
    }
    Ok(())
}

fn unmade(folder: &Path, cause: &io::Error) -> io::Error {
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => io::Error::new(
            cause.kind(),
            format!(
                "{} is a file and must be a folder: move it away",
                folder.display()
            ),
        ),
        _ => named(folder, cause),
    }
}

/// The configured keys.
pub(super) fn trust(config: &PolicyConfig) -> Result<Trust, Cause> {
    let policies = &config;
    Ok(Trust::new(
        &policies.public_keys,
        policies.require_signature,
    )?)
}

/// The first policy.
pub(super) enum StartPolicy {
    /// The configured one.
    Configured(PolicySource),
    /// The one that was active last.
    Last(Activation),
    /// The embedded one, without configuration and history.
    Embedded,
}

impl StartPolicy {
    /// The first policy by this configuration and history.
    pub(super) fn of(config: &PolicyConfig, persisted: &PersistedState) -> Self {
        // Activations by an earlier configuration do not outlast it.
        let mut history = persisted.history.activations.iter().rev();
        let last = history.find(|it| it.by != CONFIGURATION).cloned();
        match (&config.source, last) {
            (Some(source), _) => Self::Configured(source.clone()),
            (None, Some(last)) => Self::Last(last),
            (None, None) => Self::Embedded,
        }
    }

    /// Finds its build.
    async fn find(
        &self,
        config: &PolicyConfig,
        persisted: &PersistedState,
    ) -> Result<FoundBuild, Cause> {
        let found = match self {
            Self::Configured(PolicySource::File(path)) => {
                let (name, path) = (name_of(path), path.clone());
                blocking(move || read(name, &path)).await
            }
            Self::Configured(PolicySource::Shipped) | Self::Embedded => Ok(embedded(config)),
            Self::Last(last) => {
                let known = &persisted.history.releases;
                let finder = Finder { config, known };
                finder.again(&last.name, &last.digest).await
            }
        };
        found.map_err(|error| self.unusable(error))
    }

    /// Adds the way out to the error of a policy that cannot be the first.
    fn unusable(&self, error: RegistryError) -> Cause {
        match self {
            Self::Last(last) if last.name != SHIPPED => format!(
                "the policy that was active last, {}@{}: {error}; put it right, or start with `--policy {SHIPPED}` or `--policy FILE`",
                last.name,
                short(&last.digest)
            )
            .into(),
            Self::Configured(PolicySource::File(_)) => {
                format!("{error}; put it right, or start with `--policy {SHIPPED}`").into()
            }
            Self::Configured(PolicySource::Shipped) | Self::Last(_) | Self::Embedded => error.into(),
        }
    }

    /// The author of its activation.
    fn by(&self) -> ChangedBy {
        ChangedBy::name(match self {
            Self::Configured(_) => CONFIGURATION,
            Self::Last(_) | Self::Embedded => "start",
        })
    }
}

impl Loader<'_> {
    /// Loads the first release. Adds an activation to the state unless the last one is of this release; does not save it.
    ///
    /// # Errors
    /// The policy cannot serve. The error has the way out.
    pub(super) async fn first(&self, state: &mut RegistryState) -> Result<Release, Cause> {
        let first = StartPolicy::of(self.config, &state.persisted);
        let found = first.find(self.config, &state.persisted).await?;
        let release = match self.ready(found, None, None, false).await {
            Ok(ready) => self.adopt(state, ready),
            Err(error) => Err(error.into()),
        };
        let release = release.map_err(|error| first.unusable(error))?;
        let newest = state.persisted.history.activations.last();
        if newest.is_none_or(|last| last.release != release.about().number) {
            state.note(&release, first.by(), false).log();
        }
        Ok(release)
    }
}
