//! The settings of Codex: its binary, home, login, children and limits.

use std::path::PathBuf;
use std::time::Duration;

use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;

/// The settings of Codex: its binary, home and login, the number of children, and limits.
#[derive(Clone, Debug)]
pub struct CodexConfig {
    /// The binary to run. None: `CODEX_BIN`, the pinned install, `PATH`, in this order.
    pub bin: Option<PathBuf>,
    /// An existing Codex home to take login, model and model providers from.
    pub home: Option<PathBuf>,
    /// Airlock's data folder, with its Codex home and the pinned install.
    pub data_dir: PathBuf,
    /// Whether Airlock's Codex home shares the login of `home`, or else of the user's own home, or has a login of its own.
    pub login: LoginMode,
    /// The filter of Codex's own log, in the syntax of `RUST_LOG`.
    pub log: String,
    /// The origins to which a person may be sent to sign in: scheme, host, and the port unless it is the scheme's default.
    pub sign_in_origins: Vec<String>,
    /// The only ChatGPT workspace that may sign in. None: the home's own settings decide.
    pub workspace: Option<String>,
    /// A program that prints ChatGPT tokens, with its arguments. Empty: none.
    pub token_command: Vec<String>,
    /// A URL that responds with ChatGPT tokens.
    pub token_url: Option<String>,
    /// The key for `token_url`, sent as `Authorization: Bearer …`.
    pub token_url_key: Option<Secret>,
    /// How long `token_command` or `token_url` may take.
    pub token_timeout: Duration,
    /// The number of children, and when each is replaced.
    pub fleet: FleetConfig,
    /// Limits of turns and of the connection to a child.
    pub limits: TurnLimits,
    /// The process's environment at its start. Not a setting.
    pub environment: Environment,
}

/// The number of children, and when each is replaced by another. Replacement cuts no reply.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Children that serve turns.
    pub children: usize,
    /// Whether one more child stands by to replace another.
    pub spare: bool,
    /// The maximum number of prewarmed threads of a child. 0: none are prewarmed.
    pub warm_threads: usize,
    /// Threads after which a child is replaced.
    pub recycle_threads: usize,
    /// Bytes of resident memory at which a child is replaced.
    pub recycle_resident_bytes: usize,
    /// Bytes of Codex's own log at which a child is replaced.
    pub recycle_log_bytes: usize,
    /// The age at which a child is replaced.
    pub recycle_age: Duration,
}

/// The login that Airlock's Codex home uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMode {
    /// The file of the existing home's login, so that its tokens are refreshed in one file.
    Shared,
    /// A login of its own.
    Separate,
}

/// Limits of turns and of the connection to a child.
#[derive(Clone, Debug)]
pub struct TurnLimits {
    /// Turns that run at once.
    pub turns: usize,
    /// How long a turn may take.
    pub turn_timeout: Duration,
    /// How long a model may send nothing after a request. Includes Codex's retries.
    pub model_wait: Duration,
    /// Requests to the model that a turn may make for one response to a client. Codex's retries do not count.
    pub model_requests: usize,
    /// How long a model that has called a tool may be silent before the gateway probes whether its stream still runs.
    pub call_silence: Duration,
    /// How long a call to Codex may take.
    pub call_timeout: Duration,
    /// Calls to one child that may be in flight at once. With more than about 200, Codex never answers some (0.169.0).
    pub calls_in_flight: usize,
    /// Bytes of a turn's events that may be queued for a slow client.
    pub turn_buffer_bytes: usize,
    /// Bytes of one line from Codex.
    pub line_bytes: usize,
}

impl CodexConfig {
    /// The default settings. Folders depend on `HOME` and `XDG_DATA_HOME` of this environment.
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
