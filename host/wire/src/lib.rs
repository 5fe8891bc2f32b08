//! The bytes on either side of the gateway: lines of Codex's, and frames for clients.
//!
//! Each delta of each answer passes here, so it is apart from the rest: it knows neither sandbox nor sockets, and what
//! it costs can be counted to the instruction.

pub mod decode; // a line of Codex's stdout
pub mod sse; // frames as server-sent events
