//! Where fresh ChatGPT tokens come from: a command or a URL of the operator's. One answer serves all who ask at once.

mod fetch; // a command, a URL

use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use self::fetch::Means;
use super::tokens::{Epoch, Given, Tokens};
use super::{Account, lock};
use crate::config::CodexConfig;

/// The source of one home.
#[derive(Debug)]
pub(super) struct Source {
    means: Means,
    /// Below the 10 s that Codex itself waits (0.169.0).
    wait: Duration,
    /// Whoever asks has it; all others wait, and have what that one got.
    flight: tokio::sync::Mutex<()>,
    failed: Mutex<Option<(Instant, TokenFault)>>,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Nothing is configured that could renew it.
    #[error("no codex.token_command or codex.token_url is configured")]
    NoSource,
    /// It took too long.
    #[error("the token command or URL did not answer in time")]
    TimedOut,
    /// It failed.
    #[error("the token command or URL failed")]
    Failed,
    /// It answered something else.
    #[error("the token command or URL answered with something that is no token")]
    Malformed,
    /// The token is of another workspace than the configured one.
    #[error("the new token is not of the configured workspace")]
    Workspace,
    /// The token is of another account than the one before: a child cannot change it (0.169.0).
    #[error("the new token is of another account than the one before")]
    Account,
    /// Somebody has signed out, or in with something else, while it was asked for.
    #[error("somebody has signed out, or in with something else")]
    Overtaken,
}

impl TokenFault {
    const ALL: [Self; 7] = [
        Self::NoSource,
        Self::TimedOut,
        Self::Failed,
        Self::Malformed,
        Self::Workspace,
        Self::Account,
        Self::Overtaken,
    ];

    /// The number under which Codex hears of it. Of an error it tells the number alone (0.169.0).
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::NoSource => -32010,
            Self::TimedOut => -32011,
            Self::Failed => -32012,
            Self::Malformed => -32013,
            Self::Workspace => -32014,
            Self::Account => -32015,
            Self::Overtaken => -32016,
        }
    }

    /// The fault of this number. Whatever else is a failure.
    pub(crate) fn of_code(code: i64) -> Self {
        let found = Self::ALL.into_iter().find(|fault| fault.code() == code);
        found.unwrap_or(Self::Failed)
    }

    /// What a client may know of it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NoSource => "it has no way to; the operator must sign in again",
            Self::TimedOut => "what gives new ones did not answer in time",
            Self::Failed => "what gives new ones failed",
            Self::Malformed => "what gives new ones answered with something else",
            Self::Workspace => "the new one is not of the configured workspace",
            Self::Account => "the new one is of another account; the operator must sign in again",
            Self::Overtaken => "the operator has signed out, or in with another account",
        }
    }
}

/// What a command prints, and a URL answers: Codex's spelling, or the same in snake case.
#[derive(Deserialize)]
struct Printed {
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

impl Source {
    pub(super) fn new(config: &CodexConfig, rehearsal: bool) -> Self {
        Self {
            means: match rehearsal {
                true => Means::None,
                false => Means::of(config),
            },
            wait: config.token_timeout,
            flight: tokio::sync::Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.means, Means::None)
    }

    /// Why asking failed, the last time that it did.
    pub(super) fn fault(&self) -> Option<TokenFault> {
        lock(&self.failed).map(|(_, fault)| fault)
    }

    async fn get(&self, previous: Option<&str>, until: Instant) -> Result<Tokens, TokenFault> {
        let printed = timeout_at(until, self.means.ask(previous)).await;
        let printed = printed.map_err(|_| TokenFault::TimedOut)??;
        let printed: Printed =
            serde_json::from_slice(&printed).map_err(|_| TokenFault::Malformed)?;
        let (account, plan) = (printed.account_id.as_deref(), printed.plan_type.as_deref());
        Tokens::new(&printed.access_token, account, plan).map_err(|fault| {
            tracing::warn!(fault = fault.message, "tokens that cannot be used");
            TokenFault::Malformed
        })
    }
}

impl Account {
    /// A token for a child that was refused with the one of number `serial`, or has none: 0. `previous` is the account
    /// of that one. Takes no longer than the source may. Whoever signs out or in meanwhile has the last word.
    pub(super) async fn fresh(
        &self,
        previous: Option<&str>,
        serial: u64,
    ) -> Result<Given, TokenFault> {
        let source = &self.inner.source;
        let began = Instant::now();
        let until = began + source.wait;
        let flight = timeout_at(until, source.flight.lock()).await;
        let _flight = flight.map_err(|_| TokenFault::TimedOut)?;
        // What came while we waited is as good for us.
        let epoch = match self.newer_or_epoch(previous, serial)? {
            Ok(given) => return Ok(given),
            Err(epoch) => epoch,
        };
        let failed = *lock(&source.failed);
        if let Some((_, fault)) = failed.filter(|(when, _)| *when > began) {
            return Err(fault);
        }
        let got = source.get(previous, until).await.and_then(|tokens| {
            if !tokens.are_of(&self.inner.workspaces) {
                return Err(TokenFault::Workspace);
            }
            match previous.is_some_and(|previous| previous != tokens.account_id) {
                true => Err(TokenFault::Account),
                false => Ok(tokens),
            }
        });
        match got {
            Ok(tokens) => {
                let given = lock(&self.inner.external).renew(epoch, tokens);
                match given {
                    Some(given) => Ok(given),
                    // Those of a sign-in serve, where they are of the same account.
                    None => self
                        .newer_or_epoch(previous, serial)?
                        .map_err(|_| TokenFault::Overtaken),
                }
            }
            Err(fault) => {
                *lock(&source.failed) = Some((Instant::now(), fault));
                Err(fault)
            }
        }
    }

    /// The token that a child has not tried, or else what there is now, for which one may be asked for.
    fn newer_or_epoch(
        &self,
        previous: Option<&str>,
        serial: u64,
    ) -> Result<Result<Given, Epoch>, TokenFault> {
        let external = lock(&self.inner.external);
        if external.are_of_another(previous) {
            return Err(TokenFault::Account);
        }
        Ok(external.newer_than(serial).ok_or(external.epoch()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_number_of_its_own() {
        for fault in TokenFault::ALL {
            assert_eq!(TokenFault::of_code(fault.code()), fault);
        }
        assert_eq!(TokenFault::of_code(-32601), TokenFault::Failed);
    }

    #[test]
    fn both_spellings_are_read() {
        for text in [
            r#"{"accessToken": "a", "chatgptAccountId": "b", "chatgptPlanType": "c"}"#,
            r#"{"access_token": "a", "chatgpt_account_id": "b", "chatgpt_plan_type": "c"}"#,
            r#"{"access_token": "a", "account_id": "b", "plan_type": "c", "expires_in": 1}"#,
        ] {
            let read: Result<Printed, _> = serde_json::from_str(text);
            let read = read.map(|it| (it.access_token, it.account_id, it.plan_type));
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(read.ok(), Some(("a".to_owned(), some("b"), some("c"))));
        }
    }
}
