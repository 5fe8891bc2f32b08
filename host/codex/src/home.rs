//! Airlock's own Codex home: its settings, and the login, model and provider of an existing home.

mod files;
mod login; // the file of the login
mod settings;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::settings::ModelUrls;
use crate::config::{self, CodexConfig};
use airlock_base::storage::{self, StorageError};

/// A prepared Codex home. Clones share its lock, which is released with the last; only then may the settings change.
#[derive(Clone, Debug)]
pub struct Home {
    /// The value of `CODEX_HOME`.
    pub path: PathBuf,
    /// An empty working directory, so that Codex finds no project.
    pub workspace: PathBuf,
    /// The value of `TMPDIR`. The home is not below it, which Codex would warn of.
    pub temporary: PathBuf,
    /// Variables that the model provider reads.
    pub env_keys: Vec<String>,
    /// Whether the model provider is not OpenAI. Codex's catalog does not list such a provider's models.
    pub custom_provider: bool,
    /// The URLs of the model.
    pub model: ModelUrls,
    login: LoginLocation,
    /// Whether Codex uses the scripted model.
    pub rehearsal: bool,
    /// Settings for Codex's command line: `key=value`.
    pub(super) overrides: Vec<String>,
    _lock: Arc<File>,
}

/// The location of the login.
#[derive(Clone, Debug)]
struct LoginLocation {
    /// The file with the login. It need not exist.
    file: PathBuf,
    /// The home whose login would be shared, were it accessible.
    inaccessible: Option<PathBuf>,
}

/// Why a home could not be prepared. The messages are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    Files(#[from] StorageError),
    /// The settings of the existing home cannot be used.
    #[error("{}: {fault}; repair it, or leave --codex-home out", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        fault: String,
    },
    /// The existing home is Airlock's own.
    #[error(
        "codex.home is Airlock's own Codex home; name the home to take a login from, or leave --codex-home out"
    )]
    Own,
    /// Another gateway runs in this home with other settings.
    #[error("another airlock uses {} with other settings or another login; give this one another folder with --data-dir", .0.display())]
    Busy(PathBuf),
}

impl Home {
    /// Locks the home and writes the files that have changed. `rehearsal` is the base URL of the scripted model; with it,
    /// nothing is taken from an existing home.
    ///
    /// # Errors
    /// The home cannot be prepared; the message names the file and the remedy.
    pub fn prepare(config: &CodexConfig, rehearsal: Option<&str>) -> Result<Self, HomeError> {
        let data = storage::create_private_folder(&config.data_dir)?;
        // A rehearsal has a home of its own, so that it cannot reach a login.
        let path = files::folder(&data.join(if rehearsal.is_some() {
            "rehearsal-home"
        } else {
            "codex-home"
        }))?;
        let workspace = files::folder(&data.join("workspace"))?;
        let temporary = files::folder(&data.join("tmp"))?;

        let (mut taken, shared) = match (rehearsal, &config.home) {
            (Some(_), _) => (settings::InheritedSettings::rehearsal(), SharedLogin::No),
            (None, None) => (
                settings::InheritedSettings::default(),
                shared_login(config, &path)?,
            ),
            (None, Some(home)) => {
                let taken = settings::InheritedSettings::from_home(&existing(home, &path)?)?;
                (taken, shared_login(config, &path)?)
            }
        };
        let (shared, inaccessible) = match shared {
            SharedLogin::At(file) => (Some(file), None),
            SharedLogin::Inaccessible(home) => (None, Some(home)),
            SharedLogin::No => (None, None),
        };
        if rehearsal.is_none()
            && let Some(workspace) = &config.workspace
        {
            taken.restrict_to_workspace(workspace);
        }
        let text = settings::render(&taken);
        let lock = files::claim(&path, &text, shared.as_deref())?;
        Ok(Self {
            workspace,
            temporary,
            env_keys: taken.env_keys(),
            custom_provider: rehearsal.is_some() || taken.custom_provider(),
            login: LoginLocation {
                file: shared.unwrap_or_else(|| path.join("auth.json")),
                inaccessible,
            },
            model: taken.model_urls(),
            rehearsal: rehearsal.is_some(),
            // On the command line and not in the file, as each rehearsal has a port of its own.
            overrides: rehearsal
                .map(settings::rehearsal_overrides)
                .unwrap_or_default(),
            path,
            _lock: Arc::new(lock),
        })
    }

    /// Writes one of Airlock's own files into the home, unless it has this content already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf, HomeError> {
        let path = self.path.join(name);
        let there = std::fs::read_to_string(&path);
        if there.is_ok_and(|there| there == text) {
            return Ok(path);
        }
        files::replace(&path, text).map(|()| path)
    }

    /// Whether the login is shared with another home.
    pub fn shares_login(&self) -> bool {
        self.login.file != self.path.join("auth.json")
    }

    /// The file with the login. It need not exist.
    pub fn login_file(&self) -> PathBuf {
        self.login.file.clone()
    }
}

/// Whether a login is shared with another home.
enum SharedLogin {
    /// The login is in this file, which need not exist.
    At(PathBuf),
    /// The login of this home would be shared, but the home is not accessible.
    Inaccessible(PathBuf),
    No,
}

/// The login to share. It is shared even while it does not exist: for Codex a dangling link is not a login (0.169.0), and a login
/// that is made later takes effect for all that watch the file.
fn shared_login(config: &CodexConfig, own: &Path) -> Result<SharedLogin, HomeError> {
    let named = config.home.clone();
    let home = match config.login {
        config::LoginMode::Separate => None,
        config::LoginMode::Shared => named.or_else(|| config.environment.codex_home()),
    };
    let Some(home) = home else {
        return Ok(SharedLogin::No);
    };
    let real = if home.is_dir() {
        match existing(&home, own) {
            Ok(real) => real,
            // The gateway runs with its own home as `CODEX_HOME`, as its Codex does: the login is its own.
            Err(HomeError::Own) => return Ok(SharedLogin::No),
            Err(error) => return Err(error),
        }
    } else if matches!(home.try_exists(), Ok(false)) {
        to_be(&home)?
    } else {
        return Ok(SharedLogin::Inaccessible(home));
    };
    Ok(SharedLogin::At(real.join("auth.json")))
}

/// The real path that a folder will have once it is created: that of its nearest existing ancestor, and the rest unchanged.
fn to_be(path: &Path) -> Result<PathBuf, HomeError> {
    let path = std::path::absolute(path).map_err(files::fault("find", path))?;
    let mut above = path.ancestors();
    let real = above.find_map(|above| Some((above, above.canonicalize().ok()?)));
    let rest = real
        .as_ref()
        .and_then(|(above, _)| path.strip_prefix(above).ok());
    Ok(match (&real, rest) {
        (Some((_, real)), Some(rest)) => real.join(rest),
        _ => path.clone(),
    })
}

/// The real path of an existing home other than Airlock's own.
fn existing(home: &Path, own: &Path) -> Result<PathBuf, HomeError> {
    let otherwise = "name another home with --codex-home";
    let real = home.canonicalize();
    let real = real.map_err(storage::error("read", home, otherwise))?;
    if real == own {
        Err(HomeError::Own)
    } else {
        Ok(real)
    }
}

#[cfg(test)]
mod tests;
