//! One sign-in, from its first event to its last. Dropping its stream cancels the sign-in at any stage and ends its process.

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Account;
use super::events::{EVENTS, EventSender, SignInEvent};
use super::login_process::LoginProcess;
use super::request::SignInRequest;
use super::sign_in_error::{FailureReason, SignInError};
use super::sign_in_slot::SlotGuard;
use super::staging::Staging;
use crate::stderr;

/// Part of the warning that Codex prints at each start on a machine where it cannot sandbox commands. A sign-in runs none.
const NOISE: &str = "bubblewrap";

/// Why a sign-in is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInRefusal {
    /// Another sign-in is in progress.
    InProgress,
    /// Codex is signed in with external tokens.
    ExternalTokens,
    /// The gateway rehearses: a scripted model answers, without a login.
    Rehearsal,
}

/// The events of a sign-in that is in progress. Dropping the stream cancels the sign-in.
#[derive(Debug)]
pub struct SignInStream {
    events: mpsc::Receiver<SignInEvent>,
    _cancel_on_drop: DropGuard,
}

impl SignInStream {
    /// The next event. None: the last one was `Done` or `Error`.
    pub async fn next(&mut self) -> Option<SignInEvent> {
        self.events.recv().await
    }
}

impl Account {
    /// Begins a sign-in. With `takeover`, a sign-in that is in progress is ended first.
    ///
    /// # Errors
    /// Why the sign-in is refused.
    pub async fn sign_in(
        &self,
        request: SignInRequest,
        takeover: bool,
    ) -> Result<SignInStream, SignInRefusal> {
        let inner = &self.inner;
        if inner.rehearsal {
            return Err(SignInRefusal::Rehearsal);
        }
        // Codex itself refuses this only in the child that has the tokens (0.169.0).
        if !matches!(request, SignInRequest::Tokens(_)) && inner.external.lock().is_active() {
            return Err(SignInRefusal::ExternalTokens);
        }
        let slot = match takeover {
            true => inner.slot.take_over(FailureReason::TakenOver).await,
            false => inner.slot.try_take(),
        };
        let slot = slot.ok_or(SignInRefusal::InProgress)?;
        let (sender, events) = mpsc::channel(EVENTS);
        let left = CancellationToken::new();
        let stream = SignInStream {
            events,
            _cancel_on_drop: left.clone().drop_guard(),
        };
        let account = self.clone();
        inner.tasks.spawn("sign-in", async move {
            let events = EventSender::new(sender, &request);
            account.run(request, slot, left, events).await;
        });
        Ok(stream)
    }

    /// Ends the sign-in that is in progress. False: there is none.
    pub async fn cancel_sign_in(&self) -> bool {
        self.inner.slot.end(FailureReason::Cancelled).await
    }

    /// Ends the sign-in that is in progress because the gateway stops.
    pub async fn stop(&self) {
        self.inner.slot.end(FailureReason::Stopping).await;
    }

    async fn run(
        self,
        request: SignInRequest,
        mut slot: SlotGuard,
        left: CancellationToken,
        events: EventSender,
    ) {
        let outcome = match Staging::make(self.inner.launch.home()) {
            Ok(staging) => {
                let mut process = LoginProcess::at(staging);
                let outcome = {
                    let (stderr_lines, mut stderr_reader) = mpsc::channel(EVENTS);
                    let signing = self.sign(&mut process, &request, &events, stderr_lines);
                    let reporting = async {
                        while let Some(line) = stderr_reader.recv().await {
                            // Lines of Codex's log are in the gateway's log already.
                            if !line.contains(NOISE) && !stderr::is_log_line(&line) {
                                events.log(&line);
                            }
                        }
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        biased;
                        reason = slot.stopped() => Err(SignInError::new(reason)),
                        () = left.cancelled() => Err(SignInError::new(FailureReason::Cancelled)),
                        () = self.inner.tasks.stopping() => Err(SignInError::new(FailureReason::Stopping)),
                        outcome = signing => outcome,
                        () = reporting => Err(SignInError::new(FailureReason::Failed)),
                    }
                };
                process.close().await;
                outcome
            }
            Err(error) => {
                tracing::error!(%error, "the folder of a sign-in cannot be created");
                Err(SignInError::new(FailureReason::HomeUnwritable))
            }
        };
        // The slot is free before the last event, upon which the client may begin another sign-in.
        drop(slot);
        events.finish(outcome);
    }

    async fn sign(
        &self,
        process: &mut LoginProcess,
        request: &SignInRequest,
        events: &EventSender,
        stderr_lines: mpsc::Sender<String>,
    ) -> Result<SignInEvent, SignInError> {
        process.open(&self.inner, stderr_lines).await?;
        let completed = match request {
            SignInRequest::DeviceCode => self.sign_in_by_device(process, events).await?,
            SignInRequest::ApiKey(key) => process.sign_in_by_key(key).await?,
            SignInRequest::Tokens(tokens) => {
                process
                    .sign_in_by_tokens(tokens, &self.inner.workspaces)
                    .await?
            }
        };
        // Nothing is awaited from here on, so the sign-in cannot be cancelled halfway.
        match request {
            SignInRequest::DeviceCode | SignInRequest::ApiKey(_) => self.store(process)?,
            SignInRequest::Tokens(tokens) => drop(self.inner.external.lock().store(tokens.clone())),
        }
        self.changed();
        let mut known = self.inner.reported.lock();
        known.record_read(&completed.read, matches!(request, SignInRequest::Tokens(_)));
        let login = known.login().unwrap_or_default();
        tracing::info!(account = login.auth_mode.as_deref(), "signed in");
        Ok(SignInEvent::Done {
            auth_mode: login.auth_mode,
            plan: login.plan,
        })
    }

    /// Stores in the home the login that Codex has written.
    fn store(&self, process: &LoginProcess) -> Result<(), SignInError> {
        // External tokens may have arrived while the code was typed; they would take precedence over the login.
        if self.inner.external.lock().is_active() {
            return Err(SignInError::new(FailureReason::ExternalTokensActive));
        }
        let written = process.staging.login().map_err(|error| error.to_string());
        let saved = written.and_then(|login| {
            let home = self.inner.launch.home();
            home.write_login(&login).map_err(|error| error.to_string())
        });
        saved.map_err(|error| {
            tracing::error!(error, "the login could not be stored");
            SignInError::new(FailureReason::HomeUnwritable)
        })
    }
}
