//! The formats on both sides of the gateway: decodes the lines of Codex, and encodes the frames for clients.
//!
//! Each delta of each answer passes through this crate. It depends on neither sandbox nor sockets, so that `make counts` can
//! count its instructions.

pub mod decode; // lines of Codex's stdout
pub mod sse; // frames as server-sent events
