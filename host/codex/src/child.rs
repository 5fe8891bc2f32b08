//! One `codex app-server` process: its start, its initialization, and its end in steps.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::binary::BinaryError;
use super::call_error::CallError;
use super::command::ProcessGroup;
use super::connection::{Connection, ConnectionLimits};
use super::launch::{Launch, LaunchError};
use super::protocol::{Capabilities, ClientInfo, InitializeParams, InitializeResponse, UNREAD};
use super::stderr;
use airlock_base::task::Tasks;
use airlock_types::wit::Problem;

/// How long each step of ending a child may take: closing its stdin, SIGTERM, SIGKILL.
///
/// Codex 0.169.0 exits within 0.05 s after its stdin is closed, and within 2 s when its network drops packets.
const END_STEP: Duration = Duration::from_secs(3);

/// A running child that has been initialized.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    group: Option<Pid>,
    pub(super) connection: Connection,
    /// The version that the child reports, such as `0.169.0`.
    pub(super) version: String,
}

/// Why a child did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildStartError {
    /// The binary is missing, too old, or incompatible. Another attempt fails too, until one is installed.
    #[error("{}", .0.message)]
    NoBinary(Problem),
    #[error("codex did not start")]
    Spawn(#[source] std::io::Error),
    #[error("codex did not answer as it started")]
    Initialize(#[from] CallError),
    #[error("the gateway stops")]
    Stopping,
}

impl ChildStartError {
    /// The message for operators: the binary, its fault, and the remedy.
    pub(super) fn advice(&self, binary: Option<&Path>) -> String {
        let fault = match self {
            Self::Initialize(CallError::TimedOut) => {
                "hangs: it was started and has not answered within limits.call_timeout".to_owned()
            }
            Self::Initialize(CallError::Closed) => "ended while it started".to_owned(),
            Self::Initialize(CallError::Refused(error)) => {
                format!(
                    "refused a call while it started: {}",
                    stderr::clean(&error.message)
                )
            }
            Self::Initialize(CallError::Malformed(_)) => {
                "answered something other than Codex does".to_owned()
            }
            Self::Spawn(error) => format!("cannot be started: {error}"),
            Self::NoBinary(problem) => problem.message.clone(),
            Self::Stopping => self.to_string(),
        };
        let binary = binary.map_or_else(String::new, |path| format!(" {}", path.display()));
        format!(
            "codex{binary} {fault}; its own words are in the log of `RUST_LOG=airlock=debug airlock serve`, and `airlock codex \
             install` installs one that works"
        )
    }
}

impl Child {
    /// Spawns `codex app-server` and initializes it.
    pub(super) async fn start(
        launch: &Launch,
        limits: ConnectionLimits,
        tasks: &Tasks,
    ) -> Result<Self, ChildStartError> {
        Self::start_with_stderr(launch, limits, tasks, None).await
    }

    /// As [`Child::start`]. Lines of stderr are also sent to `stderr_lines`, while it has capacity.
    pub(super) async fn start_with_stderr(
        launch: &Launch,
        limits: ConnectionLimits,
        tasks: &Tasks,
        stderr_lines: Option<mpsc::Sender<String>>,
    ) -> Result<Self, ChildStartError> {
        let spawned = tokio::select! {
            spawned = launch.spawn(&["app-server"]) => spawned,
            () = tasks.stopping() => return Err(ChildStartError::Stopping),
        };
        let mut process = spawned.map_err(|error| match error {
            LaunchError::NoBinary(failed @ BinaryError::Failed { .. }) => {
                ChildStartError::Spawn(std::io::Error::other(failed))
            }
            LaunchError::NoBinary(unfit) => ChildStartError::NoBinary(unfit.problem()),
            LaunchError::Spawn(error) => ChildStartError::Spawn(error),
        })?;
        let group = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let mut guard = ProcessGroup(group);
        let missing = || ChildStartError::Spawn(std::io::Error::other("a pipe is missing"));
        let stdin = process.stdin.take().ok_or_else(missing)?;
        let stdout = process.stdout.take().ok_or_else(missing)?;
        let stderr = process.stderr.take().ok_or_else(missing)?;
        tasks.spawn("codex-stderr", stderr::trace(stderr, stderr_lines));
        let connection = Connection::open(stdin, stdout, limits, tasks);
        let mut child = Self {
            process,
            group,
            connection,
            version: String::new(),
        };
        // From here on the drop of the `Child` kills the group.
        guard.0 = None;
        let initialized = tokio::select! {
            initialized = child.initialize() => initialized.map_err(ChildStartError::from),
            () = tasks.stopping() => Err(ChildStartError::Stopping),
        };
        match initialized {
            Ok(version) => {
                child.version = version;
                Ok(child)
            }
            Err(error) => {
                child.end().await;
                Err(error)
            }
        }
    }

    /// The process id. None once the process has ended and was waited for.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    async fn initialize(&self) -> Result<String, CallError> {
        let params = InitializeParams {
            client_info: ClientInfo {
                name: super::CLIENT_NAME,
                title: "Airlock",
                version: env!("CARGO_PKG_VERSION"),
            },
            capabilities: Capabilities {
                experimental_api: true,
                opt_out_notification_methods: UNREAD,
            },
        };
        let response: InitializeResponse = self.connection.call("initialize", &params).await?;
        self.connection.notify("initialized").await?;
        // `airlock/0.169.0 (Debian …) …`
        let version = response
            .user_agent
            .split('/')
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        Ok(version.unwrap_or_default().to_owned())
    }

    /// Ends the child and its process group: closes its stdin, then sends SIGTERM, then SIGKILL, each with a timeout.
    pub(super) async fn end(self) {
        self.end_within(END_STEP).await;
    }

    /// As [`Child::end`], with this timeout for each of the four steps.
    pub(super) async fn end_within(mut self, step: Duration) {
        self.connection.close_stdin();
        if timeout(step, self.process.wait()).await.is_err() {
            self.signal(Signal::TERM);
            if timeout(step, self.process.wait()).await.is_err() {
                tracing::warn!("codex ignores SIGTERM");
            }
        }
        // Kills the child if it still runs, and processes that it started.
        self.signal(Signal::KILL);
        if timeout(step, self.process.wait()).await.is_err() {
            tracing::error!("codex cannot be killed");
        }
        // From here on the id may be reused.
        self.group = None;
        // Processes that inherited its stdout have ended too, so all output will be read.
        let _ = timeout(step, self.connection.closed()).await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that the group has ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// Kills the process group of a child that is dropped before it was ended.
impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
