//! The gateway's server: HTTP, and the life of a request over the policy and Codex.

pub mod config; // its settings
pub mod flow; // a request from its body to its response
pub mod http; // the listener, routes and server-sent events

mod exporter; // Prometheus metrics
