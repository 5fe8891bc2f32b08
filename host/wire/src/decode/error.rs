//! What Codex fails with, in its own shapes.

use serde::Deserialize;

/// An error that Codex answered with. Almost all carry -32600, so the text matters too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("codex answered error {code}: {message}")]
pub struct RpcError {
    /// -32600 for nearly everything, -32001 for overload.
    pub code: i64,
    /// What it says of it; empty where it says nothing.
    #[serde(default)]
    pub message: String,
}

/// Why a turn failed (`TurnError`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// In words.
    #[serde(default)]
    pub message: String,
    /// Its kind: a name, or an object with one member of that name.
    pub codex_error_info: Option<serde_json::Value>,
    /// More words.
    pub additional_details: Option<String>,
}
