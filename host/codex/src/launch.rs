//! Starts Codex processes: finds the binary, checks its version and protocol, and spawns it in the home.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Child;
use tokio::time::timeout;

use super::binary::{self, Binary, BinaryError};
use super::certificates;
use super::command::CodexCommand;
pub use super::command::LAUNCH;
use super::home::{Home, HomeError};
use super::log;
use super::orphans::ProcessMark;
use super::token_error::TokenError;
use super::upgrade_gate::{self, Comparison, UpgradeGate};
use crate::config::CodexConfig;
use airlock_base::task::spawner;

/// Bytes of the output of `codex --version` that are read.
const VERSION_BYTES: u64 = 4096;

/// The first version that runs without its log. A version newer than the tested ones may not.
const RUNS_WITHOUT_LOG: &str = "0.169.0";

/// Starts Codex processes in one home. Clones share the verdict of the upgrade gate.
#[derive(Clone, Debug)]
pub struct Launch {
    codex: CodexConfig,
    command: CodexCommand,
    /// Bytes at which Codex's log is removed.
    log_bytes: u64,
    gate: UpgradeGate,
    /// The command that signs in, for messages.
    sign_in: String,
}

/// Why a Codex process did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no compatible Codex. Another attempt succeeds only once one is installed.
    #[error(transparent)]
    NoBinary(#[from] BinaryError),
    /// The system did not start the process.
    #[error("cannot start a process for codex")]
    Spawn(#[from] std::io::Error),
}

impl Launch {
    /// Prepares the home. `sign_in` is the command that signs in, for messages; `rehearsal` is the base URL of the scripted
    /// model, in a rehearsal. The binary is looked for at each start, so that one installed or replaced later is found.
    ///
    /// # Errors
    /// The home cannot be prepared.
    pub fn prepare(
        config: &CodexConfig,
        sign_in: String,
        rehearsal: Option<&str>,
    ) -> Result<Self, HomeError> {
        let home = Home::prepare(config, rehearsal)?;
        Ok(Self {
            codex: config.clone(),
            command: CodexCommand {
                environment: config.environment.clone(),
                log: config.log.clone(),
                certificates: certificates::prepare(&home, &config.environment),
                mark: ProcessMark::ours(&home.path).map(|mark| mark.text()),
                home,
            },
            log_bytes: config.fleet.recycle_log_bytes as u64,
            gate: UpgradeGate::default(),
            sign_in,
        })
    }

    /// The error of the stored login, with its remedy, as far as the file shows it. None: no error, or no login is needed.
    pub fn login_error(&self) -> Option<String> {
        let fault = self.command.home.login_error()?;
        Some(fault.advice(&self.sign_in))
    }

    /// Why nobody is signed in although Codex runs, with the remedy. `fault` is the error of the last fetch of tokens.
    pub fn signed_out_message(&self, fault: Option<TokenError>) -> String {
        if let Some(fault) = fault {
            return format!(
                "nobody is signed in: {fault}; try codex.token_command or codex.token_url by hand"
            );
        }
        self.login_error().unwrap_or_else(|| {
            let file = self.command.home.login_file();
            let (file, command) = (file.display(), &self.sign_in);
            format!("Codex does not take the login of {file}; run `{command}`")
        })
    }

    /// Reads the system's certificates again. Blocks for some milliseconds.
    pub(super) fn refresh_certificates(&self) {
        if self.command.certificates.is_some() {
            certificates::refresh(&self.command.home, &self.command.environment);
        }
    }

    /// Whether there is any root certificate for Codex to trust.
    pub fn has_certificates(&self) -> bool {
        self.command.certificates.is_some() || certificates::any()
    }

    /// The home that Codex runs in.
    pub fn home(&self) -> &Home {
        &self.command.home
    }

    /// A copy for a Codex in another folder, with these additional settings: `key=value`.
    pub(super) fn in_home(&self, path: &Path, settings: Vec<String>) -> Self {
        let mut launch = self.clone();
        path.clone_into(&mut launch.command.home.path);
        launch.command.home.overrides.extend(settings);
        launch
    }

    /// The path of the binary, unchecked.
    ///
    /// # Errors
    /// There is no binary.
    pub(super) fn find_binary(&self) -> Result<PathBuf, BinaryError> {
        binary::find(&self.codex, &self.command.environment)
    }

    /// Finds the binary and checks its version.
    ///
    /// # Errors
    /// The binary is missing, does not run, or is too old.
    pub async fn binary(&self) -> Result<Binary, BinaryError> {
        // Without these folders no process starts, and the system's error would not name them.
        let Home {
            path: home,
            workspace,
            temporary,
            ..
        } = &self.command.home;
        if let Some(gone) = [home, workspace, temporary].iter().find(|it| !it.is_dir()) {
            return Err(BinaryError::FolderMissing((*gone).clone()));
        }
        let path = self.find_binary()?;
        let failed = |cause: String| BinaryError::Failed {
            path: path.clone(),
            cause,
        };
        let version = self.command.stdout_of(&path, &["--version"], VERSION_BYTES);
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
        binary::check_version(&path, &String::from_utf8_lossy(&printed))
    }

    /// Finds the binary, and checks its version and its protocol.
    ///
    /// # Errors
    /// As [`Launch::binary`], or the protocol lacks what the gateway uses.
    pub async fn compatible_binary(&self) -> Result<Binary, BinaryError> {
        let binary = self.binary().await?;
        self.gate.admit(&self.command, &binary).await?;
        Ok(binary)
    }

    /// Starts `codex ARGUMENTS` with pipes for stdin, stdout and stderr. Dropping the child kills it.
    ///
    /// # Errors
    /// There is no compatible Codex, or the system does not start the process.
    pub async fn spawn(&self, arguments: &[&str]) -> Result<Child, LaunchError> {
        let binary = self
            .compatible_binary()
            .await
            .inspect_err(|error| tracing::warn!(%error, "there is no codex to run"))?;
        if !binary.supported {
            tracing::warn!(
                version = binary.version,
                "this codex is newer than those that airlock was tested with; its protocol fits"
            );
        }
        let silent = binary.supported && binary::is_since(&binary.version, RUNS_WITHOUT_LOG);
        log::prepare(&self.command.home.path, self.log_bytes, silent);
        let mut command = self.command.command(&binary.path, arguments);
        for setting in &self.command.home.overrides {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(spawner::spawn(command).await?)
    }

    /// Runs `codex ARGUMENTS` and returns up to `bytes` bytes of its standard output.
    ///
    /// # Errors
    /// There is no compatible Codex, or it fails.
    pub async fn stdout_of(&self, arguments: &[&str], bytes: u64) -> std::io::Result<Vec<u8>> {
        let path = self.find_binary().map_err(std::io::Error::other)?;
        self.command.stdout_of(&path, arguments, bytes).await
    }

    /// Runs `codex ARGUMENTS` and returns up to `bytes` bytes of its standard error, whatever its exit code is.
    ///
    /// # Errors
    /// There is no Codex, or the system does not start the process.
    pub(super) async fn stderr_of(
        &self,
        arguments: &[&str],
        bytes: u64,
    ) -> std::io::Result<String> {
        let path = self.find_binary().map_err(std::io::Error::other)?;
        self.command.stderr_of(&path, arguments, bytes).await
    }

    /// Compares the protocol of this binary with the part that the gateway uses.
    ///
    /// # Errors
    /// The binary does not print its protocol, or takes longer than 20 s.
    pub async fn compare_protocol(&self, binary: &Binary) -> std::io::Result<Comparison> {
        upgrade_gate::compare(&self.command, binary).await
    }
}

#[cfg(test)]
mod tests;
