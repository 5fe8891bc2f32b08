//! Configuration: file, environment and flags become one frozen value, checked before the socket opens.

mod environment;
mod load;
mod names;
mod print;
mod secret;
mod setting;
mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use environment::Environment;
pub use load::{ConfigError, Flags, Loaded, Source};
pub use secret::Secret;
pub(crate) use setting::{SETTINGS, Setting};
pub(crate) use value::{Slot, read_bytes, read_wait};

/// Everything that the gateway may be told, interpreted and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Anything but loopback needs `api_key`.
    pub listen: SocketAddr,
    /// The key that clients must present as `Authorization: Bearer …`. None: no key is asked for.
    pub api_key: Option<Secret>,
    /// The key for the admin routes, presented likewise. None: there are no such routes.
    pub admin_key: Option<Secret>,
    /// Further names that clients may give as `Host`, besides loopback's and `listen`.
    pub allowed_hosts: Vec<String>,
    /// Further web origins that may call, besides the gateway's own and every page on loopback.
    pub allowed_origins: Vec<String>,
    /// The policy to run. None: the one that was made active last, else the embedded one.
    pub policy: Option<PolicySource>,
    /// Refuse parameters that cannot be honoured, in place of ignoring and naming them.
    pub strict: bool,
    /// The strategy of fan-outs that name none; the policy must know it. None: the policy's own default.
    pub synthesis: Option<String>,
    /// Run the real Codex against the scripted model inside Airlock.
    pub rehearsal: bool,
    /// Threads that serve requests. 0: one for every two processors.
    pub workers: usize,
    /// How Codex is found and kept.
    pub codex: CodexConfig,
    /// How many children of Codex there are, and when each is replaced.
    pub fleet: Fleet,
    /// Sizes, counts and waits.
    pub limits: Limits,
    /// What a policy may use.
    pub sandbox: Sandbox,
    /// Which policies are loaded, and how.
    pub policies: Policies,
    /// When a release is taken back by itself.
    pub rollback: Rollback,
    /// What the log says and how.
    pub log: Log,
    /// The process's environment as it was at the start. Not a setting.
    pub environment: Environment,
    /// Flags of this command that another one needs, too, to mean the same gateway, as a shell reads them. Not a setting.
    pub(crate) same_flags: String,
}

/// The name of the policy inside the program.
pub(crate) const SHIPPED: &str = "shipped";

/// Where the policy is that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// In the program: it is named `shipped`.
    Shipped,
    /// A component's file.
    File(PathBuf),
}

impl PolicySource {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Shipped => None,
            Self::File(path) => Some(path),
        }
    }
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
}

/// How many children of Codex there are, and when each is replaced by another, which cuts no reply.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Children that take turns.
    pub children: usize,
    /// Whether one more stands by, for when one of them goes.
    pub spare: bool,
    /// Threads that are started ahead of the requests that will need them, for each child.
    pub threads_ahead: usize,
    /// Threads that a child may start.
    pub recycle_threads: usize,
    /// Bytes that a child may have in memory.
    pub recycle_resident_bytes: usize,
    /// Bytes that Codex's own log may have.
    pub recycle_log_bytes: usize,
    /// How long a child may run.
    pub recycle_age: Duration,
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
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes that all bodies may take up at once, with the copies that are made of them. 0: as the memory allows.
    pub body_memory_bytes: usize,
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
    /// Bytes of one candidate of a fan-out that are kept.
    pub candidate_bytes: usize,
    /// Bytes of all candidates of a fan-out together that are kept.
    pub fan_out_bytes: usize,
    /// Bytes of one line from Codex.
    pub line_bytes: usize,
    /// How long running replies may go on once the gateway is told to stop.
    pub drain: Duration,
    /// How long a client's connection may be without a request, and how long a request's head may take.
    pub keep_alive_timeout: Duration,
}

/// What a policy may use.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Bytes of linear memory for one request.
    pub memory_bytes: usize,
    /// How long one call into a policy may take.
    pub call_timeout: Duration,
    /// CPU time of all calls for one request.
    pub request_time: Duration,
    /// Bytes of the frames that one event may become.
    pub event_bytes: usize,
    /// Bytes of all that one request may give out.
    pub output_bytes: usize,
    /// Requests that may hold a sandbox at once.
    pub instances: u32,
}

