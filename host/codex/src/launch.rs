//! How a Codex process is started. Every one goes through here: `--version`, `app-server`, whatever comes.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::account::TokenFault;
use super::binary::{self, Binary, BinaryError};
use super::certificates::{self, Certificates};
use super::home::{Home, HomeError};
use super::log;
use super::orphans::{self, Mark};
use super::schema::Gate;
use crate::config::CodexConfig;
use airlock_base::descriptors;
use airlock_base::environment::Environment;
use airlock_base::task::spawner;

/// The command of ours that sets the parent-death signal and becomes Codex.
pub const LAUNCH: &str = "__launch";

/// What stands before a program's own command line so that it dies with this process and has a soft limit of descriptors
/// that it can bear.
pub(super) fn becoming() -> [String; 3] {
    let parent = std::process::id().to_string();
    [
        LAUNCH.to_owned(),
        parent,
        descriptors::of_child().to_string(),
    ]
}

/// Variables that Codex gets as we have them. All others stay with us: they may hold anybody's keys.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CODEX_CA_CERTIFICATE",
    // Where Codex signs in and renews its tokens, in place of OpenAI's own servers (0.169.0).
    "CODEX_APP_SERVER_LOGIN_ISSUER",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
];

/// As [`PASSED`], in both spellings. Not in rehearsal, whose model is on this machine.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Bytes of what `codex --version` prints that are read.
const VERSION_BYTES: u64 = 4096;

/// The first Codex that goes on without its log. Newer ones than were tested may not.
const SILENT: &str = "0.169.0";

/// What it takes to start Codex: where it is looked for, its home, its environment.
#[derive(Clone, Debug)]
pub struct Launch {
    codex: CodexConfig,
    environment: Environment,
    home: Home,
    /// None: Codex looks for them itself.
    certificates: Option<Certificates>,
    /// Bytes that Codex's log of itself may have.
    log_bytes: u64,
    /// By which a later gateway knows what this one has left.
    mark: Option<String>,
    gate: Gate,
    /// The command that signs somebody in.
    sign_in: String,
}

