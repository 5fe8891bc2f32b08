//! The formats on either side of the gateway: the lines of Codex are decoded, and the frames for clients encoded.
//!
//! Each delta of each answer passes through this crate. It depends on neither sandbox nor sockets, so `make counts` can
//! count its instructions.

pub mod decode; // lines of Codex's stdout
pub mod sse; // frames as server-sent events