/// Which policies are loaded, and how.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Load what comes into the folder of policies, without being told to.
    pub watch: bool,
    /// Policies may import WASI, of which they get nothing granted.
    pub wasi: bool,
    /// Refuse policies without a good signature. The embedded one needs none.
    pub require_signature: bool,
    /// The minisign keys whose signatures are good, in base64.
    pub public_keys: Vec<String>,
    /// How long compiling one may take.
    pub compile_timeout: Duration,
    /// Bytes of address space that compiling one may take.
    pub compile_memory_bytes: usize,
}

/// When a release is taken back by itself.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// How far back requests count.
    pub window: Duration,
    /// Requests of a window that failed by the policy's fault, from which on it is taken back. 0: it never is.
    pub faults: usize,
    /// The share that they must be of the window's requests, in percent.
    pub percent: usize,
}

impl Config {
    /// What holds where nobody says otherwise. Folders follow `HOME` and `XDG_DATA_HOME` of this environment.
    pub fn defaults(environment: Environment) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            api_key: None,
            admin_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            policy: None,
            strict: false,
            synthesis: None,
            rehearsal: false,
            workers: 0,
            codex: CodexConfig {
                bin: None,
                home: None,
                data_dir: environment.data_dir(),
                login: Login::Shared,
                log: "warn".to_owned(),
                sign_in_origins: ["https://auth.openai.com", "https://chatgpt.com"]
                    .map(str::to_owned)
                    .to_vec(),
                workspace: None,
                token_command: Vec::new(),
                token_url: None,
                token_url_key: None,
                token_timeout: Duration::from_secs(9),
            },
            fleet: Fleet::default(),
            limits: Limits::default(),
            sandbox: Sandbox::default(),
            policies: Policies::default(),
            rollback: Rollback::default(),
            log: Log {
                filter: "info".to_owned(),
                json: false,
            },
            environment,
            same_flags: String::new(),
        }
    }
}

impl Config {
    /// Another command of Airlock's for the same gateway, to be pasted into a shell: `airlock login --data-dir /srv/airlock`.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("airlock {words}{}", self.same_flags)
    }

    /// What the policy is told of them: a JSON object.
    pub(crate) fn for_policy(&self) -> String {
        serde_json::Value::Object(self.common_settings()).to_string()
    }

    /// What all policies are told that take it.
    pub(crate) fn common_settings(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut settings = serde_json::Map::new();
        settings.insert("strict".to_owned(), self.strict.into());
        if let Some(synthesis) = &self.synthesis {
            settings.insert("synthesis".to_owned(), synthesis.as_str().into());
        }
        settings
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            children: 1,
            spare: true,
            threads_ahead: 4,
            recycle_threads: 2000,
            recycle_resident_bytes: 512 << 20,
            recycle_log_bytes: 32 << 20,
            recycle_age: Duration::from_secs(12 * 3600),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            body_bytes: 32 << 20,
            body_memory_bytes: 0,
            turns: 64,
            queue: 256,
            queue_wait: Duration::from_secs(30),
            first_event_wait: Duration::from_secs(15),
            heartbeat: Duration::from_secs(10),
            turn_timeout: Duration::from_secs(30 * 60),
            parked_turns: 64,
            park_time: Duration::from_secs(5 * 60),
            model_wait: Duration::from_secs(60),
            model_requests: 8,
            call_silence: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            calls_in_flight: 100,
            turn_buffer_bytes: 4 << 20,
            candidate_bytes: 8 << 20,
            fan_out_bytes: 32 << 20,
            line_bytes: 64 << 20,
            drain: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            call_timeout: Duration::from_millis(250),
            request_time: Duration::from_secs(30),
            event_bytes: 16 << 20,
            output_bytes: 256 << 20,
            instances: 1000,
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            watch: false,
            wasi: true,
            require_signature: false,
            public_keys: Vec::new(),
            compile_timeout: Duration::from_secs(120),
            compile_memory_bytes: 4 << 30,
        }
    }
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            faults: 5,
            percent: 5,
        }
    }
}

#[cfg(test)]
mod tests;
