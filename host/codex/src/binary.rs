//! Finds the native Codex binary and checks its version.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;

use crate::config::CodexConfig;
use airlock_base::environment::Environment;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// How long `codex --version` may take. The binary is 300 MB, and the first start reads it from the disk.
pub const VERSION_DEADLINE: Duration = Duration::from_secs(20);

/// The first version whose protocol is known to be compatible.
const OLDEST: Version = Version::new(0, 163, 0);

/// The last minor version that the tests have run against; its patches are assumed compatible.
const NEWEST_MINOR: u64 = 169;

/// The version that `airlock codex install` installs by default.
pub const PINNED: &str = "0.169.0";

/// The versions that the tests run against, for people.
pub const TESTED: &str = "0.163.0 to 0.169.x";

/// How an operator installs a tested version.
const INSTALL: &str = "`airlock codex install` installs 0.169.0";

/// npm's package and Rust's target of Codex on each architecture that it is published for.
const TARGETS: &[(&str, &str, &str)] = &[
    ("x86_64", "codex-linux-x64", "x86_64-unknown-linux-musl"),
    ("aarch64", "codex-linux-arm64", "aarch64-unknown-linux-musl"),
];

/// A Codex that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The native binary, never the npm shim.
    pub path: PathBuf,
    /// The version that the binary prints: `0.169.0`.
    pub version: String,
    /// Whether the version is within the tested range. A newer one is used if its protocol is compatible.
    pub supported: bool,
}

/// Why there is no usable Codex. The messages are for the log and for `doctor`; clients get [`BinaryError::problem`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// No setting names a binary, and there is none in the usual folders.
    #[error("no codex in {} nor in PATH; `airlock codex install` installs 0.169.0 (as does `npm install -g @openai/codex@0.169.0`), or name one with --codex-bin", folders(.0))]
    NotFound(Vec<PathBuf>),
    /// The binary that a setting names does not exist.
    #[error("there is no file {}, which --codex-bin, CODEX_BIN or the configuration names", .0.display())]
    Missing(PathBuf),
    /// There is npm's script, but not the package with the binary.
    #[error("{} is npm's script, and the package @openai/{package} with the binary is not installed beside it; {INSTALL}", .script.display())]
    Incomplete {
        /// The script.
        script: PathBuf,
        /// The package that is missing.
        package: &'static str,
    },
    /// A folder that Codex runs in was removed after the start.
    #[error("the folder {} is gone, which airlock created for Codex at its start; restart airlock to create it again", .0.display())]
    FolderMissing(PathBuf),
    /// The file does not run.
    #[error("cannot run {}: {cause}; {INSTALL}, or name another with --codex-bin", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// The binary did not start, or ended before it had printed its version. Another attempt may succeed.
    #[error("cannot run {}: {cause}; {INSTALL}, or name another with --codex-bin", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// How it ended.
        cause: String,
    },
    /// The version is older than the oldest compatible one.
    #[error("{} is Codex {version}, older than {OLDEST}; {INSTALL}", .path.display())]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The version that it prints.
        version: String,
    },
    /// The protocol lacks something that the gateway uses.
    #[error("{} is Codex {version}, whose protocol lacks what airlock uses: {}; Codex {TESTED} works: {INSTALL}, `airlock doctor --protocol` shows it all", .path.display(), few(.faults))]
    IncompatibleProtocol {
        /// The file.
        path: PathBuf,
        /// The version that it prints.
        version: String,
        /// The parts that are missing or differ.
        faults: Vec<String>,
    },
    /// The version is newer than the tested ones, and the binary does not write the schema of its protocol.
    #[error("{} is Codex {version}, newer than what airlock was tested with, and does not report its protocol ({cause}); Codex {TESTED} works: {INSTALL}", .path.display())]
    UnknownProtocol {
        /// The file.
        path: PathBuf,
        /// The version that it prints.
        version: String,
        /// Why not.
        cause: String,
    },
}

