//! Codex's error objects.

use serde::Deserialize;

/// The error of a JSON-RPC response. Nearly all have code -32600, so the message matters too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("codex answered error {code}: {message}")]
pub struct RpcError {
    /// The code: nearly always -32600; -32001 if Codex is overloaded.
    pub code: i64,
    /// The message. Empty if absent.
    #[serde(default)]
    pub message: String,
}

/// Why a turn failed (`TurnError`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// The message. Empty if absent.
    #[serde(default)]
    pub message: String,
    /// The kind of error: a name, or an object with one member of that name.
    pub codex_error_info: Option<serde_json::Value>,
    /// A further message.
    pub additional_details: Option<String>,
}
