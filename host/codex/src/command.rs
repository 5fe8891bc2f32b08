//! The command line, environment and process group of a Codex process.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::certificates::Certificates;
use super::home::Home;
use super::orphans;
use airlock_base::descriptors;
use airlock_base::environment::Environment;
use airlock_base::task::spawner;

/// Airlock's subcommand that sets the parent-death signal and executes a program.
pub const LAUNCH: &str = "__launch";

/// The arguments of Airlock's binary that precede a program's command line, so that the program dies with this process and has
/// a suitable soft limit of descriptors.
pub(super) fn launcher_arguments() -> [String; 3] {
    let parent = std::process::id().to_string();
    [
        LAUNCH.to_owned(),
        parent,
        descriptors::child_soft_limit().to_string(),
    ]
}

/// Variables that Codex inherits. All others are withheld, as they may contain keys.
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
    // The issuer with which Codex signs in and renews its tokens, in place of OpenAI's (0.169.0).
    "CODEX_APP_SERVER_LOGIN_ISSUER",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
];

/// Further variables that Codex inherits, in upper and lower case. Not in a rehearsal, whose model is on this machine.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Builds and runs commands of Codex in one home.
#[derive(Clone, Debug)]
pub(super) struct CodexCommand {
    pub(super) home: Home,
    pub(super) environment: Environment,
    /// The filter of Codex's own log (`RUST_LOG`).
    pub(super) log: String,
    /// The files of root certificates. None: Codex looks for certificates itself.
    pub(super) certificates: Option<Certificates>,
    /// The value of [`orphans::MARK_VARIABLE`]. None: the system does not report when this process began.
    pub(super) mark: Option<String>,
}

impl CodexCommand {
    /// Runs a binary and returns up to `bytes` bytes of its standard error, whatever its exit code is.
    ///
    /// # Errors
    /// The system starts no process, or reading fails.
    pub(super) async fn stderr_of(
        &self,
        path: &Path,
        arguments: &[&str],
        bytes: u64,
    ) -> std::io::Result<String> {
        let mut command = self.command(path, arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = spawner::spawn(command).await?;
        let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut output = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            stderr.take(bytes).read_to_end(&mut output).await?;
        }
        child.wait().await?;
        group.0 = None;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Runs a binary and returns up to `bytes` bytes of its standard output.
    ///
    /// # Errors
    /// The binary fails. `Interrupted`: the system started no process, or a signal ended it.
    pub(super) async fn stdout_of(
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
        let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
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

    /// A command for Codex, through [`LAUNCH`] and with only the listed variables. It has a process group of its own, so that a
    /// terminal's signals reach only the gateway.
    pub(super) fn command(&self, binary: &Path, arguments: &[&str]) -> Command {
        // This path is resolved between fork and exec, so it is the running program even if its file was replaced.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(launcher_arguments())
            .arg(binary)
            .args(arguments);
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
            ("RUST_LOG", OsStr::new(&self.log)),
            ("NO_COLOR", OsStr::new("1")),
            (orphans::MARK_VARIABLE, OsStr::new(mark)),
        ];
        let certificates = self.certificates.as_ref().map(|certificates| {
            let own = self.environment.raw("CODEX_CA_CERTIFICATE");
            let one = own.unwrap_or(certificates.one.as_os_str());
            [
                ("SSL_CERT_FILE", certificates.all.as_os_str()),
                ("CODEX_CA_CERTIFICATE", one),
            ]
        });
        // `SSL_CERT_FILE` has the certificates of that folder.
        let folder = |name: &str| self.certificates.is_some() && name == "SSL_CERT_DIR";
        // Airlock's variables come last, so that no variable of a provider overrides them.
        let inherited = self.environment.iter();
        let inherited = inherited.filter(|(name, _)| passed(name) && !folder(name));
        inherited
            .chain(certificates.into_iter().flatten())
            .chain(ours)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Kills a process group when dropped, unless it was cleared. The binary may be a script with children.
pub(super) struct ProcessGroup(pub(super) Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that the group has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
