//! The error of a JSON-RPC call to Codex.

use airlock_wire::decode::RpcError;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The child has exited.
    #[error("the connection to codex is closed")]
    Closed,
    /// There was no response within the call timeout.
    #[error("codex did not answer in time")]
    TimedOut,
    /// Codex responded with an error.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// The response has an unknown shape, or the call cannot be encoded.
    #[error("codex answered something unexpected")]
    Malformed(#[source] serde_json::Error),
}
