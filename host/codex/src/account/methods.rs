//! The ways to sign in, step by step, on a Codex of their own.

use std::time::Duration;

use super::login_process::{LoginProcess, Made};
use super::sign_in::{Reason, SignInError, Teller};
use super::tokens::Tokens;
use super::wire::{LoginStart, LoginStarted};
use super::{Account, STEP, messages};
use airlock_base::clock;
use airlock_base::secrets::Secret;

/// How long Codex waits for somebody to type the code (0.169.0: `device auth timed out after 15 minutes`), and how much
/// longer we wait for it to say so.
const CODE: Duration = Duration::from_secs(15 * 60);
const LATE: Duration = Duration::from_secs(30);

impl Account {
    /// With a code. The page is shown only where it is one of OpenAI's, or of those that the operator lists.
    pub(super) async fn sign_in_by_device(
        &self,
        process: &mut LoginProcess,
        teller: &Teller,
    ) -> Result<Made, SignInError> {
        let requested = clock::unix_ms();
        let start = &LoginStart::ChatgptDeviceCode;
        let started: LoginStarted = process.call("account/login/start", start).await?;
        process.pending = started.login_id;
        if !messages::is_allowed(&started.verification_url, &self.inner.origins) {
            return Err(SignInError::of(Reason::UrlNotAllowed));
        }
        if process.pending.is_none() || !messages::is_user_code(&started.user_code) {
            return Err(SignInError::of(Reason::InvalidResponse));
        }
        let expires = requested / 1000 + CODE.as_secs();
        teller.code(started.verification_url, started.user_code, expires);
        teller.log("waiting until the code is typed and the sign-in is approved");
        process.completed(CODE + LATE).await?;
        let made = process.made().await?;
        let workspaces = &self.inner.workspaces;
        let of_one = made
            .workspace
            .as_ref()
            .is_some_and(|id| workspaces.contains(id));
        if workspaces.is_empty() || of_one {
            return Ok(made);
        }
        Err(SignInError::of(Reason::WorkspaceMismatch))
    }
}

impl LoginProcess {
    /// With a key of the API. Codex does not ask anybody whether it is good.
    pub(super) async fn sign_in_by_key(&mut self, key: &Secret) -> Result<Made, SignInError> {
        let start = LoginStart::ApiKey {
            api_key: key.expose(),
        };
        let _: LoginStarted = self.call("account/login/start", &start).await?;
        self.completed(STEP).await?;
        self.made().await
    }

    /// With tokens from outside, which Codex keeps in its memory alone.
    pub(super) async fn sign_in_by_tokens(
        &mut self,
        tokens: &Tokens,
        workspaces: &[String],
    ) -> Result<Made, SignInError> {
        if !tokens.are_of(workspaces) {
            return Err(SignInError::of(Reason::WorkspaceMismatch));
        }
        let _: LoginStarted = self.call("account/login/start", &tokens.start()).await?;
        self.completed(STEP).await?;
        self.made().await
    }
}

impl Tokens {
    /// What signs Codex in with them.
    pub(super) fn start(&self) -> LoginStart<'_> {
        LoginStart::ChatgptAuthTokens {
            access_token: self.access.expose(),
            chatgpt_account_id: &self.account_id,
            chatgpt_plan_type: self.plan.as_deref(),
        }
    }
}
