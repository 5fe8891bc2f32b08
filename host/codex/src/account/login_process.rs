//! The Codex that one sign-in has for itself, so that those which serve are not disturbed.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::sign_in::{Reason, SignInError};
use super::staging::Staging;
use super::wire::{LoginCancel, LoginCompleted, Workspace};
use super::{Inner, STEP, TokenFault, messages};
use crate::child::{Child, StartError};
use crate::connection::{AccountLine, CallError};
use crate::protocol::{AccountReadResponse, Ignored, Nothing};

/// How long a login may take to be given up, and each of the four steps of ending the child: 2 s are what it has in all.
const CANCEL: Duration = Duration::from_millis(300);
const END: Duration = Duration::from_millis(400);

/// A sign-in's Codex, from before it has started until it has ended.
pub(super) struct LoginProcess {
    pub(super) staging: Staging,
    child: Option<Child>,
    lines: Option<mpsc::Receiver<AccountLine>>,
    /// The login that Codex waits for.
    pub(super) pending: Option<String>,
}

/// What Codex says of a login that it has made.
pub(super) struct Made {
    pub(super) read: AccountReadResponse,
    /// The workspace that it belongs to.
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

    /// Starts Codex. What it mutters goes to `ear`.
    pub(super) async fn open(
        &mut self,
        inner: &Inner,
        ear: mpsc::Sender<String>,
    ) -> Result<(), SignInError> {
        let mut settings = Vec::new();
        if inner.launch.home().custom_provider {
            // One of another name has no account.
            settings.push("model_provider=\"openai\"".to_owned());
        }
        let launch = inner.launch.in_home(self.staging.path(), settings);
        let started =
            Child::start_with_stderr(&launch, inner.bounds, &inner.tasks, Some(ear)).await;
        let child = started.map_err(|error| match error {
            StartError::Stopping => SignInError::of(Reason::Stopping),
            StartError::Unfit(problem) => {
                SignInError::saying(Reason::CodexUnavailable, problem.message)
            }
            error @ (StartError::Spawn(_) | StartError::Initialize(_)) => {
                tracing::warn!(%error, "codex did not start for a sign-in");
                SignInError::of(Reason::CodexUnavailable)
            }
        })?;
        self.lines = Some(child.connection.subscribe_account());
        self.child = Some(child);
        Ok(())
    }

    /// Calls Codex. What it refuses has a reason in its words.
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<R, SignInError> {
        let Some(child) = &self.child else {
            return Err(SignInError::of(Reason::CodexUnavailable));
        };
        match timeout(STEP, child.connection.call(method, params)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(CallError::Refused(refusal))) => Err(SignInError::said(&refusal.message)),
            Ok(Err(CallError::Closed)) => Err(SignInError::of(Reason::CodexUnavailable)),
            Ok(Err(CallError::TimedOut)) | Err(_) => {
                Err(SignInError::of(Reason::NetworkUnreachable))
            }
            Ok(Err(CallError::Malformed(_))) => Err(SignInError::of(Reason::InvalidResponse)),
        }
    }

    /// Waits until Codex says what became of the login that was begun, at most so long.
    pub(super) async fn completed(&mut self, wait: Duration) -> Result<(), SignInError> {
        let completed = match timeout(wait, self.await_completed()).await {
            Ok(Some(completed)) => completed,
            Ok(None) => return Err(SignInError::of(Reason::CodexUnavailable)),
            Err(_) => return Err(SignInError::of(Reason::Expired)),
        };
        self.pending = None;
        match completed.success {
            true => Ok(()),
            false => Err(SignInError::said(
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
                // These tokens are the ones that it shall try.
                let fault = TokenFault::NoSource;
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

    /// Asks Codex whether somebody is signed in now.
    pub(super) async fn made(&self) -> Result<Made, SignInError> {
        let whole: serde_json::Value = self.call("account/read", &Nothing {}).await?;
        let workspace = serde_json::from_value::<Workspace>(whole.clone()).ok();
        let workspace = workspace.and_then(|read| read.workspace_routing?.chatgpt_account_id);
        match serde_json::from_value::<AccountReadResponse>(whole) {
            Ok(read) if read.account.is_some() => Ok(Made { read, workspace }),
            Ok(_) | Err(_) => Err(SignInError::of(Reason::InvalidResponse)),
        }
    }

    /// Ends it all, within 2 s: the login that Codex waits for, Codex, and its home.
    pub(super) async fn close(mut self) {
        if let Some(child) = self.child.take() {
            if let Some(login_id) = self.pending.take() {
                let params = LoginCancel {
                    login_id: &login_id,
                };
                let cancelled = child
                    .connection
                    .call::<Ignored>("account/login/cancel", &params);
                // Its end ends the login too.
                let _ = timeout(CANCEL, cancelled).await;
            }
            child.end_within(END).await;
        }
        self.staging.remove().await;
    }
}

/// What became of a login, where a line says so.
pub(super) fn completed(line: &AccountLine) -> Option<LoginCompleted> {
    match line {
        AccountLine::Notification { method, params } if method == "account/login/completed" => {
            serde_json::from_str(params.get()).ok()
        }
        AccountLine::Notification { .. } | AccountLine::Request { .. } => None,
    }
}

impl SignInError {
    /// What Codex says stands in the way.
    fn said(words: &str) -> Self {
        let mut error = Self::of(messages::reason(words));
        error.codex = Some(words.to_owned()).filter(|words| !words.is_empty());
        error
    }
}