/// Why a Codex process did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no Codex that fits. Trying again helps only once somebody has installed one.
    #[error(transparent)]
    Unfit(#[from] BinaryError),
    /// The system refused.
    #[error("cannot start a process for codex")]
    Spawn(#[from] std::io::Error),
}

impl Launch {
    /// Prepares the home. `sign_in` is the command that signs somebody in, for messages; `rehearsal` is the base URL of the scripted model, where that shall answer. The binary is
    /// looked for at each start, so that one installed or replaced later is found.
    ///
    /// # Errors
    /// That the home cannot be prepared.
    pub fn prepare(
        config: &CodexConfig,
        sign_in: String,
        rehearsal: Option<&str>,
    ) -> Result<Self, HomeError> {
        let home = Home::prepare(config, rehearsal)?;
        Ok(Self {
            codex: config.clone(),
            environment: config.environment.clone(),
            certificates: certificates::prepare(&home, &config.environment),
            log_bytes: config.fleet.recycle_log_bytes as u64,
            mark: Mark::ours(&home.path).map(|mark| mark.text()),
            home,
            gate: Gate::default(),
            sign_in,
        })
    }

    /// What is wrong with the stored login, with the way out. None: nothing that shows without Codex, or none is needed.
    pub fn login_fault(&self) -> Option<String> {
        let fault = self.home.login_fault()?;
        Some(fault.advice(&self.sign_in))
    }

    /// Why nobody is signed in although Codex runs, with the way out. `fault`: why there were no tokens, the last time.
    pub fn signed_out(&self, fault: Option<TokenFault>) -> String {
        if let Some(fault) = fault {
            return format!(
                "nobody is signed in: {fault}; try codex.token_command or codex.token_url by hand"
            );
        }
        self.login_fault().unwrap_or_else(|| {
            let file = self.home.login_file();
            let (file, command) = (file.display(), &self.sign_in);
            format!("Codex does not take the login of {file}; run `{command}`")
        })
    }

    /// Looks whether the system's certificates have changed. Blocks for some milliseconds.
    pub(super) fn refresh_certificates(&self) {
        if self.certificates.is_some() {
            certificates::refresh(&self.home, &self.environment);
        }
    }

    /// Whether there is a certificate that Codex could trust a server by.
    pub fn trusts_any(&self) -> bool {
        self.certificates.is_some() || certificates::any()
    }

    /// The home that Codex runs in.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The same for a Codex in another folder, with these settings besides: `key=value`.
    pub(super) fn in_home(&self, path: &Path, settings: Vec<String>) -> Self {
        let mut launch = self.clone();
        path.clone_into(&mut launch.home.path);
        launch.home.overrides.extend(settings);
        launch
    }

    /// Where the binary is, whatever it is.
    ///
    /// # Errors
    /// That there is none.
    pub(super) fn found(&self) -> Result<PathBuf, BinaryError> {
        binary::find(&self.codex, &self.environment)
    }

    /// Finds the binary and asks for its version.
    ///
    /// # Errors
    /// That there is none, or none that fits.
    pub async fn binary(&self) -> Result<Binary, BinaryError> {
        // Without them no process starts, and the system does not say that it is for them.
        let Home {
            path: home,
            workspace,
            temporary,
            ..
        } = &self.home;
        if let Some(gone) = [home, workspace, temporary].iter().find(|it| !it.is_dir()) {
            return Err(BinaryError::FolderGone((*gone).clone()));
        }
        let path = self.found()?;
        let failed = |cause: String| BinaryError::Failed {
            path: path.clone(),
            cause,
        };
        let version = self.printed(&path, &["--version"], VERSION_BYTES);
        let printed = timeout(binary::VERSION_DEADLINE, version)
            .await
            .map_err(|_| {
                failed(format!(
                    "--version took longer than {} s",
                    binary::VERSION_DEADLINE.as_secs()
                ))
            })?
            .map_err(|error| match error.kind() {
                ErrorKind::Interrupted => failed(error.to_string()),
                _ => BinaryError::Unusable {
                    path: path.clone(),
                    cause: error.to_string(),
                },
            })?;
        binary::judge(&path, &String::from_utf8_lossy(&printed))
    }

    /// The same, where its protocol fits too.
    ///
    /// # Errors
    /// As `binary`, and that its protocol lacks what we use.
    pub async fn fitting(&self) -> Result<Binary, BinaryError> {
        let binary = self.binary().await?;
        self.gate.admit(self, &binary).await?;
        Ok(binary)
    }

    /// Starts `codex ARGUMENTS` with pipes for stdin, stdout and stderr. Dropping the child kills it.
    ///
    /// # Errors
    /// That there is no Codex that fits, or that the system refuses.
    pub async fn spawn(&self, arguments: &[&str]) -> Result<Child, LaunchError> {
        let binary = self
            .fitting()
            .await
            .inspect_err(|error| tracing::warn!(%error, "there is no codex to run"))?;
        if !binary.supported {
            tracing::warn!(
                version = binary.version,
                "this codex is newer than those that airlock was tested with; its protocol fits"
            );
        }
        let silent = binary.supported && binary::is_since(&binary.version, SILENT);
        log::prepare(&self.home.path, self.log_bytes, silent);
        let mut command = self.command(&binary.path, arguments);
        for setting in &self.home.overrides {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(spawner::spawn(command).await?)
    }

    /// What `codex ARGUMENTS` prints, at most so many bytes.
    ///
    /// # Errors
    /// That there is no Codex that fits, or that it fails.
    pub async fn print(&self, arguments: &[&str], bytes: u64) -> std::io::Result<Vec<u8>> {
        let path = self.found().map_err(std::io::Error::other)?;
        self.printed(&path, arguments, bytes).await
    }

    /// What `codex ARGUMENTS` says on its standard error, at most so many bytes, whatever its exit code is.
    ///
    /// # Errors
    /// That there is no Codex, or that the system refuses.
    pub(super) async fn said(&self, arguments: &[&str], bytes: u64) -> std::io::Result<String> {
        let path = self.found().map_err(std::io::Error::other)?;
        let mut command = self.command(&path, arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = spawner::spawn(command).await?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            stderr.take(bytes).read_to_end(&mut said).await?;
        }
        child.wait().await?;
        group.0 = None;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// What this binary prints, at most so many bytes.
    ///
    /// # Errors
    /// That it fails. `Interrupted` says nothing of the binary: the system started no process, or a signal ended it.
    pub(super) async fn printed(
        &self,
        path: &Path,
        arguments: &[&str],
        bytes: u64,
    ) -> std::io::Result<Vec<u8>> {
        let mut command = self.command(path, arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let interrupted = |error| Error::new(ErrorKind::Interrupted, error);
        let mut child = spawner::spawn(command).await.map_err(interrupted)?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(bytes).read_to_end(&mut printed).await?;
        }
        let status = child.wait().await?;
        group.0 = None;
        if status.success() {
            return Ok(printed);
        }
        let ended = format!("{} ended with {status}", arguments.join(" "));
        Err(match status.signal() {
            Some(_) => interrupted(Error::other(ended)),
            None => Error::other(ended),
        })
    }

    /// The one command for Codex: through [`LAUNCH`], in a process group of its own, so that no signal of a terminal
    /// reaches it before us, and with nothing of our environment but what is listed.
    fn command(&self, binary: &Path, arguments: &[&str]) -> Command {
        // Resolved between fork and exec it is the very program that runs, even if its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.args(becoming()).arg(binary).args(arguments);
        command
            .process_group(0)
            .kill_on_drop(true)
            .current_dir(&self.home.workspace);
        command.env_clear().envs(self.variables());
        command
    }

    fn variables(&self) -> Vec<(String, OsString)> {
        let home = &self.home;
        let passed = |name: &str| {
            let proxy = PROXIES.contains(&name.to_uppercase().as_str());
            PASSED.contains(&name)
                || name.starts_with("LC_")
                || (proxy && !home.rehearsal)
                || home.env_keys.iter().any(|key| key == name)
        };
        let mark = self.mark.as_deref().unwrap_or_default();
        let ours = [
            ("CODEX_HOME", home.path.as_os_str()),
            ("TMPDIR", home.temporary.as_os_str()),
            ("RUST_LOG", OsStr::new(&self.codex.log)),
            ("NO_COLOR", OsStr::new("1")),
            (orphans::MARK, OsStr::new(mark)),
        ];
        let certificates = self.certificates.as_ref().map(|certificates| {
            let own = self.environment.raw("CODEX_CA_CERTIFICATE");
            let one = own.unwrap_or(certificates.one.as_os_str());
            [
                ("SSL_CERT_FILE", certificates.all.as_os_str()),
                ("CODEX_CA_CERTIFICATE", one),
            ]
        });
        // The file has what was in the folder.
        let folder = |name: &str| self.certificates.is_some() && name == "SSL_CERT_DIR";
        // Ours come last, so that no provider's variable takes their place.
        let theirs = self.environment.iter();
        let theirs = theirs.filter(|(name, _)| passed(name) && !folder(name));
        theirs
            .chain(certificates.into_iter().flatten())
            .chain(ours)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// A process group that is killed unless it has ended. What is named as Codex may be a script with children.
pub(super) struct Group(pub(super) Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that it has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests;
