//! Codex's error objects.

use serde::Deserialize;

/// The error of a JSON-RPC response. Nearly all have code -32600, so the text matters too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("codex answered error {code}: {message}")]
pub struct RpcError {
    /// -32600 nearly always; -32001 for overload.
    pub code: i64,
    /// The error's text; empty if absent.
    #[serde(default)]
    pub message: String,
}

/// Why a turn failed (`TurnError`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// The error's text; empty if absent.
    #[serde(default)]
    pub message: String,
    /// The kind: a name, or an object with one member of that name.
    pub codex_error_info: Option<serde_json::Value>,
    /// Further text.
    pub additional_details: Option<String>,
}
