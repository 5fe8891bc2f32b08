//! The reasons for which a sign-in fails, and their messages for people.

use serde::{Deserialize, Serialize};

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The person or OpenAI refused it.
    Denied,
    /// Nobody typed the code in time.
    Expired,
    /// OpenAI's sign-in servers cannot be reached, or fail.
    NetworkUnreachable,
    /// There were too many sign-ins.
    TooMany,
    /// The page is of an origin that is not on the list.
    UrlNotAllowed,
    /// The account does not belong to the configured workspace.
    WorkspaceMismatch,
    /// The home's settings forbid this method (`forced_login_method`).
    NotAllowed,
    /// The issuer has no device codes.
    NotEnabled,
    /// Codex is signed in with external tokens.
    ExternalTokensActive,
    /// Another sign-in took over.
    TakenOver,
    /// The sign-in was cancelled.
    Cancelled,
    /// The gateway stops.
    Stopping,
    /// Codex cannot be started, or it exited.
    CodexUnavailable,
    /// The login cannot be written.
    HomeUnwritable,
    /// Codex sent an unknown response.
    InvalidResponse,
    /// Something else.
    Failed,
}

impl FailureReason {
    /// The message for people, with the remedy.
    pub fn message(self) -> &'static str {
        match self {
            Self::Denied => {
                "the sign-in was refused; start it again, and approve it in the browser"
            }
            Self::Expired => "the code has expired before it was used; start again",
            Self::NetworkUnreachable => {
                "OpenAI's sign-in servers cannot be reached, or fail; check the gateway's network and proxy, then try again"
            }
            Self::TooMany => "there were too many sign-ins; wait a few minutes",
            Self::UrlNotAllowed => {
                "the page to sign in on is not of an origin in codex.sign_in_origins, so it is not shown; check that setting and CODEX_APP_SERVER_LOGIN_ISSUER"
            }
            Self::WorkspaceMismatch => {
                "the account is not of the workspace that this gateway is configured for; choose that workspace when you sign in, or change codex.workspace"
            }
            Self::NotAllowed => {
                "the Codex settings of this gateway forbid this way to sign in (forced_login_method); use the other"
            }
            Self::NotEnabled => {
                "device codes are not enabled for this account or server; enable them in ChatGPT's security settings, or use an API key"
            }
            Self::ExternalTokensActive => {
                "Codex is signed in with external tokens; sign out first (`airlock logout`)"
            }
            Self::TakenOver => "another sign-in took the place of this one",
            Self::Cancelled => "the sign-in was cancelled",
            Self::Stopping => "the gateway stops; sign in once it runs again",
            Self::CodexUnavailable => {
                "Codex does not run here; `airlock doctor` says why, and `airlock codex install` installs it"
            }
            Self::HomeUnwritable => {
                "the login cannot be written; the gateway's log says to where and why"
            }
            Self::InvalidResponse => {
                "Codex or the sign-in server answered in a way that this gateway does not know"
            }
            Self::Failed => "the sign-in failed; try again, and see the gateway's log",
        }
    }
}

/// The error of a sign-in.
#[derive(Debug)]
pub(super) struct SignInError {
    pub(super) reason: FailureReason,
    pub(super) message: Option<String>,
    /// Codex's own message, verbatim.
    pub(super) codex: Option<String>,
}

impl SignInError {
    pub(super) fn new(reason: FailureReason) -> Self {
        Self {
            reason,
            message: None,
            codex: None,
        }
    }

    /// An error with this message for clients in place of the reason's own.
    pub(super) fn with_message(reason: FailureReason, message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::new(reason)
        }
    }
}
