//! Attaches a child to the account: signs it in with external tokens, and reads its account notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::login_process::completed;
use super::wire::{AccountUpdated, LoginStarted, RateLimitsMessage, RefreshRequest, Refreshed};
use super::{Account, STEP};
use crate::call_error::CallError;
use crate::connection::{AccountLine, Connection};
use crate::token_error::TokenError;

/// The pause before a failed fetch of tokens is repeated.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// A child that is attached to the account.
#[derive(Clone, Debug)]
struct AttachedChild {
    connection: Connection,
    /// The serial number of its tokens. 0: it has none.
    token_serial: Arc<AtomicU64>,
    /// The generation of the login when it was attached.
    generation: u64,
}

impl Account {
    /// Attaches a child to the account: signs it in with external tokens, if there are any, and reads its account notifications
    /// from then on. Awaited before the child may run turns.
    ///
    /// A child that could not be signed in reports that itself, in `account/read` and in its turns.
    pub(crate) async fn attach(&self, connection: &Connection) {
        let mut lines = connection.subscribe_account();
        let child = AttachedChild {
            connection: connection.clone(),
            token_serial: Arc::default(),
            generation: *self.inner.generation.borrow(),
        };
        let wanted = self.inner.source.is_configured() && self.inner.external.lock().is_wanted();
        if wanted && let Err(fault) = self.fresh(None, 0).await {
            tracing::error!(%fault, "no ChatGPT tokens yet; they are requested again");
        }
        let given = self.inner.external.lock().current();
        if let Some(given) = given {
            child.token_serial.store(given.serial, Ordering::Relaxed);
            let start = given.tokens.start();
            let signing = async {
                let login = async {
                    let started = connection.call::<LoginStarted>("account/login/start", &start);
                    started.await.map(drop)
                };
                // The child may request a fresh token before it responds.
                let completion = async {
                    self.await_signed_in(&child, &mut lines).await;
                    Ok::<_, CallError>(())
                };
                tokio::try_join!(login, completion)
            };
            match timeout(STEP, signing).await {
                Ok(Ok(((), ()))) => {}
                Ok(Err(_)) | Err(_) => {
                    tracing::error!("codex does not take the external ChatGPT tokens");
                }
            }
        }
        if let Some(_known) = self.reported_at(child.generation) {
            *self.inner.latest.lock() = Some(connection.clone());
        }
        let account = self.clone();
        let listening = async move { account.listen(&child, lines).await };
        self.inner.tasks.spawn("account", listening);
    }

    /// Waits for `account/login/completed`. Codex first requests the workspace of the tokens from a server.
    async fn await_signed_in(
        &self,
        child: &AttachedChild,
        lines: &mut mpsc::Receiver<AccountLine>,
    ) {
        while let Some(line) = lines.recv().await {
            let Some(completed) = completed(&line) else {
                self.dispatch(child, line);
                continue;
            };
            if !completed.success {
                tracing::warn!("codex could not use the external ChatGPT tokens yet");
            }
            return;
        }
    }

    async fn listen(&self, child: &AttachedChild, mut lines: mpsc::Receiver<AccountLine>) {
        let mut retry = interval(RETRY_PAUSE);
        // The first tick completes at once.
        retry.tick().await;
        loop {
            let line = tokio::select! {
                () = child.connection.closed() => return,
                _ = retry.tick() => {
                    self.retry_tokens(child).await;
                    continue;
                }
                line = lines.recv() => line,
            };
            match line {
                None => return,
                Some(line) => self.dispatch(child, line),
            }
        }
    }

    /// Records a notification, or answers a request on a task of its own.
    fn dispatch(&self, child: &AttachedChild, line: AccountLine) {
        match line {
            AccountLine::Request { id, params } => {
                let (account, child) = (self.clone(), child.clone());
                self.inner.tasks.spawn("token", async move {
                    account.answer_refresh(&child, &id, &params).await;
                });
            }
            AccountLine::Notification { method, params } => {
                self.apply_notification(child.generation, &method, &params);
            }
        }
    }

    /// Records an account notification, unless the login has changed since the child was attached.
    fn apply_notification(&self, generation: u64, method: &str, params: &RawValue) {
        let Some(mut known) = self.reported_at(generation) else {
            return;
        };
        match method {
            "account/updated" => {
                if let Ok(updated) = serde_json::from_str::<AccountUpdated>(params.get()) {
                    known.record_update(&updated);
                }
            }
            "account/rateLimits/updated" => {
                if let Ok(of) = serde_json::from_str::<RateLimitsMessage>(params.get()) {
                    known.record_limits(&of.rate_limits);
                }
            }
            _ => {}
        }
    }

    /// Sends a fresh token to a child whose token was refused by OpenAI.
    async fn answer_refresh(&self, child: &AttachedChild, id: &RawValue, params: &RawValue) {
        let AttachedChild {
            connection,
            token_serial,
            ..
        } = child;
        let request: Option<RefreshRequest> = serde_json::from_str(params.get()).ok();
        let previous = request.and_then(|request| request.previous_account_id);
        let fresh = self
            .fresh(previous.as_deref(), token_serial.load(Ordering::Relaxed))
            .await;
        let answer = fresh.and_then(|given| {
            token_serial.store(given.serial, Ordering::Relaxed);
            to_raw_value(&Refreshed {
                access_token: given.tokens.access.expose(),
                chatgpt_account_id: &given.tokens.account_id,
                chatgpt_plan_type: given.tokens.plan.as_deref(),
            })
            .map_err(|_| TokenError::Malformed)
        });
        let sent = match answer {
            Ok(answer) => connection.respond(id, &answer).await,
            Err(fault) => {
                tracing::error!(%fault, "a ChatGPT token could not be renewed");
                connection.refuse(id, fault.code(), fault.message()).await
            }
        };
        if sent.is_err() {
            tracing::debug!("codex ended before it received its token");
        }
    }

    /// Fetches the tokens that could not be fetched when the child started. Once there are tokens, this child must be replaced,
    /// as it has none.
    async fn retry_tokens(&self, child: &AttachedChild) {
        let lacks = child.token_serial.load(Ordering::Relaxed) == 0;
        if !lacks || *self.inner.generation.borrow() != child.generation {
            return;
        }
        let wanted = self.inner.source.is_configured() && self.inner.external.lock().is_wanted();
        if wanted && let Err(fault) = self.fresh(None, 0).await {
            tracing::debug!(%fault, "still no ChatGPT tokens");
        }
        if self.inner.external.lock().is_active() {
            self.changed_from(child.generation);
        }
    }
}