/// These folders, for people.
fn folders(all: &[PathBuf]) -> String {
    let shown = all.iter().map(|folder| folder.display().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

/// The first of these faults, and the number of the others.
fn few(faults: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = faults.iter().take(SHOWN).cloned();
    let more = faults.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("and {more} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}

impl BinaryError {
    /// The problem for clients: the remedy, without paths.
    pub fn problem(&self) -> Problem {
        let (code, message) = match self {
            Self::NotFound(_) | Self::Missing(_) | Self::Incomplete { .. } => (
                "codex_not_installed",
                "the gateway finds no Codex; install it there with `airlock codex install`, then see `airlock doctor`".to_owned(),
            ),
            Self::Unusable { .. } => (
                "codex_not_installed",
                "the gateway cannot run its Codex; `airlock doctor` there says why".to_owned(),
            ),
            Self::Failed { .. } => return failing(),
            Self::FolderMissing(_) => (
                "codex_home_missing",
                "the folder that the gateway created for Codex is gone; the log names it, and a restart creates it again".to_owned(),
            ),
            Self::TooOld { version, .. } => (
                "codex_unsupported_version",
                format!("the gateway's Codex is {version}, older than {OLDEST}; {INSTALL} there"),
            ),
            Self::IncompatibleProtocol { .. } | Self::UnknownProtocol { .. } => (
                "codex_unsupported_version",
                format!("the gateway's Codex speaks another protocol than the gateway; Codex {TESTED} works: {INSTALL} there"),
            ),
        };
        Problem {
            kind: ProblemKind::Overloaded,
            code: Some(code.to_owned()),
            message,
            param: None,
            retry_after_seconds: None,
        }
    }
}

/// The problem of a Codex that is installed and does not start.
pub(super) fn failing() -> Problem {
    let message =
        "Codex does not start; the gateway keeps trying, and `airlock doctor` shows the reason";
    let failure = Failure::new(ProblemKind::Overloaded, "codex_failing", message);
    failure.retry_after(10).problem
}

/// Finds the binary: the one that a setting names, or else the install of `airlock codex install` in the data folder or in the
/// default data folder, or else in `PATH`. So a gateway with a data folder of its own finds the Codex that is installed.
///
/// # Errors
/// There is no binary. One that a setting names is never replaced by another.
pub fn find(config: &CodexConfig, environment: &Environment) -> Result<PathBuf, BinaryError> {
    if let Some(named) = &config.bin {
        return match named.is_file() {
            true => native(named),
            false => Err(BinaryError::Missing(named.clone())),
        };
    }
    let mut installed = vec![config.data_dir.join("codex")];
    let usual = environment.data_dir();
    if usual.is_absolute() && usual != config.data_dir {
        installed.push(usual.join("codex"));
    }
    for folder in &installed {
        let shim = folder.join("node_modules/@openai/codex/bin/codex.js");
        if shim.is_file() {
            return native(&shim);
        }
    }
    let path = environment.raw("PATH").into_iter();
    let candidates = path
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute());
    match candidates
        .map(|folder| folder.join("codex"))
        .find(|candidate| executable(candidate))
    {
        Some(found) => native(&found),
        None => Err(BinaryError::NotFound(installed)),
    }
}

/// The native binary behind a path. npm's script would stay in memory as the parent of the real Codex, which costs 43 MiB and
/// hides the process from signals.
fn native(path: &Path) -> Result<PathBuf, BinaryError> {
    let unusable = |cause: String| BinaryError::Unusable {
        path: path.to_owned(),
        cause,
    };
    let real = path
        .canonicalize()
        .map_err(|error| unusable(error.to_string()))?;
    if real.file_name().is_none_or(|name| name != "codex.js") {
        return Ok(real);
    }
    let architecture = std::env::consts::ARCH;
    let target = TARGETS.iter().find(|target| target.0 == architecture);
    let Some((_, package, triple)) = target else {
        return Err(unusable(format!(
            "Codex is not published for linux on {architecture}"
        )));
    };
    let tail = Path::new("vendor").join(triple).join("bin").join("codex");
    // As Node.js resolves packages: `node_modules` of each folder upwards, and then the script's own package.
    let above = real.ancestors().map(|folder| match folder.file_name() {
        Some(last) if last == "node_modules" => folder.join("@openai").join(package),
        _ => folder.join("node_modules/@openai").join(package),
    });
    let own = real.parent().and_then(Path::parent).map(Path::to_owned);
    above
        .chain(own)
        .map(|root| root.join(&tail))
        .find(|candidate| candidate.is_file())
        .ok_or(BinaryError::Incomplete {
            script: real.clone(),
            package,
        })
}

/// Parses and checks the output of `codex --version`.
///
/// # Errors
/// The output has no version, or one that is too old.
pub fn check_version(path: &Path, printed: &str) -> Result<Binary, BinaryError> {
    let Some((text, version)) = printed
        .split_whitespace()
        .rev()
        .find_map(|word| Some((word, release(word)?)))
    else {
        return Err(BinaryError::Unusable {
            path: path.to_owned(),
            cause: "it does not print a version; is it Codex?".to_owned(),
        });
    };
    if version < OLDEST {
        return Err(BinaryError::TooOld {
            path: path.to_owned(),
            version: text.to_owned(),
        });
    }
    let supported = (version.major, version.minor) <= (0, NEWEST_MINOR);
    Ok(Binary {
        path: path.to_owned(),
        version: text.to_owned(),
        supported,
    })
}

/// Whether a version is `first` or later. Text that is not a version counts as later.
pub(super) fn is_since(version: &str, first: &str) -> bool {
    match (release(version), release(first)) {
        (Some(version), Some(first)) => version >= first,
        _ => true,
    }
}

/// The release that a version belongs to. A pre-release has the protocol of its release.
fn release(word: &str) -> Option<Version> {
    let version = Version::parse(word.trim_start_matches('v')).ok()?;
    Some(Version::new(version.major, version.minor, version.patch))
}

/// Whether this is an executable file.
pub fn executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
