//! Configuration: file, environment and flags become one frozen value, checked before the socket opens.

mod environment;
mod load;
mod names;
mod print;
mod setting;
mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use environment::Environment;
pub use load::{ConfigError, Flags, Loaded, Source};
pub(crate) use setting::{SETTINGS, Setting};
pub(crate) use value::Slot;

/// Everything that the gateway may be told, interpreted and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Anything but loopback needs `api_key`.
    pub listen: SocketAddr,
    /// The key that clients must present as `Authorization: Bearer …`. None: no key is asked for.
    pub api_key: Option<Secret>,
    /// Further names that clients may give as `Host`, besides loopback's and `listen`.
    pub allowed_hosts: Vec<String>,
    /// Further web origins that may call, besides the gateway's own and every page on loopback.
    pub allowed_origins: Vec<String>,
    /// A policy component to run in place of the embedded one.
    pub policy: Option<PathBuf>,
    /// Refuse parameters that cannot be honoured, in place of ignoring and naming them.
    pub strict: bool,
    /// The strategy of fan-outs that name none; the policy must know it. None: the policy's own default.
    pub synthesis: Option<String>,
    /// Run the real Codex against the scripted model inside Airlock.
    pub rehearsal: bool,
    /// How Codex is found and kept.
    pub codex: CodexConfig,
    /// Sizes, counts and waits.
    pub limits: Limits,
    /// What a policy may use.
    pub sandbox: Sandbox,
    /// What the log says and how.
    pub log: Log,
    /// The process's environment as it was at the start. Not a setting.
    pub environment: Environment,
}

/// How Codex is found and kept.
#[derive(Clone, Debug)]
pub struct CodexConfig {
    /// The binary to run. None: `CODEX_BIN`, the pinned install, `PATH`, in this order.
    pub bin: Option<PathBuf>,
    /// An existing Codex home to take login, model and model providers from.
    pub home: Option<PathBuf>,
    /// Where Airlock keeps what is its own: its Codex home, the pinned install.
    pub data_dir: PathBuf,
    /// Whether Airlock's home uses the login of `home` (or of the user's own home) or has one of its own.
    pub login: Login,
    /// What Codex writes to its own log, as a `RUST_LOG` filter.
    pub log: String,
}

/// What the log says and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A `RUST_LOG` filter: `info`, `airlock=debug,warn`.
    pub filter: String,
    /// One JSON object a line, in place of text.
    pub json: bool,
}

/// Whose login Airlock's Codex home uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The same file as the existing home: one login, refreshed in one place.
    Shared,
    /// One of its own.
    Separate,
}

/// Sizes, counts and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Turns that Codex runs at once.
    pub turns: usize,
    /// Requests that may wait for a turn.
    pub queue: usize,
    /// How long a request may wait for a turn.
    pub queue_wait: Duration,
    /// How long a response's headers wait for the turn's first text, reasoning or ending.
    pub first_event_wait: Duration,
    /// How long a stream may be silent before a heartbeat.
    pub heartbeat: Duration,
    /// How long a turn may take.
    pub turn_timeout: Duration,
    /// Turns that may wait for the results of their client's tools, each with a thread of Codex's. 0: none waits.
    pub parked_turns: usize,
    /// How long each of them may wait.
    pub park_time: Duration,
    /// How long a model that has called a tool may be silent before Codex is asked whether its stream still runs.
    pub call_silence: Duration,
    /// How long a call to Codex may take.
    pub call_timeout: Duration,
    /// Calls to one child that may be unanswered at once. Beyond about 200 Codex may never answer.
    pub calls_in_flight: usize,
    /// Bytes of a turn's events that may wait for a slow client.
    pub turn_buffer_bytes: usize,
    /// Bytes of one candidate of a fan-out that are kept.
    pub candidate_bytes: usize,
    /// Bytes of all candidates of a fan-out together that are kept.
    pub fan_out_bytes: usize,
    /// Bytes of one line from Codex.
    pub line_bytes: usize,
    /// How long running replies may go on once the gateway is told to stop.
    pub drain: Duration,
}

/// What a policy may use.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Bytes of linear memory for one request.
    pub memory_bytes: usize,
    /// How long one call into a policy may take.
    pub call_timeout: Duration,
    /// Requests that may hold a sandbox at once.
    pub instances: u32,
}

impl Config {
    /// What holds where nobody says otherwise. Folders follow `HOME` and `XDG_DATA_HOME` of this environment.
    pub fn defaults(environment: Environment) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            api_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            policy: None,
            strict: false,
            synthesis: None,
            rehearsal: false,
            codex: CodexConfig {
                bin: None,
                home: None,
                data_dir: environment.data_dir(),
                login: Login::Shared,
                log: "warn".to_owned(),
            },
            limits: Limits::default(),
            sandbox: Sandbox::default(),
            log: Log {
                filter: "info".to_owned(),
                json: false,
            },
            environment,
        }
    }
}

impl Config {
    /// What the policy is told of them: a JSON object.
    pub(crate) fn for_policy(&self) -> String {
        let mut settings = serde_json::json!({ "strict": self.strict });
        if let Some(synthesis) = &self.synthesis {
            settings["synthesis"] = synthesis.as_str().into();
        }
        settings.to_string()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            turns: 64,
            queue: 256,
            queue_wait: Duration::from_secs(30),
            first_event_wait: Duration::from_secs(15),
            heartbeat: Duration::from_secs(10),
            turn_timeout: Duration::from_secs(30 * 60),
            parked_turns: 64,
            park_time: Duration::from_secs(5 * 60),
            call_silence: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            calls_in_flight: 100,
            turn_buffer_bytes: 4 << 20,
            candidate_bytes: 8 << 20,
            fan_out_bytes: 32 << 20,
            line_bytes: 64 << 20,
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            call_timeout: Duration::from_millis(250),
            instances: 1000,
        }
    }
}

/// Text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests;
