//! The settings of policies: which one runs, what it may use, how it is loaded, and when it is taken back.

use std::path::PathBuf;
use std::time::Duration;

use airlock_base::quantity::Bounds;

/// The name of the policy inside the program.
pub const SHIPPED: &str = "shipped";

/// Bounds of [`SandboxConfig::memory_bytes`].
pub const MEMORY_BYTES: Bounds = (1 << 20, 4 << 30);
/// Bounds of [`SandboxConfig::call_timeout`].
pub const CALL_TIMEOUT: Bounds = (1, 60_000);
/// Bounds of [`SandboxConfig::request_time`].
pub const REQUEST_TIME: Bounds = (1, 3_600_000);
/// Bounds of [`SandboxConfig::event_bytes`].
pub const EVENT_BYTES: Bounds = (1 << 10, 1 << 30);
/// Bounds of [`SandboxConfig::output_bytes`].
pub const OUTPUT_BYTES: Bounds = (1 << 10, 64 << 30);

/// The settings of policies.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// Where Airlock keeps its own files: policies, compiled code, tapes.
    pub data_dir: PathBuf,
    /// The policy to run. None: the one that was made active last, else the embedded one.
    pub source: Option<PolicySource>,
    /// Refuse parameters that cannot be honoured, in place of ignoring and naming them.
    pub strict: bool,
    /// The strategy of fan-outs that name none; the policy must know it. None: the policy's own default.
    pub synthesis: Option<String>,
    /// What a policy may use.
    pub sandbox: SandboxConfig,
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
    /// When a release is taken back by itself.
    pub rollback: RollbackConfig,
}

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

/// What a policy may use.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
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

/// When a release is taken back by itself.
#[derive(Clone, Debug)]
pub struct RollbackConfig {
    /// How far back requests count.
    pub window: Duration,
    /// Requests of a window that failed by the policy's fault, from which on it is taken back. 0: it never is.
    pub faults: usize,
    /// The share that they must be of the window's requests, in percent.
    pub percent: usize,
}

impl PolicyConfig {
    /// The defaults, with this data folder.
    pub fn defaults(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            source: None,
            strict: false,
            synthesis: None,
            sandbox: SandboxConfig::default(),
            watch: false,
            wasi: true,
            require_signature: false,
            public_keys: Vec::new(),
            compile_timeout: Duration::from_secs(120),
            compile_memory_bytes: 4 << 30,
            rollback: RollbackConfig::default(),
        }
    }

    /// The settings that every policy receives, as a JSON object.
    pub fn settings(&self) -> String {
        serde_json::Value::Object(self.common_settings()).to_string()
    }

    /// The settings that every policy receives which declares them.
    pub fn common_settings(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut settings = serde_json::Map::new();
        settings.insert("strict".to_owned(), self.strict.into());
        if let Some(synthesis) = &self.synthesis {
            settings.insert("synthesis".to_owned(), synthesis.as_str().into());
        }
        settings
    }
}

impl Default for SandboxConfig {
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

impl Default for RollbackConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            faults: 5,
            percent: 5,
        }
    }
}
