//! The settings of policies: the policy to run, its limits, and the rules of loading and rollback.

use std::path::PathBuf;
use std::time::Duration;

use airlock_base::quantity::Bounds;

/// The name of the embedded policy.
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
    /// The folder of Airlock's own files: policies, compiled code, tapes.
    pub data_dir: PathBuf,
    /// The policy to run. None: the one that was active last, else the embedded one.
    pub source: Option<PolicySource>,
    /// Whether policies refuse parameters that cannot be honoured. Otherwise they ignore and name them.
    pub strict: bool,
    /// The strategy of fan-outs that name none. None: the policy's own default.
    pub synthesis: Option<String>,
    /// The limits of sandboxes.
    pub sandbox: SandboxConfig,
    /// Whether new files in the folder of policies are loaded automatically.
    pub watch: bool,
    /// Whether policies may import WASI, of which nothing is granted.
    pub wasi: bool,
    /// Whether policies need a valid signature. The embedded one never does.
    pub require_signature: bool,
    /// The minisign keys whose signatures are valid, in base64.
    pub public_keys: Vec<String>,
    /// The longest time of a compilation.
    pub compile_timeout: Duration,
    /// The most bytes of address space of a compilation.
    pub compile_memory_bytes: usize,
    /// The rule of automatic rollback.
    pub rollback: RollbackConfig,
}

/// The policy that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The embedded one, named `shipped`.
    Shipped,
    /// The file of a component.
    File(PathBuf),
}

impl PolicySource {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Shipped => None,
            Self::File(path) => Some(path),
        }
    }
}

/// The limits of sandboxes.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Bytes of linear memory of one request.
    pub memory_bytes: usize,
    /// CPU time of one call.
    pub call_timeout: Duration,
    /// CPU time of all calls of one request.
    pub request_time: Duration,
    /// Bytes of frames for each event.
    pub event_bytes: usize,
    /// Bytes of all frames and bodies of one request.
    pub output_bytes: usize,
    /// The most sandboxes at once.
    pub instances: u32,
}

/// The rule of automatic rollback.
#[derive(Clone, Debug)]
pub struct RollbackConfig {
    /// The window of time in which requests and faults count.
    pub window: Duration,
    /// The fewest faults in the window that roll a release back. 0: none is ever rolled back.
    pub faults: usize,
    /// The least share of the window's requests that must have failed, in percent.
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

    /// The common settings as JSON.
    pub fn settings(&self) -> String {
        serde_json::Value::Object(self.common_settings()).to_string()
    }

    /// The settings of the configuration that every policy receives if its manifest declares them.
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
