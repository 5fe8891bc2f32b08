//! The file of the login: reading, atomic replacement at its real path, and removal.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Home, HomeError, files};
use airlock_base::secrets::Secret;
use airlock_base::storage;

/// The number of symbolic links that are followed.
const LINKS: usize = 16;

/// The alternative remedy if a login's file cannot be used.
const SEPARATE: &str = "set codex.login = \"separate\"";

/// Why the stored login cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no login.
    #[error("nobody is signed in: there is no {}", .0.display())]
    Missing(PathBuf),
    /// The login of the user's own Codex is in a keyring, which cannot be shared.
    #[error("the login of your own Codex is in the system's keyring (cli_auth_credentials_store in {}), which airlock cannot share, and there is no {}", settings.display(), file.display())]
    Keyring {
        /// The file of the settings that say so.
        settings: PathBuf,
        /// The file of a login that could be shared.
        file: PathBuf,
    },
    /// The login's file, or the home that it is in, cannot be read.
    #[error("cannot read {}, where the login is: {}", path.display(), cause.kind())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file does not contain a login.
    #[error("{} holds no login: it is not a JSON object", .0.display())]
    Malformed(PathBuf),
}

impl LoginError {
    /// The message with its remedy. `sign_in` is the command that signs in.
    pub fn advice(&self, sign_in: &str) -> String {
        let way_out = match self {
            Self::Missing(_) => format!("run `{sign_in}`"),
            Self::Malformed(_) => format!("run `{sign_in}`, which writes it anew"),
            Self::Keyring { .. } => {
                format!("run `{sign_in}`, which stores a login in that file for airlock")
            }
            Self::Unreadable { .. } => format!(
                "make it readable for user {}, as whom airlock runs, or {SEPARATE} and run `{sign_in}`",
                rustix::process::geteuid().as_raw()
            ),
        };
        format!("{self}; {way_out}")
    }
}

impl Home {
    /// The error of the stored login, as far as the file shows it. None: no error, or no login is needed.
    pub fn login_error(&self) -> Option<LoginError> {
        if self.rehearsal || self.custom_provider {
            return None;
        }
        let unreadable = |path: &Path, cause| LoginError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        if let Some(home) = &self.login.inaccessible
            && let Err(cause) = fs::read_dir(home)
        {
            return Some(unreadable(home, cause));
        }
        let file = &self.login.file;
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
            Err(cause) => return Some(unreadable(file, cause)),
        };
        if bytes.trim_ascii().is_empty() {
            return Some(match self.keyring() {
                Some(settings) => LoginError::Keyring {
                    settings,
                    file: file.clone(),
                },
                None => LoginError::Missing(file.clone()),
            });
        }
        let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes);
        object.is_err().then(|| LoginError::Malformed(file.clone()))
    }

    /// Whether the file of the login is missing.
    pub fn has_no_login(&self) -> bool {
        matches!(self.login_error(), Some(LoginError::Missing(_)))
    }

    /// The file of the settings of the home whose login is shared, if they keep the login in a keyring.
    fn keyring(&self) -> Option<PathBuf> {
        let settings = self.login.file.parent()?.join("config.toml");
        let table: Table = fs::read_to_string(&settings).ok()?.parse().ok()?;
        let store = table.get("cli_auth_credentials_store")?.as_str()?;
        matches!(store, "keyring" | "auto").then_some(settings)
    }

    /// The text of the login's file. None: nobody is signed in.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_login(&self) -> Result<Option<Secret>, HomeError> {
        match fs::read_to_string(&self.login.file) {
            // An empty file is a removed login whose file is a mount.
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault("read", &self.login.file)(error)),
        }
    }

    /// Replaces the login for all that share it: atomically, or in place if the file is a mount. A link to it stays.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_login(&self, text: &Secret) -> Result<(), HomeError> {
        let file = self.real_login();
        if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
            files::folder(folder)?;
        }
        match files::replace(&file, text.expose()) {
            Err(HomeError::Files(error)) if is_mounted(&error.cause) => {
                overwrite(&file, text.expose()).map_err(fault("write", &file))
            }
            Err(HomeError::Files(error)) => Err(fault("write", &file)(error.cause)),
            written => written,
        }
    }

    /// Removes the login for all that share it. A link to it stays. A missing file is not an error.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove_login(&self) -> Result<(), HomeError> {
        let file = self.real_login();
        match fs::remove_file(&file) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if is_mounted(&error) => overwrite(&file, "").map_err(fault("empty", &file)),
            Err(error) => Err(fault("remove", &file)(error)),
        }
    }

    /// The workspaces that may sign in by the home's settings (`forced_chatgpt_workspace_id`). Empty: any.
    pub fn workspaces(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path.join("config.toml")).unwrap_or_default();
        let settings: Table = text.parse().unwrap_or_default();
        match settings.get("forced_chatgpt_workspace_id") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(several)) => several
                .iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The real path of the login's file, behind links. It need not exist.
    fn real_login(&self) -> PathBuf {
        let mut file = self.login.file.clone();
        for _ in 0..LINKS {
            if let Ok(real) = file.canonicalize() {
                return real;
            }
            let Ok(target) = fs::read_link(&file) else {
                break;
            };
            file = match file.parent() {
                Some(folder) => folder.join(target),
                None => target,
            };
        }
        file
    }
}

/// The error of an action on a login's file, which may be in the user's own home.
fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let fault = storage::error(action, path, SEPARATE);
    move |cause| fault(cause).into()
}

/// Whether a file cannot be replaced because it is a mount point, as in some containers.
fn is_mounted(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy
}

/// Writes a file in place. A concurrent reader may see a part of it.
fn overwrite(file: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::config::{CodexConfig, LoginMode};
    use crate::home::Home;
    use airlock_base::environment::Environment;
    use airlock_base::secrets::Secret;

    #[test]
    fn a_link_to_a_login_that_is_not_there_yet_stays() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().to_str().unwrap();
        let mut config = CodexConfig::defaults(Environment::from_iter([("HOME", user)]));
        config.data_dir = folder.path().join("data");
        config.login = LoginMode::Separate;
        config.workspace = Some("acc-1".to_owned());
        let home = Home::prepare(&config, None).unwrap();
        assert_eq!(home.workspaces(), ["acc-1"]);
        let theirs = folder.path().join("kept/auth.json");
        std::os::unix::fs::symlink(&theirs, home.login_file()).unwrap();
        home.write_login(&Secret::new("new")).unwrap();
        assert!(home.login_file().is_symlink());
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "new");
        super::overwrite(&theirs, "").unwrap();
        assert!(home.read_login().unwrap().is_none());
    }

    #[test]
    fn a_login_is_written_and_removed_for_all_that_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        let environment: Environment = [("HOME", user.to_str().unwrap())].into_iter().collect();
        let mut config = CodexConfig::defaults(environment);
        config.data_dir = folder.path().join("data");
        for login in [LoginMode::Shared, LoginMode::Separate] {
            config.login = login;
            let home = Home::prepare(&config, None).unwrap();
            let link = home.path.join("auth.json");
            assert_eq!(home.shares_login(), login == LoginMode::Shared);
            assert!(home.read_login().unwrap().is_none());
            home.write_login(&Secret::new("theirs")).unwrap();
            assert_eq!(std::fs::read_to_string(&link).unwrap(), "theirs");
            assert_eq!(home.read_login().unwrap().unwrap().expose(), "theirs");
            home.remove_login().unwrap();
            home.remove_login().unwrap();
            assert!(home.read_login().unwrap().is_none());
            assert_eq!(link.is_symlink(), home.shares_login());
            drop(home);
        }
    }
}
