//! Signing out: removes the external tokens, or the login, for every gateway and Codex that shares it.

use tokio::sync::{mpsc, oneshot};

use super::Account;
use super::login_process::LoginProcess;
use super::sign_in_error::FailureReason;
use super::sign_in_slot::SlotGuard;
use super::staging::Staging;
use crate::protocol::{Ignored, Nothing};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The result of signing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedOut {
    /// External tokens were dropped, and no more are fetched. A login that was stored before them takes effect again.
    Tokens,
    /// The stored login was removed.
    Login,
    /// The stored login was removed, which another Codex home had shared.
    SharedLogin,
    /// Nobody was signed in.
    Nobody,
}

impl Account {
    /// Signs out, and ends a sign-in that is in progress. Completes even if the future is dropped.
    ///
    /// # Errors
    /// The login cannot be removed.
    pub async fn sign_out(&self) -> Result<SignedOut, Failure> {
        let (done, answer) = oneshot::channel();
        let account = self.clone();
        self.inner.tasks.spawn("sign-out", async move {
            let outcome = match account.inner.slot.take_over(FailureReason::Cancelled).await {
                Some(slot) => account.leave(slot).await,
                None => Err(failed()),
            };
            let _ = done.send(outcome);
        });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }

    async fn leave(&self, _slot: SlotGuard) -> Result<SignedOut, Failure> {
        let (wanted, dropped) = {
            let mut external = self.inner.external.lock();
            (external.is_wanted(), external.clear())
        };
        if dropped {
            tracing::info!("signed out: the external tokens are forgotten");
            self.changed();
            return Ok(SignedOut::Tokens);
        }
        if wanted && self.inner.source.is_configured() {
            // Signing out concerns the tokens that are still to be fetched. It leaves the login that they would replace.
            tracing::info!("signed out: no external tokens are requested any more");
            return Ok(SignedOut::Tokens);
        }
        let home = self.inner.launch.home();
        let login = home.read_login().map_err(|error| failed().because(error))?;
        if login.is_none() {
            return Ok(SignedOut::Nobody);
        }
        self.revoke().await;
        // Codex would remove only the link to a shared login (0.169.0).
        let removed = home.remove_login();
        // A revoked login is useless, even if its file could not be removed.
        self.changed();
        removed.map_err(|error| failed().because(error))?;
        tracing::info!("signed out");
        Ok(match home.shares_login() {
            true => SignedOut::SharedLogin,
            false => SignedOut::Login,
        })
    }

    /// Signs a copy of the login out with Codex, upon which OpenAI revokes its tokens. Best effort: the caller removes the
    /// login in any case.
    async fn revoke(&self) {
        let home = self.inner.launch.home();
        let staging = match Staging::make(home) {
            Ok(staging) => staging,
            Err(error) => return tracing::warn!(%error, "the login is removed, but not revoked"),
        };
        if let Err(error) = staging.put_login(home) {
            tracing::warn!(%error, "the login is removed, but not revoked");
        }
        let mut process = LoginProcess::at(staging);
        let (stderr_lines, _unread) = mpsc::channel(1);
        let leaving = async {
            process.open(&self.inner, stderr_lines).await?;
            process.call::<Ignored>("account/logout", &Nothing {}).await
        };
        if let Err(error) = leaving.await {
            tracing::warn!(reason = ?error.reason, "the login is removed, but maybe not revoked");
        }
        process.close().await;
    }
}

fn failed() -> Failure {
    Failure::new(
        ProblemKind::Internal,
        "logout_failed",
        "the login could not be removed; the gateway's log says why",
    )
}
