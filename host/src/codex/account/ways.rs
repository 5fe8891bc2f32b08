//! The ways to sign in, step by step, on a Codex of their own.

use std::time::Duration;

use super::desk::{Desk, Made};
use super::flow::{Reason, Teller, Trouble};
use super::tokens::Tokens;
use super::wire::{LoginStart, LoginStarted};
use super::{Account, STEP, words};
use crate::clock;
use crate::config::Secret;

/// How long Codex waits for somebody to type the code (0.169.0: `device auth timed out after 15 minutes`), and how much
/// longer we wait for it to say so.
const CODE: Duration = Duration::from_secs(15 * 60);
const LATE: Duration = Duration::from_secs(30);

impl Account {
    /// With a code. The page is shown only where it is one of OpenAI's, or of those that the operator lists.
    pub(super) async fn sign_in_by_device(
        &self,
        desk: &mut Desk,
        teller: &Teller,
    ) -> Result<Made, Trouble> {
        let asked = clock::unix_ms();
        let start = &LoginStart::ChatgptDeviceCode;
        let started: LoginStarted = desk.call("account/login/start", start).await?;
        desk.pending = started.login_id;
        if !words::is_allowed(&started.verification_url, &self.inner.origins) {
            return Err(Trouble::of(Reason::UrlNotAllowed));
        }
        if desk.pending.is_none() || !words::is_user_code(&started.user_code) {
            return Err(Trouble::of(Reason::InvalidResponse));
        }
        let expires = asked / 1000 + CODE.as_secs();
        teller.code(started.verification_url, started.user_code, expires);
        teller.log("waiting until the code is typed and the sign-in is approved");
        desk.completed(CODE + LATE).await?;
        let made = desk.made().await?;
        let workspaces = &self.inner.workspaces;
        let of_one = made
            .workspace
            .as_ref()
            .is_some_and(|id| workspaces.contains(id));
        if workspaces.is_empty() || of_one {
            return Ok(made);
        }
        Err(Trouble::of(Reason::WorkspaceMismatch))
    }
}

impl Desk {
    /// With a key of the API. Codex does not ask anybody whether it is good.
    pub(super) async fn sign_in_by_key(&mut self, key: &Secret) -> Result<Made, Trouble> {
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
    ) -> Result<Made, Trouble> {
        if !tokens.are_of(workspaces) {
            return Err(Trouble::of(Reason::WorkspaceMismatch));
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
