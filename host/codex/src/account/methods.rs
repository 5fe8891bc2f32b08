//! The steps of each way to sign in, on the sign-in's own Codex process.

use std::time::Duration;

use super::events::EventSender;
use super::login_process::{CompletedLogin, LoginProcess};
use super::sign_in_error::{FailureReason, SignInError};
use super::tokens::ChatGptTokens;
use super::wire::{LoginStart, LoginStarted};
use super::{Account, STEP, messages};
use airlock_base::clock;
use airlock_base::secrets::Secret;

/// How long Codex waits until the code is typed (0.169.0: `device auth timed out after 15 minutes`), and how much longer the
/// gateway waits until Codex reports the timeout.
const CODE: Duration = Duration::from_secs(15 * 60);
const LATE: Duration = Duration::from_secs(30);

impl Account {
    /// Signs in with a device code. The page is shown only if its origin is in `codex.sign_in_origins`.
    pub(super) async fn sign_in_by_device(
        &self,
        process: &mut LoginProcess,
        events: &EventSender,
    ) -> Result<CompletedLogin, SignInError> {
        let requested = clock::unix_ms();
        let start = &LoginStart::ChatgptDeviceCode;
        let started: LoginStarted = process.call("account/login/start", start).await?;
        process.pending = started.login_id;
        if !messages::is_allowed(&started.verification_url, &self.inner.origins) {
            return Err(SignInError::new(FailureReason::UrlNotAllowed));
        }
        if process.pending.is_none() || !messages::is_user_code(&started.user_code) {
            return Err(SignInError::new(FailureReason::InvalidResponse));
        }
        let expires = requested / 1000 + CODE.as_secs();
        events.device_code(started.verification_url, started.user_code, expires);
        events.log("waiting until the code is typed and the sign-in is approved");
        process.completed(CODE + LATE).await?;
        let completed = process.read_account().await?;
        let workspaces = &self.inner.workspaces;
        let of_one = completed
            .workspace
            .as_ref()
            .is_some_and(|id| workspaces.contains(id));
        if workspaces.is_empty() || of_one {
            return Ok(completed);
        }
        Err(SignInError::new(FailureReason::WorkspaceMismatch))
    }
}

impl LoginProcess {
    /// Signs in with an API key. Codex stores it unchecked (0.169.0).
    pub(super) async fn sign_in_by_key(
        &mut self,
        key: &Secret,
    ) -> Result<CompletedLogin, SignInError> {
        let start = LoginStart::ApiKey {
            api_key: key.expose(),
        };
        let _: LoginStarted = self.call("account/login/start", &start).await?;
        self.completed(STEP).await?;
        self.read_account().await
    }

    /// Signs in with external tokens. Codex holds them in memory only.
    pub(super) async fn sign_in_by_tokens(
        &mut self,
        tokens: &ChatGptTokens,
        workspaces: &[String],
    ) -> Result<CompletedLogin, SignInError> {
        if !tokens.are_of(workspaces) {
            return Err(SignInError::new(FailureReason::WorkspaceMismatch));
        }
        let _: LoginStarted = self.call("account/login/start", &tokens.start()).await?;
        self.completed(STEP).await?;
        self.read_account().await
    }
}

impl ChatGptTokens {
    /// The parameters that sign Codex in with these tokens.
    pub(super) fn start(&self) -> LoginStart<'_> {
        LoginStart::ChatgptAuthTokens {
            access_token: self.access.expose(),
            chatgpt_account_id: &self.account_id,
            chatgpt_plan_type: self.plan.as_deref(),
        }
    }
}
