//! What is signed in with: the file that Codex keeps it in, changed whole and at its real place.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Home, HomeError, files};
use crate::config::Secret;

/// Links that lead to links.
const LINKS: usize = 16;

impl Home {
    /// The text of the login's file. None: nobody is signed in.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(crate) fn read_login(&self) -> Result<Option<Secret>, HomeError> {
        match fs::read_to_string(&self.login.file) {
            // One that could only be emptied.
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::fault("read", &self.login.file)(error)),
        }
    }

    /// Replaces the login, in one step. The link of a home that shares it stays, and so it is all others' too.
    ///
    /// # Errors
    /// That it cannot be written.
    pub(crate) fn write_login(&self, text: &Secret) -> Result<(), HomeError> {
        let file = self.real_login();
        if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
            files::folder(folder)?;
        }
        match files::replace(&file, text.expose()) {
            Err(HomeError::Files { cause, .. }) if is_mounted(&cause) => {
                overwrite(&file, text.expose()).map_err(files::fault("write", &file))
            }
            written => written,
        }
    }

    /// Removes the login; for all who share it. The link stays.
    ///
    /// # Errors
    /// That it cannot be removed. That there is none is no error.
    pub(crate) fn remove_login(&self) -> Result<(), HomeError> {
        let file = self.real_login();
        match fs::remove_file(&file) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if is_mounted(&error) => {
                overwrite(&file, "").map_err(files::fault("empty", &file))
            }
            Err(error) => Err(files::fault("remove", &file)(error)),
        }
    }

    /// The workspaces that the home's settings allow to sign in (`forced_chatgpt_workspace_id`). Empty: any.
    pub(crate) fn workspaces(&self) -> Vec<String> {
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

    /// Where the file really is, or will be: somebody may keep it elsewhere and link to it.
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

/// Whether a file cannot be replaced because it is a mount of its own, as containers have it.
fn is_mounted(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy
}

/// Writes a file where it is. Whoever reads it meanwhile may see a part of it.
fn overwrite(file: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::codex::home::Home;
    use crate::config::{Config, Environment, Login, Secret};

    #[test]
    fn a_link_to_a_login_that_is_not_there_yet_stays() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().to_str().unwrap();
        let mut config = Config::defaults(Environment::from_iter([("HOME", user)]));
        config.codex.data_dir = folder.path().join("data");
        config.codex.login = Login::Separate;
        config.codex.workspace = Some("acc-1".to_owned());
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
    fn a_login_comes_and_goes_for_all_who_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        let environment: Environment = [("HOME", user.to_str().unwrap())].into_iter().collect();
        let mut config = Config::defaults(environment);
        config.codex.data_dir = folder.path().join("data");
        for login in [Login::Shared, Login::Separate] {
            config.codex.login = login;
            let home = Home::prepare(&config, None).unwrap();
            let link = home.path.join("auth.json");
            assert_eq!(home.shares_login(), login == Login::Shared);
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
