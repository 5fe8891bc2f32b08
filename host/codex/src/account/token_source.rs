//! The source of fresh ChatGPT tokens: the operator's command or URL. Concurrent requests share one fetch.

mod fetch; // running the command, or requesting the URL

use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use self::fetch::FetchMethod;
use super::Account;
use super::tokens::{ChatGptTokens, Epoch, StoredTokens};
use crate::config::CodexConfig;
use crate::token_error::TokenError;

/// The token source of one home.
#[derive(Debug)]
pub(super) struct TokenSource {
    method: FetchMethod,
    /// `codex.token_timeout`. Codex itself waits 10 s (0.169.0).
    wait: Duration,
    /// Held during a fetch; the others wait for its result.
    in_flight: tokio::sync::Mutex<()>,
    /// When the last fetch failed, and why.
    failed: Mutex<Option<(Instant, TokenError)>>,
}

/// The output of the command, or the body of the URL's response. Names are spelt as in Codex, or in snake case.
#[derive(Deserialize)]
struct TokenResponse {
    #[serde(rename = "accessToken", alias = "access_token")]
    access_token: String,
    #[serde(
        default,
        rename = "chatgptAccountId",
        alias = "chatgpt_account_id",
        alias = "account_id"
    )]
    account_id: Option<String>,
    #[serde(
        default,
        rename = "chatgptPlanType",
        alias = "chatgpt_plan_type",
        alias = "plan_type"
    )]
    plan_type: Option<String>,
}

impl TokenSource {
    pub(super) fn new(config: &CodexConfig, rehearsal: bool) -> Self {
        Self {
            method: match rehearsal {
                true => FetchMethod::None,
                false => FetchMethod::of(config),
            },
            wait: config.token_timeout,
            in_flight: tokio::sync::Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Whether a source is configured.
    pub(super) fn is_configured(&self) -> bool {
        !matches!(self.method, FetchMethod::None)
    }

    /// The error of the last fetch that failed.
    pub(super) fn last_error(&self) -> Option<TokenError> {
        self.failed.lock().map(|(_, fault)| fault)
    }

    async fn get(
        &self,
        previous: Option<&str>,
        until: Instant,
    ) -> Result<ChatGptTokens, TokenError> {
        let printed = timeout_at(until, self.method.fetch(previous)).await;
        let printed = printed.map_err(|_| TokenError::TimedOut)??;
        let printed: TokenResponse =
            serde_json::from_slice(&printed).map_err(|_| TokenError::Malformed)?;
        let (account, plan) = (printed.account_id.as_deref(), printed.plan_type.as_deref());
        ChatGptTokens::new(&printed.access_token, account, plan).map_err(|fault| {
            tracing::warn!(fault = fault.message, "tokens that cannot be used");
            TokenError::Malformed
        })
    }
}

impl Account {
    /// A fresh token for a child. OpenAI has refused the child's token with this serial number, which was of the account
    /// `previous`; 0: the child has none. Waits up to `codex.token_timeout`. A sign-out or sign-in in the meantime takes
    /// precedence.
    ///
    /// # Errors
    /// Why there is no token.
    pub(super) async fn fresh(
        &self,
        previous: Option<&str>,
        serial: u64,
    ) -> Result<StoredTokens, TokenError> {
        let source = &self.inner.source;
        let began = Instant::now();
        let until = began + source.wait;
        let flight = timeout_at(until, source.in_flight.lock()).await;
        let _flight = flight.map_err(|_| TokenError::TimedOut)?;
        // A token that arrived during the wait will do.
        let epoch = match self.newer_or_epoch(previous, serial)? {
            Ok(given) => return Ok(given),
            Err(epoch) => epoch,
        };
        let failed = *source.failed.lock();
        if let Some((_, fault)) = failed.filter(|(when, _)| *when > began) {
            return Err(fault);
        }
        let got = source.get(previous, until).await.and_then(|tokens| {
            if !tokens.are_of(&self.inner.workspaces) {
                return Err(TokenError::Workspace);
            }
            match previous.is_some_and(|previous| previous != tokens.account_id) {
                true => Err(TokenError::Account),
                false => Ok(tokens),
            }
        });
        match got {
            Ok(tokens) => {
                let given = self.inner.external.lock().store_fetched(epoch, tokens);
                match given {
                    Some(given) => Ok(given),
                    // Tokens of a sign-in will do, if they are of the same account.
                    None => self
                        .newer_or_epoch(previous, serial)?
                        .map_err(|_| TokenError::Overtaken),
                }
            }
            Err(fault) => {
                *source.failed.lock() = Some((Instant::now(), fault));
                Err(fault)
            }
        }
    }

    /// A token that the child has not tried, or else the epoch at which a fetch may be made.
    fn newer_or_epoch(
        &self,
        previous: Option<&str>,
        serial: u64,
    ) -> Result<Result<StoredTokens, Epoch>, TokenError> {
        let external = self.inner.external.lock();
        if external.are_of_another(previous) {
            return Err(TokenError::Account);
        }
        Ok(external.newer_than(serial).ok_or(external.epoch()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        for text in [
            r#"{"accessToken": "a", "chatgptAccountId": "b", "chatgptPlanType": "c"}"#,
            r#"{"access_token": "a", "chatgpt_account_id": "b", "chatgpt_plan_type": "c"}"#,
            r#"{"access_token": "a", "account_id": "b", "plan_type": "c", "expires_in": 1}"#,
        ] {
            let read: Result<TokenResponse, _> = serde_json::from_str(text);
            let read = read.map(|it| (it.access_token, it.account_id, it.plan_type));
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(read.ok(), Some(("a".to_owned(), some("b"), some("c"))));
        }
    }
}
