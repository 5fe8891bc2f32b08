//! Signing out: removes the login, or the external tokens, for every gateway and Codex that shares them.

use tokio::sync::{mpsc, oneshot};

use super::login_process::LoginProcess;
use super::sign_in_error::FailureReason;
use super::sign_in_slot::SlotGuard;
use super::staging::Staging;
use super::{Account, lock};
use crate::protocol::{Ignored, Nothing};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// What signing out did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedOut {
    /// External tokens are dropped, and no more are fetched. A login that was stored before them takes effect again.
    Tokens,
    /// The stored login is removed.
    Login,
    /// The stored login is removed, and with it that of another Codex home.
    SharedLogin,
    /// Nobody was signed in.
    Nobody,
}

impl Account {
    /// Signs out, and ends a sign-in that is in progress. Runs to its end even if the future is dropped.
    ///
    /// # Errors
    /// The login cannot be removed.
    pub async fn sign_out(&self) -> Result<SignedOut, Failure> {
        let (done, answer) = oneshot::channel();
        let account = self.clone();
        self.inner.tasks.spawn("sign-out", async move {
            let outcome = match account.inner.slot.take_over(FailureReason::Cancelled).await {
                Some(place) => account.leave(place).await,
                None => Err(failed()),
            };
            let _ = done.send(outcome);
        });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }

    async fn leave(&self, _place: SlotGuard) -> Result<SignedOut, Failure> {
        let (wanted, dropped) = {
            let mut external = lock(&self.inner.external);
            (external.is_wanted(), external.clear())
        };
        if dropped {
            tracing::info!("signed out: the external tokens are forgotten");
            self.changed();
            return Ok(SignedOut::Tokens);
        }
        if wanted && self.inner.source.is_configured() {
            // Signing out refers to the tokens that are still to be fetched, and leaves the login that they would replace.
            tracing::info!("signed out: no external tokens are requested any more");
            return Ok(SignedOut::Tokens);
        }
        let home = self.inner.launch.home();
        let login = home.read_login().map_err(|error| failed().because(error))?;
        if login.is_none() {
            return Ok(SignedOut::Nobody);
        }
        self.revoke().await;
        // Codex would remove the link of a login that is shared, and leave the login (0.169.0).
        let removed = home.remove_login();
        // A revoked login is useless, whether its file could be removed or not.
        self.changed();
        removed.map_err(|error| failed().because(error))?;
        tracing::info!("signed out");
        Ok(match home.shares_login() {
            true => SignedOut::SharedLogin,
            false => SignedOut::Login,
        })
    }

    /// Signs a copy of the login out with Codex, upon which OpenAI revokes its tokens. Best effort: the login is removed in
    /// any case.
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
