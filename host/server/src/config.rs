//! The settings of the server: where it listens, whom it lets in, and its limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use airlock_base::secrets::Secret;

/// The settings of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen. Anything but loopback needs `api_key`.
    pub listen: SocketAddr,
    /// The key that clients must present as `Authorization: Bearer …`. None: no key is required.
    pub api_key: Option<Secret>,
    /// The key for the admin routes, presented likewise. None: there are no such routes.
    pub admin_key: Option<Secret>,
    /// Further names that clients may give as `Host`, besides loopback's and `listen`.
    pub allowed_hosts: Vec<String>,
    /// Further web origins that may call, besides the gateway's own and every page on loopback.
    pub allowed_origins: Vec<String>,
    /// Run the real Codex against the scripted model inside Airlock.
    pub rehearsal: bool,
    /// Where Airlock keeps its own files: images of large bodies are put there, and its identity is reported by `/healthz`.
    pub data_dir: PathBuf,
    /// Limits of connections, request bodies, queues, parked turns and fan-outs.
    pub limits: ServerLimits,
}

/// Limits of connections, request bodies, queues, parked turns and fan-outs.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes that all bodies may take up at once, with the copies that are made of them. 0: as the memory allows.
    pub body_memory_bytes: usize,
    /// Requests that may wait for a turn.
    pub queue: usize,
    /// How long a request may wait for a turn.
    pub queue_wait: Duration,
    /// How long a response's headers wait for the turn's first text, reasoning or ending.
    pub first_event_wait: Duration,
    /// How long a stream may be silent before a heartbeat.
    pub heartbeat: Duration,
    /// Turns that may wait for the results of their client's tools, each with a thread of Codex's. 0: none waits.
    pub parked_turns: usize,
    /// How long each of them may wait.
    pub park_time: Duration,
    /// Bytes of one candidate of a fan-out that are kept.
    pub candidate_bytes: usize,
    /// Bytes of all candidates of a fan-out together that are kept.
    pub fan_out_bytes: usize,
    /// How long running replies may go on once the gateway is told to stop.
    pub drain: Duration,
    /// How long a client's connection may be without a request, and how long a request's head may take.
    pub keep_alive_timeout: Duration,
}

impl ServerConfig {
    /// The defaults, with this data folder.
    pub fn defaults(data_dir: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            api_key: None,
            admin_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            rehearsal: false,
            data_dir,
            limits: ServerLimits::default(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            body_bytes: 32 << 20,
            body_memory_bytes: 0,
            queue: 256,
            queue_wait: Duration::from_secs(30),
            first_event_wait: Duration::from_secs(15),
            heartbeat: Duration::from_secs(10),
            parked_turns: 64,
            park_time: Duration::from_secs(5 * 60),
            candidate_bytes: 8 << 20,
            fan_out_bytes: 32 << 20,
            drain: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
        }
    }
}
