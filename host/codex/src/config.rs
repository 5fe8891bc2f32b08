//! The settings of Codex: its binary, home, login, children and limits.

use std::path::PathBuf;
use std::time::Duration;

use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;

/// The settings of Codex: which binary, home and login it has, how many children there are, and their limits.
#[derive(Clone, Debug)]
pub struct CodexConfig {
    /// The binary to run. None: `CODEX_BIN`, the pinned install, `PATH`, in this order.
    pub bin: Option<PathBuf>,
    /// An existing Codex home to take login, model and model providers from.
    pub home: Option<PathBuf>,
    /// Where Airlock keeps what is its own: its Codex home, the pinned install.
    pub data_dir: PathBuf,
    /// Whether Airlock's home uses the login of `home` (or of the user's own home) or has one of its own.
    pub login: LoginMode,
    /// What Codex writes to its own log, as a `RUST_LOG` filter.
    pub log: String,
    /// Origins of the pages that a person may be sent to for signing in: scheme, host, and port where it is unusual.
    pub sign_in_origins: Vec<String>,
    /// The only ChatGPT workspace that may sign in. None: whichever the home's own settings allow.
    pub workspace: Option<String>,
    /// A program with its arguments that prints ChatGPT tokens. Empty: none.
    pub token_command: Vec<String>,
    /// A URL that answers with ChatGPT tokens.
    pub token_url: Option<String>,
    /// The key for it, presented as `Authorization: Bearer …`.
    pub token_url_key: Option<Secret>,
    /// How long the program or the URL may take.
    pub token_timeout: Duration,
    /// How many children there are, and when each is replaced.
    pub fleet: FleetConfig,
    /// Limits of turns and of the connection to a child.
    pub limits: TurnLimits,
    /// The process's environment as it was at the start. Not a setting.
    pub environment: Environment,
}

/// How many children of Codex there are, and when each is replaced by another, which cuts no reply.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Children that take turns.
    pub children: usize,
    /// Whether one more stands by, for when one of them goes.
    pub spare: bool,
    /// Threads that are started ahead of the requests that will need them, for each child.
    pub warm_threads: usize,
    /// Threads that a child may start.
    pub recycle_threads: usize,
    /// Bytes that a child may have in memory.
    pub recycle_resident_bytes: usize,
    /// Bytes that Codex's own log may have.
    pub recycle_log_bytes: usize,
    /// How long a child may run.
    pub recycle_age: Duration,
}

/// Whose login Airlock's Codex home uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMode {
    /// The same file as the existing home: one login, refreshed in one place.
    Shared,
    /// One of its own.
    Separate,
}

/// Limits of turns and of the connection to a child.
#[derive(Clone, Debug)]
pub struct TurnLimits {
    /// Turns that Codex runs at once.
    pub turns: usize,
    /// How long a turn may take.
    pub turn_timeout: Duration,
    /// How long a model may send nothing once it is asked. Codex's own retries count.
    pub model_wait: Duration,
    /// Requests to the model that a turn may make for one response to a client. Codex's own retries do not count.
    pub model_requests: usize,
    /// How long a model that has called a tool may be silent before Codex is asked whether its stream still runs.
    pub call_silence: Duration,
    /// How long a call to Codex may take.
    pub call_timeout: Duration,
    /// Calls to one child that may be unanswered at once. Beyond about 200 Codex may never answer.
    pub calls_in_flight: usize,
    /// Bytes of a turn's events that may wait for a slow client.
    pub turn_buffer_bytes: usize,
    /// Bytes of one line from Codex.
    pub line_bytes: usize,
}

impl CodexConfig {
    /// The defaults. Folders follow `HOME` and `XDG_DATA_HOME` of this environment.
    pub fn defaults(environment: Environment) -> Self {
        Self {
            bin: None,
            home: None,
            data_dir: environment.data_dir(),
            login: LoginMode::Shared,
            log: "warn".to_owned(),
            sign_in_origins: ["https://auth.openai.com", "https://chatgpt.com"]
                .map(str::to_owned)
                .to_vec(),
            workspace: None,
            token_command: Vec::new(),
            token_url: None,
            token_url_key: None,
            token_timeout: Duration::from_secs(9),
            fleet: FleetConfig::default(),
            limits: TurnLimits::default(),
            environment,
        }
    }
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            children: 1,
            spare: true,
            warm_threads: 4,
            recycle_threads: 2000,
            recycle_resident_bytes: 512 << 20,
            recycle_log_bytes: 32 << 20,
            recycle_age: Duration::from_secs(12 * 3600),
        }
    }
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            turns: 64,
            turn_timeout: Duration::from_secs(30 * 60),
            model_wait: Duration::from_secs(60),
            model_requests: 8,
            call_silence: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            calls_in_flight: 100,
            turn_buffer_bytes: 4 << 20,
            line_bytes: 64 << 20,
        }
    }
}
