//! The state of the account as Codex has reported it so far. Pure.

use serde::{Deserialize, Serialize};

use super::messages;
use super::wire::{AccountUpdated, RateLimitWindow, RateLimits};
use crate::protocol::AccountReadResponse;

/// The used share of a ChatGPT account's rate limits. Empty while Codex has reported nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateLimitUsage {
    /// The short window, usually some hours.
    pub primary: Option<UsageWindow>,
    /// The long window, usually a week.
    pub secondary: Option<UsageWindow>,
}

impl RateLimitUsage {
    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.primary.is_some() || self.secondary.is_some()
    }
}

/// One window of a rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// Percent, from 0 to 100.
    pub used_percent: f64,
    /// The length of the window in minutes.
    pub window_minutes: Option<u64>,
    /// When the window resets, in Unix seconds.
    pub resets_at: Option<u64>,
}

/// Who is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) logged_in: bool,
    /// `apikey`, `chatgpt`, `chatgptAuthTokens`, as in `account/updated`.
    pub(super) auth_mode: Option<String>,
    pub(super) plan: Option<String>,
}

/// The state that Codex has reported.
#[derive(Debug, Default)]
pub(super) struct ReportedAccount {
    login: Option<Login>,
    required: bool,
    allowance: Option<RateLimitUsage>,
}

impl ReportedAccount {
    pub(super) fn login(&self) -> Option<Login> {
        self.login.clone()
    }

    pub(super) fn allowance(&self) -> Option<RateLimitUsage> {
        self.allowance.clone()
    }

    /// Clears the state, as the login has changed and Codex has reported nothing of the new one yet.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Records the result of `account/read`. `external`: the login consists of external tokens.
    pub(super) fn record_read(&mut self, read: &AccountReadResponse, external: bool) {
        let account = read.account.as_ref();
        self.required = read.requires_openai_auth;
        self.login = Some(Login {
            // If no login is required, requests are served without one.
            logged_in: account.is_some() || !read.requires_openai_auth,
            auth_mode: account.map(|account| mode(&account.kind, external)),
            plan: account
                .and_then(|account| account.plan_type.as_deref())
                .and_then(messages::plan),
        });
    }

    pub(super) fn record_update(&mut self, updated: &AccountUpdated) {
        self.login = Some(Login {
            logged_in: updated.auth_mode.is_some() || !self.required,
            auth_mode: updated.auth_mode.as_deref().and_then(messages::plain),
            plan: updated.plan_type.as_deref().and_then(messages::plan),
        });
    }

    /// Records rate limits. A turn reports only the windows of its response, so an absent window stays as it was.
    pub(super) fn record_limits(&mut self, limits: &RateLimits) {
        let allowance = self.allowance.get_or_insert_default();
        if let Some(primary) = &limits.primary {
            allowance.primary = Some(primary.into());
        }
        if let Some(secondary) = &limits.secondary {
            allowance.secondary = Some(secondary.into());
        }
    }
}

/// The mode in the spelling of `account/updated`. `account/read` spells it differently, and has one name for both kinds of
/// ChatGPT login.
fn mode(kind: &str, external: bool) -> String {
    match kind {
        "apiKey" => "apikey".to_owned(),
        "chatgpt" if external => "chatgptAuthTokens".to_owned(),
        other => messages::plain(other).unwrap_or_else(|| "other".to_owned()),
    }
}

impl From<&RateLimitWindow> for UsageWindow {
    fn from(window: &RateLimitWindow) -> Self {
        Self {
            used_percent: window.used_percent,
            window_minutes: window.window_duration_mins,
            resets_at: window.resets_at,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn login_of(read: serde_json::Value, external: bool) -> Login {
        let mut known = ReportedAccount::default();
        known.record_read(&from_value(read).unwrap(), external);
        known.login().unwrap()
    }

    #[test]
    fn every_state_of_codex_is_one_of_ours() {
        let none = login_of(json!({"account": null, "requiresOpenaiAuth": true}), false);
        assert_eq!(none, Login::default());
        let open = login_of(json!({"account": null, "requiresOpenaiAuth": false}), false);
        assert!(open.logged_in && open.auth_mode.is_none());
        let key = json!({"account": {"type": "apiKey"}, "requiresOpenaiAuth": true});
        assert_eq!(login_of(key, false).auth_mode.as_deref(), Some("apikey"));
        let chatgpt = json!({"account": {"type": "chatgpt", "email": "a@b", "planType": "plus"}, "requiresOpenaiAuth": true});
        let own = login_of(chatgpt.clone(), false);
        assert_eq!(
            (own.auth_mode.as_deref(), own.plan.as_deref()),
            (Some("chatgpt"), Some("plus"))
        );
        let theirs = login_of(chatgpt, true);
        assert_eq!(theirs.auth_mode.as_deref(), Some("chatgptAuthTokens"));
    }

    #[test]
    fn windows_stay_until_they_are_replaced() {
        let mut known = ReportedAccount::default();
        let limits = |value| from_value::<RateLimits>(value).unwrap();
        known.record_limits(&limits(json!({"primary": {"usedPercent": 12, "windowDurationMins": 300, "resetsAt": 7}, "secondary": {"usedPercent": 34.5}})));
        known.record_limits(&limits(
            json!({"primary": {"usedPercent": 13}, "secondary": null}),
        ));
        let allowance = known.allowance().unwrap();
        assert_eq!(allowance.primary.unwrap().used_percent, 13.0);
        assert_eq!(allowance.secondary.unwrap().used_percent, 34.5);
    }
}
