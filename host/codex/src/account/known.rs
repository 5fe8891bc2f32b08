//! What Codex has reported of its account so far. Pure.

use serde::{Deserialize, Serialize};

use super::messages;
use super::wire::{AccountUpdated, RateLimitWindow, RateLimits};
use crate::protocol::AccountReadResponse;

/// How much of the account's allowance is used. Of an account whose allowance is not reported there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    /// The short window, mostly of hours.
    pub primary: Option<Window>,
    /// The long one, mostly a week.
    pub secondary: Option<Window>,
}

impl Allowance {
    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.primary.is_some() || self.secondary.is_some()
    }
}

/// One window of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// From 0 to 100.
    pub used_percent: f64,
    /// Its length in minutes.
    pub window_minutes: Option<u64>,
    /// When it begins anew, in Unix seconds.
    pub resets_at: Option<u64>,
}

/// Who is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) logged_in: bool,
    /// `apikey`, `chatgpt`, `chatgptAuthTokens`: as Codex says it in `account/updated`.
    pub(super) auth_mode: Option<String>,
    pub(super) plan: Option<String>,
}

/// What Codex has reported.
#[derive(Debug, Default)]
pub(super) struct Known {
    login: Option<Login>,
    required: bool,
    allowance: Option<Allowance>,
}

impl Known {
    pub(super) fn login(&self) -> Option<Login> {
        self.login.clone()
    }

    pub(super) fn allowance(&self) -> Option<Allowance> {
        self.allowance.clone()
    }

    /// The login is another now, of which nothing is reported yet.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// `external`: the tokens are ours.
    pub(super) fn learn(&mut self, read: &AccountReadResponse, external: bool) {
        let account = read.account.as_ref();
        self.required = read.requires_openai_auth;
        self.login = Some(Login {
            // Where no login is required, requests go through: that is what is asked for.
            logged_in: account.is_some() || !read.requires_openai_auth,
            auth_mode: account.map(|account| mode(&account.kind, external)),
            plan: account
                .and_then(|account| account.plan_type.as_deref())
                .and_then(messages::plan),
        });
    }

    pub(super) fn update(&mut self, updated: &AccountUpdated) {
        self.login = Some(Login {
            logged_in: updated.auth_mode.is_some() || !self.required,
            auth_mode: updated.auth_mode.as_deref().and_then(messages::plain),
            plan: updated.plan_type.as_deref().and_then(messages::plan),
        });
    }

    /// A turn tells only the windows that its response had; none says nothing.
    pub(super) fn limit(&mut self, limits: &RateLimits) {
        let allowance = self.allowance.get_or_insert_default();
        if let Some(primary) = &limits.primary {
            allowance.primary = Some(primary.into());
        }
        if let Some(secondary) = &limits.secondary {
            allowance.secondary = Some(secondary.into());
        }
    }
}

/// `account/read` has another spelling than `account/updated`, and one word for both kinds of ChatGPT login.
fn mode(kind: &str, external: bool) -> String {
    match kind {
        "apiKey" => "apikey".to_owned(),
        "chatgpt" if external => "chatgptAuthTokens".to_owned(),
        other => messages::plain(other).unwrap_or_else(|| "other".to_owned()),
    }
}

impl From<&RateLimitWindow> for Window {
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

    fn learnt(read: serde_json::Value, external: bool) -> Login {
        let mut known = Known::default();
        known.learn(&from_value(read).unwrap(), external);
        known.login().unwrap()
    }

    #[test]
    fn every_state_of_codex_is_one_of_ours() {
        let none = learnt(json!({"account": null, "requiresOpenaiAuth": true}), false);
        assert_eq!(none, Login::default());
        let open = learnt(json!({"account": null, "requiresOpenaiAuth": false}), false);
        assert!(open.logged_in && open.auth_mode.is_none());
        let key = json!({"account": {"type": "apiKey"}, "requiresOpenaiAuth": true});
        assert_eq!(learnt(key, false).auth_mode.as_deref(), Some("apikey"));
        let chatgpt = json!({"account": {"type": "chatgpt", "email": "a@b", "planType": "plus"}, "requiresOpenaiAuth": true});
        let own = learnt(chatgpt.clone(), false);
        assert_eq!(
            (own.auth_mode.as_deref(), own.plan.as_deref()),
            (Some("chatgpt"), Some("plus"))
        );
        let theirs = learnt(chatgpt, true);
        assert_eq!(theirs.auth_mode.as_deref(), Some("chatgptAuthTokens"));
    }

    #[test]
    fn windows_stay_until_others_come() {
        let mut known = Known::default();
        let limits = |value| from_value::<RateLimits>(value).unwrap();
        known.limit(&limits(json!({"primary": {"usedPercent": 12, "windowDurationMins": 300, "resetsAt": 7}, "secondary": {"usedPercent": 34.5}})));
        known.limit(&limits(
            json!({"primary": {"usedPercent": 13}, "secondary": null}),
        ));
        let allowance = known.allowance().unwrap();
        assert_eq!(allowance.primary.unwrap().used_percent, 13.0);
        assert_eq!(allowance.secondary.unwrap().used_percent, 34.5);
    }
}
