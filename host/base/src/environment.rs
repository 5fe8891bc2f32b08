//! The environment, read once at the start (`clippy.toml` disallows `std::env::var` elsewhere).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// The variables of a process as they were at its start.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the reader that the lint recommends"
        )]
        Self(std::env::vars_os().collect())
    }

    /// The value of a variable. None: it is not set, or empty.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The variables whose names are UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }

    /// The user's home folder, from `HOME`.
    pub fn home(&self) -> Option<PathBuf> {
        self.raw("HOME").map(PathBuf::from)
    }

    /// The home of the user's own Codex: `CODEX_HOME`, or `.codex` in the user's home folder.
    pub fn codex_home(&self) -> Option<PathBuf> {
        match self.raw("CODEX_HOME") {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(self.home()?.join(".codex")),
        }
    }

    /// The default path of the configuration file: `airlock/config.toml` in `XDG_CONFIG_HOME` or `~/.config`.
    pub fn config_file(&self) -> Option<PathBuf> {
        Some(
            self.xdg_folder("XDG_CONFIG_HOME", ".config")?
                .join("airlock/config.toml"),
        )
    }

    /// The default data folder: `airlock` in `XDG_DATA_HOME` or `~/.local/share`. Empty if neither is known.
    pub fn data_dir(&self) -> PathBuf {
        self.xdg_folder("XDG_DATA_HOME", ".local/share")
            .map(|base| base.join("airlock"))
            .unwrap_or_default()
    }

    /// A folder of the XDG base directory specification, by which relative paths are ignored.
    fn xdg_folder(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let named = self
            .raw(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        named.or_else(|| Some(self.home()?.join(below_home)))
    }
}

/// An environment of these variables, for tests and tools.
impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// An environment of variables that need not be UTF-8, for tests.
impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Prints the number of variables, as their values may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} variables)", self.0.len())
    }
}
