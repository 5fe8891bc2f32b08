//! The types that the crates for Codex, policies and the server share: those of the WIT boundary, and failures.

pub mod events; // batches of turn events
pub mod failure; // an error for the client, with its cause for the log
pub mod offload; // large work, on a thread of its own
pub mod wit; // generated bindings of the boundary
