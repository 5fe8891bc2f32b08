//! The settings of the server: its address, authentication, and limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use airlock_base::secrets::Secret;

/// The settings of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on. All but loopback need `api_key`.
    pub listen: SocketAddr,
    /// The key that clients must send as `Authorization: Bearer …`. None: no key is required.
    pub api_key: Option<Secret>,
    /// The key of the admin routes, sent in the same header. None: these routes do not exist.
    pub admin_key: Option<Secret>,
    /// Allowed values of `Host`, without a port, besides loopback's names and `listen`.
    pub allowed_hosts: Vec<String>,
    /// Allowed web origins, besides the gateway's own and those on loopback.
    pub allowed_origins: Vec<String>,
    /// Whether Codex runs against the scripted model.
    pub rehearsal: bool,
    /// The data folder: tapes are written there, and `/healthz` reports its identity.
    pub data_dir: PathBuf,
    /// Limits of connections, request bodies, queues, parked turns and fan-outs.
    pub limits: ServerLimits,
}

/// Limits of connections, request bodies, queues, parked turns and fan-outs.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// The most open connections.
    pub connections: usize,
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// The most bytes of all bodies and their copies together. 0: by the memory of the system.
    pub body_memory_bytes: usize,
    /// The most requests that wait for a turn.
    pub queue: usize,
    /// How long a request may wait for a turn.
    pub queue_wait: Duration,
    /// How long the headers of a streamed response wait for the first text, reasoning or ending.
    pub first_event_wait: Duration,
    /// How long a stream may be idle before a heartbeat.
    pub heartbeat: Duration,
    /// The most parked turns, each with a thread of Codex. 0: turns are not parked.
    pub parked_turns: usize,
    /// How long a turn may be parked.
    pub park_time: Duration,
    /// The most bytes of one candidate's text in a fan-out.
    pub candidate_bytes: usize,
    /// The most bytes of all candidates' text in a fan-out.
    pub fan_out_bytes: usize,
    /// How long running responses may continue once the gateway is to stop.
    pub drain: Duration,
    /// How long a connection may be without a request, and how long a request's head may take.
    pub keep_alive_timeout: Duration,
}

/// Limits of turns that the server applies. They are settings of Codex, and the caller of `Flow::new` passes them.
#[derive(Clone, Copy, Debug)]
pub struct ServerTurnLimits {
    /// Turns that run at once.
    pub turns: usize,
    /// How long a turn may take.
    pub turn_timeout: Duration,
    /// How long a call to Codex may take.
    pub call_timeout: Duration,
    /// Requests to the model that a turn may make for one response to a client.
    pub model_requests: usize,
    /// Bytes of a turn's events that may be queued for a slow client.
    pub turn_buffer_bytes: usize,
}

impl ServerConfig {
    /// The default settings, with this data folder.
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
