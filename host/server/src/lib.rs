//! The server: requests from their body to their response, and the HTTP that carries them.

pub mod config; // its settings
pub mod flow; // a request, from its body to its response
pub mod http; // listener, routes and server-sent events

mod exporter; // Prometheus metrics of everything
