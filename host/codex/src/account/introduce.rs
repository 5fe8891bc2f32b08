//! A child that has just started: signed in with the tokens that we have, and listened to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::login_process::completed;
use super::source::TokenFault;
use super::wire::{AccountUpdated, LoginStarted, RateLimitsOf, RefreshRequest, Refreshed};
use super::{Account, STEP, lock};
use crate::connection::{AccountLine, CallError, Connection};

/// How often tokens that are wanted and could not be got are asked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// A child that has been introduced.
#[derive(Clone, Debug)]
struct Introduced {
    connection: Connection,
    /// The number of the tokens that it has. 0: none.
    held: Arc<AtomicU64>,
    /// Which login it was then.
    generation: u64,
}

impl Account {
    /// Makes a child known to the account: signs it in with external tokens, where there are some, and hears from then
    /// on what it says of its login. To be awaited before the child may run turns.
    ///
    /// Fails in nothing: a child that could not be signed in says so itself, in `account/read` and in its turns.
    pub(crate) async fn introduce(&self, connection: &Connection) {
        let mut lines = connection.subscribe_account();
        let child = Introduced {
            connection: connection.clone(),
            held: Arc::default(),
            generation: *self.inner.generation.borrow(),
        };
        let wanted = self.inner.source.is_there() && lock(&self.inner.external).is_wanted();
        if wanted && let Err(fault) = self.fresh(None, 0).await {
            tracing::error!(%fault, "no ChatGPT tokens yet; they are asked for again");
        }
        let given = lock(&self.inner.external).current();
        if let Some(given) = given {
            child.held.store(given.serial, Ordering::Relaxed);
            let start = given.tokens.start();
            let signing = async {
                let asking = async {
                    let started = connection.call::<LoginStarted>("account/login/start", &start);
                    started.await.map(drop)
                };
                // It may want a fresh token before it answers.
                let hearing = async {
                    self.await_signed_in(&child, &mut lines).await;
                    Ok::<_, CallError>(())
                };
                tokio::try_join!(asking, hearing)
            };
            match timeout(STEP, signing).await {
                Ok(Ok(((), ()))) => {}
                Ok(Err(_)) | Err(_) => {
                    tracing::error!("codex does not take the external ChatGPT tokens");
                }
            }
        }
        if let Some(_known) = self.known_of(child.generation) {
            *lock(&self.inner.latest) = Some(connection.clone());
        }
        let account = self.clone();
        let listening = async move { account.listen(&child, lines).await };
        self.inner.tasks.spawn("account", listening);
    }

    /// Waits until Codex has seen to the tokens: it asks a server for their workspace.
    async fn await_signed_in(&self, child: &Introduced, lines: &mut mpsc::Receiver<AccountLine>) {
        while let Some(line) = lines.recv().await {
            let Some(completed) = completed(&line) else {
                self.take(child, line);
                continue;
            };
            if !completed.success {
                tracing::warn!("codex could not use the external ChatGPT tokens yet");
            }
            return;
        }
    }

    async fn listen(&self, child: &Introduced, mut lines: mpsc::Receiver<AccountLine>) {
        let mut again = interval(AGAIN);
        // The first comes at once.
        again.tick().await;
        loop {
            let line = tokio::select! {
                () = child.connection.closed() => return,
                _ = again.tick() => {
                    self.ask_again(child).await;
                    continue;
                }
                line = lines.recv() => line,
            };
            match line {
                None => return,
                Some(line) => self.take(child, line),
            }
        }
    }

    /// Remembers what a child tells, and has what it asks answered, for which nobody waits here.
    fn take(&self, child: &Introduced, line: AccountLine) {
        match line {
            AccountLine::Request { id, params } => {
                let (account, child) = (self.clone(), child.clone());
                self.inner.tasks.spawn("token", async move {
                    account.answer(&child, &id, &params).await;
                });
            }
            AccountLine::Notification { method, params } => {
                self.handle(child.generation, &method, &params);
            }
        }
    }

    /// What a child tells of a login that is no more is of no interest.
    fn handle(&self, generation: u64, method: &str, params: &RawValue) {
        let Some(mut known) = self.known_of(generation) else {
            return;
        };
        match method {
            "account/updated" => {
                if let Ok(updated) = serde_json::from_str::<AccountUpdated>(params.get()) {
                    known.update(&updated);
                }
            }
            "account/rateLimits/updated" => {
                if let Ok(of) = serde_json::from_str::<RateLimitsOf>(params.get()) {
                    known.limit(&of.rate_limits);
                }
            }
            _ => {}
        }
    }

    /// Answers a child that was refused with the token that it has.
    async fn answer(&self, child: &Introduced, id: &RawValue, params: &RawValue) {
        let Introduced {
            connection, held, ..
        } = child;
        let request: Option<RefreshRequest> = serde_json::from_str(params.get()).ok();
        let previous = request.and_then(|request| request.previous_account_id);
        let fresh = self
            .fresh(previous.as_deref(), held.load(Ordering::Relaxed))
            .await;
        let answer = fresh.and_then(|given| {
            held.store(given.serial, Ordering::Relaxed);
            to_raw_value(&Refreshed {
                access_token: given.tokens.access.expose(),
                chatgpt_account_id: &given.tokens.account_id,
                chatgpt_plan_type: given.tokens.plan.as_deref(),
            })
            .map_err(|_| TokenFault::Malformed)
        });
        let sent = match answer {
            Ok(answer) => connection.respond(id, &answer).await,
            Err(fault) => {
                tracing::error!(%fault, "a ChatGPT token could not be renewed");
                connection.refuse(id, fault.code(), fault.message()).await
            }
        };
        if sent.is_err() {
            tracing::debug!("codex ended before it had its token");
        }
    }

    /// Gets the tokens that could not be got when the child started. Whoever got them, this one has none of them, and
    /// must be replaced.
    async fn ask_again(&self, child: &Introduced) {
        let lacks = child.held.load(Ordering::Relaxed) == 0;
        if !lacks || *self.inner.generation.borrow() != child.generation {
            return;
        }
        let wanted = self.inner.source.is_there() && lock(&self.inner.external).is_wanted();
        if wanted && let Err(fault) = self.fresh(None, 0).await {
            tracing::debug!(%fault, "still no ChatGPT tokens");
        }
        if lock(&self.inner.external).is_active() {
            self.changed_from(child.generation);
        }
    }
}
