//! Airlock's own Codex home: our settings, and of somebody's existing home the login, the model and its provider.

mod files;
mod settings;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, Login};

/// A Codex home that is ready to run in. Clones share it; the last one gives it free for other settings.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// `CODEX_HOME`.
    pub(crate) path: PathBuf,
    /// An empty folder to work in, so that Codex finds no project.
    pub(crate) workspace: PathBuf,
    /// `TMPDIR`. Codex complains of a home that lies below it.
    pub(crate) temporary: PathBuf,
    /// Variables that the model provider reads.
    pub(crate) env_keys: Vec<String>,
    /// Whether the model provider is another than OpenAI. Then the catalogue does not list its models.
    pub(crate) custom_provider: bool,
    /// The file that holds the login, whether it exists or not.
    login: PathBuf,
    /// Whether Codex talks to the scripted model.
    pub(crate) rehearsal: bool,
    /// Settings for the command line: `key=value`.
    pub(super) overrides: Vec<String>,
    _lock: Arc<File>,
}

/// Why there is no home. The messages are for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {cause}; give another folder with --data-dir", path.display())]
    Files {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// The settings of the existing home cannot be used.
    #[error("{}: {fault}; repair it, or leave --codex-home out", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// The existing home is the one that we would write.
    #[error(
        "codex.home is Airlock's own Codex home; name the home to take a login from, or leave --codex-home out"
    )]
    Own,
    /// Another gateway runs in this home with other settings.
    #[error("another airlock uses {} with other settings; give this one another folder with --data-dir", .0.display())]
    Busy(PathBuf),
}

impl Home {
    /// Writes what has changed and takes the home for this process. `rehearsal` is the base URL of the scripted
    /// model; with it, nothing is taken from anybody's home.
    ///
    /// # Errors
    /// A [`HomeError`] that names the file and the way out.
    pub(crate) fn prepare(config: &Config, rehearsal: Option<&str>) -> Result<Self, HomeError> {
        let data = files::data_folder(&config.codex.data_dir)?;
        // A rehearsal has a home of its own: no login is in its reach.
        let path = files::folder(&data.join(if rehearsal.is_some() {
            "rehearsal-home"
        } else {
            "codex-home"
        }))?;
        let workspace = files::folder(&data.join("workspace"))?;
        let temporary = files::folder(&data.join("tmp"))?;

        let (taken, shared) = match (rehearsal, &config.codex.home) {
            (Some(_), _) => (settings::Taken::rehearsal(), None),
            (None, None) => (settings::Taken::default(), shared_login(config, &path)?),
            (None, Some(home)) => {
                let taken = settings::Taken::from_home(&existing(home, &path)?)?;
                (taken, shared_login(config, &path)?)
            }
        };
        let text = settings::render(&taken);
        let lock = files::claim(&path, &text)?;
        files::link_login(&path, shared.as_deref())?;
        Ok(Self {
            workspace,
            temporary,
            env_keys: taken.env_keys(),
            custom_provider: rehearsal.is_some() || taken.custom_provider(),
            login: shared.unwrap_or_else(|| path.join("auth.json")),
            rehearsal: rehearsal.is_some(),
            // On the command line and not in the file, because each rehearsal has a port of its own.
            overrides: rehearsal
                .map(settings::rehearsal_overrides)
                .unwrap_or_default(),
            path,
            _lock: Arc::new(lock),
        })
    }

    /// The file that holds the login, whether it exists or not.
    pub(crate) fn login_file(&self) -> PathBuf {
        self.login.clone()
    }
}

/// The login to share, or None for one of our own.
fn shared_login(config: &Config, own: &Path) -> Result<Option<PathBuf>, HomeError> {
    let named = config.codex.home.clone();
    let home = match config.codex.login {
        Login::Separate => None,
        Login::Shared => {
            named.or_else(|| config.environment.codex_home().filter(|home| home.is_dir()))
        }
    };
    match home.map(|home| existing(&home, own)).transpose() {
        Ok(home) => Ok(home.map(|home| home.join("auth.json"))),
        // Run from inside our own home, as its Codex would be: then the login is our own.
        Err(HomeError::Own) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The real path of an existing home that is not ours.
fn existing(home: &Path, own: &Path) -> Result<PathBuf, HomeError> {
    let real = home.canonicalize().map_err(files::fault("read", home))?;
    if real == own {
        Err(HomeError::Own)
    } else {
        Ok(real)
    }
}

#[cfg(test)]
mod tests;
