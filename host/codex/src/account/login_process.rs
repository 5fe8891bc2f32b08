//! The Codex process of one sign-in. It is not one of the fleet's children.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::sign_in_error::{FailureReason, SignInError};
use super::staging::Staging;
use super::wire::{LoginCancel, LoginCompleted, Workspace};
use super::{AccountState, STEP, messages};
use crate::call_error::CallError;
use crate::child::{Child, ChildStartError};
use crate::connection::AccountLine;
use crate::protocol::{AccountReadResponse, Ignored, Nothing};
use crate::token_error::TokenError;

/// Deadlines: to cancel the pending login, and for each of the four steps that end the process. 1.9 s in total.
const CANCEL: Duration = Duration::from_millis(300);
const END: Duration = Duration::from_millis(400);

/// The process of one sign-in. It may not have been started yet.
pub(super) struct LoginProcess {
    pub(super) staging: Staging,
    child: Option<Child>,
    lines: Option<mpsc::Receiver<AccountLine>>,
    /// The id of the login that Codex waits for.
    pub(super) pending: Option<String>,
}

/// A completed login, as Codex reports it.
pub(super) struct CompletedLogin {
    pub(super) read: AccountReadResponse,
    /// The workspace that the login belongs to.
    pub(super) workspace: Option<String>,
}

impl LoginProcess {
    pub(super) fn at(staging: Staging) -> Self {
        Self {
            staging,
            child: None,
            lines: None,
            pending: None,
        }
    }

    /// Starts Codex. Lines of its stderr go to `stderr_lines`.
    pub(super) async fn open(
        &mut self,
        inner: &AccountState,
        stderr_lines: mpsc::Sender<String>,
    ) -> Result<(), SignInError> {
        let mut settings = Vec::new();
        if inner.launch.home().custom_provider {
            // A custom provider of the home has no account.
            settings.push("model_provider=\"openai\"".to_owned());
        }
        let launch = inner.launch.in_home(self.staging.path(), settings);
        let started =
            Child::start_with_stderr(&launch, inner.limits, &inner.tasks, Some(stderr_lines)).await;
        let child = started.map_err(|error| match error {
            ChildStartError::Stopping => SignInError::new(FailureReason::Stopping),
            ChildStartError::NoBinary(problem) => {
                SignInError::with_message(FailureReason::CodexUnavailable, problem.message)
            }
            error @ (ChildStartError::Spawn(_) | ChildStartError::Initialize(_)) => {
                tracing::warn!(%error, "codex did not start for a sign-in");
                SignInError::new(FailureReason::CodexUnavailable)
            }
        })?;
        self.lines = Some(child.connection.subscribe_account());
        self.child = Some(child);
        Ok(())
    }

    /// Calls Codex. The reason of a refusal is derived from its message.
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<R, SignInError> {
        let Some(child) = &self.child else {
            return Err(SignInError::new(FailureReason::CodexUnavailable));
        };
        match timeout(STEP, child.connection.call(method, params)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(CallError::Refused(refusal))) => Err(SignInError::from_codex(&refusal.message)),
            Ok(Err(CallError::Closed)) => Err(SignInError::new(FailureReason::CodexUnavailable)),
            Ok(Err(CallError::TimedOut)) | Err(_) => {
                Err(SignInError::new(FailureReason::NetworkUnreachable))
            }
            Ok(Err(CallError::Malformed(_))) => {
                Err(SignInError::new(FailureReason::InvalidResponse))
            }
        }
    }

    /// Waits until Codex reports that the pending login has completed or failed, at most for `wait`.
    pub(super) async fn completed(&mut self, wait: Duration) -> Result<(), SignInError> {
        let completed = match timeout(wait, self.await_completed()).await {
            Ok(Some(completed)) => completed,
            Ok(None) => return Err(SignInError::new(FailureReason::CodexUnavailable)),
            Err(_) => return Err(SignInError::new(FailureReason::Expired)),
        };
        self.pending = None;
        match completed.success {
            true => Ok(()),
            false => Err(SignInError::from_codex(
                completed.error.as_deref().unwrap_or_default(),
            )),
        }
    }

    async fn await_completed(&mut self) -> Option<LoginCompleted> {
        let (child, lines) = (self.child.as_ref()?, self.lines.as_mut()?);
        loop {
            let line = tokio::select! {
                line = lines.recv() => line?,
                () = child.connection.closed() => return None,
            };
            if let AccountLine::Request { id, .. } = &line {
                // The sign-in tries the client's tokens, so the child gets no others.
                let fault = TokenError::NoSource;
                let refused = child.connection.refuse(id, fault.code(), fault.message());
                let _ = refused.await;
                continue;
            }
            let completed = completed(&line);
            if let Some(completed) = completed.filter(|it| it.login_id == self.pending) {
                return Some(completed);
            }
        }
    }

    /// Reads the account that is signed in now.
    pub(super) async fn read_account(&self) -> Result<CompletedLogin, SignInError> {
        let whole: serde_json::Value = self.call("account/read", &Nothing {}).await?;
        let workspace = serde_json::from_value::<Workspace>(whole.clone()).ok();
        let workspace = workspace.and_then(|read| read.workspace_routing?.chatgpt_account_id);
        match serde_json::from_value::<AccountReadResponse>(whole) {
            Ok(read) if read.account.is_some() => Ok(CompletedLogin { read, workspace }),
            Ok(_) | Err(_) => Err(SignInError::new(FailureReason::InvalidResponse)),
        }
    }

    /// Cancels the pending login, ends Codex, and removes its home, within 2 s.
    pub(super) async fn close(mut self) {
        if let Some(child) = self.child.take() {
            if let Some(login_id) = self.pending.take() {
                let params = LoginCancel {
                    login_id: &login_id,
                };
                let cancelled = child
                    .connection
                    .call::<Ignored>("account/login/cancel", &params);
                // Ending the process ends the login too.
                let _ = timeout(CANCEL, cancelled).await;
            }
            child.end_within(END).await;
        }
        self.staging.remove().await;
    }
}

/// The notification `account/login/completed`, if the line is one.
pub(super) fn completed(line: &AccountLine) -> Option<LoginCompleted> {
    match line {
        AccountLine::Notification { method, params } if method == "account/login/completed" => {
            serde_json::from_str(params.get()).ok()
        }
        AccountLine::Notification { .. } | AccountLine::Request { .. } => None,
    }
}

impl SignInError {
    /// The error for a message of Codex.
    fn from_codex(message: &str) -> Self {
        let mut error = Self::new(messages::reason(message));
        error.codex = Some(message.to_owned()).filter(|message| !message.is_empty());
        error
    }
}
