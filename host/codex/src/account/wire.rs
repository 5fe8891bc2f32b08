//! The JSON of the account methods that the gateway uses. Names are Codex's own (0.169.0, `generate-json-schema`).

use serde::{Deserialize, Serialize};

/// Parameters of `account/login/start`.
#[derive(Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(super) enum LoginStart<'a> {
    ChatgptDeviceCode,
    ApiKey {
        api_key: &'a str,
    },
    ChatgptAuthTokens {
        access_token: &'a str,
        chatgpt_account_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        chatgpt_plan_type: Option<&'a str>,
    },
}

/// The result of `account/login/start`. Only a device code has members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginStarted {
    #[serde(default)]
    pub(super) login_id: Option<String>,
    #[serde(default)]
    pub(super) verification_url: String,
    #[serde(default)]
    pub(super) user_code: String,
}

/// Parameters of `account/login/cancel`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginCancel<'a> {
    pub(super) login_id: &'a str,
}

/// The notification `account/login/completed`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginCompleted {
    pub(super) login_id: Option<String>,
    pub(super) success: bool,
    pub(super) error: Option<String>,
}

/// The notification `account/updated`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountUpdated {
    pub(super) auth_mode: Option<String>,
    pub(super) plan_type: Option<String>,
}

/// The result of `account/read`, for the workspace.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Workspace {
    pub(super) workspace_routing: Option<WorkspaceRouting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkspaceRouting {
    pub(super) chatgpt_account_id: Option<String>,
}

/// The notification `account/rateLimits/updated`, and the result of `account/rateLimits/read`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimitsMessage {
    pub(super) rate_limits: RateLimits,
}

#[derive(Deserialize)]
pub(super) struct RateLimits {
    pub(super) primary: Option<RateLimitWindow>,
    pub(super) secondary: Option<RateLimitWindow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimitWindow {
    pub(super) used_percent: f64,
    #[serde(default)]
    pub(super) window_duration_mins: Option<u64>,
    #[serde(default)]
    pub(super) resets_at: Option<u64>,
}

/// Parameters of the request `account/chatgptAuthTokens/refresh`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshRequest {
    #[serde(default)]
    pub(super) previous_account_id: Option<String>,
}

/// The result of `account/chatgptAuthTokens/refresh`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refreshed<'a> {
    pub(super) access_token: &'a str,
    pub(super) chatgpt_account_id: &'a str,
    pub(super) chatgpt_plan_type: Option<&'a str>,
}
