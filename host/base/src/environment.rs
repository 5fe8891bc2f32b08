//! The environment, read once. The only place that reads the process's variables.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// The variables of a process as they were at its start.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's own.
    pub fn of_process() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the environment"
        )]
        Self(std::env::vars_os().collect())
    }

    /// A variable that is set and not empty. An empty variable counts as none, as most programs hold it.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The names and values whose names are text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }

    /// The user's folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.raw("HOME").map(PathBuf::from)
    }

    /// Where the user's own Codex keeps its files: `CODEX_HOME`, or `.codex` in the user's folder.
    pub fn codex_home(&self) -> Option<PathBuf> {
        match self.raw("CODEX_HOME") {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(self.home()?.join(".codex")),
        }
    }

    /// Where a configuration file is looked for when none is named.
    pub fn config_file(&self) -> Option<PathBuf> {
        Some(
            self.base("XDG_CONFIG_HOME", ".config")?
                .join("airlock/config.toml"),
        )
    }

    /// Where Airlock keeps its own files. Empty when there is no folder to put them in, which `load` refuses.
    pub fn data_dir(&self) -> PathBuf {
        self.base("XDG_DATA_HOME", ".local/share")
            .map(|base| base.join("airlock"))
            .unwrap_or_default()
    }

    /// A folder of the XDG base directory specification, which says that relative paths are ignored.
    fn base(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let named = self
            .raw(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        named.or_else(|| Some(self.home()?.join(below_home)))
    }
}

/// For tests and tools: an environment of just these variables.
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

/// For tests: variables that need not be text.
impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Values may be secret, so only their number is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} variables)", self.0.len())
    }
}
