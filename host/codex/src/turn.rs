//! A running turn: the reader of its child applies Codex's reports to it, and its reply drains the events.
//!
//! All turns of a child share one stdout, so the reader never waits for a reply. Events that are not drained coalesce;
//! past the byte bound the turn ends for its client and is interrupted. The outcome is stored apart from the queue, so a
//! full queue cannot lose it.

mod apply; // a report, applied to the state
mod context; // its source, permit, wake flag and bounds
mod parked; // waiting for its client
mod progress; // its progress, which its task observes
mod state; // its state and its queue
mod tool_calls; // calls of the client's tools
mod upstream_requests; // its requests to the model

use std::sync::Arc;

use airlock_wire::decode::{ThreadNotification, TurnError};
use parking_lot::{Mutex, MutexGuard};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::apply::CredentialOutcome;
use self::apply::{Effects, ReceivedReport};
pub use self::context::{Permit, TurnContext};
pub use self::parked::Parked;
pub(super) use self::progress::TurnProgress;
use self::state::TurnState;
pub(crate) use self::tool_calls::EncodedToolResult;
pub(super) use self::tool_calls::ToolReply;
use super::failure;
use super::turn_outcome::TurnOutcome;
use airlock_base::wake_flag::WakeFlag;
use airlock_types::wit::Event;

/// The handle of a turn's reply. Dropping it before the turn has ended interrupts the turn.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<SharedTurn>,
    model: String,
}

impl Turn {
    pub(super) fn new(shared: Arc<SharedTurn>, model: String) -> Self {
        Self { shared, model }
    }

    /// The model that Codex chose.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Appends the queued events to `batch`. Returns the outcome once the turn has ended; no events follow it. Never waits: the
    /// wake flag is set when there is output.
    pub fn drain(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        let mut state = self.shared.lock();
        state.queued_bytes = 0;
        state.largest = 0;
        batch.extend(state.queue.drain(..));
        let outcome = state.outcome.take();
        state.outcome_taken |= outcome.is_some();
        outcome
    }
}

#[cfg(test)]
impl Turn {
    /// As `drain`, but waits for output.
    pub(super) async fn drain_ready(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        loop {
            let before = batch.len();
            let outcome = self.drain(batch);
            if outcome.is_some() || batch.len() > before {
                return outcome;
            }
            self.shared.wake.notified().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// The part of a turn that the connection's reader, the turn's task and its reply share.
#[derive(Debug)]
pub(super) struct SharedTurn {
    state: Mutex<TurnState>,
    /// Set when there are events or an outcome.
    wake: Arc<WakeFlag>,
    progress: watch::Sender<TurnProgress>,
}

impl SharedTurn {
    pub(super) fn new(context: TurnContext, has_tools: bool) -> Arc<Self> {
        Arc::new(Self {
            wake: context.wake.clone(),
            state: Mutex::new(TurnState::new(context, has_tools)),
            progress: watch::Sender::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, TurnState> {
        self.state.lock()
    }

    pub(super) fn progress(&self) -> watch::Receiver<TurnProgress> {
        self.progress.subscribe()
    }

    /// The turn's id. Empty while it is unknown; `turn/interrupt` then interrupts the turn that is starting (0.169.0).
    pub(super) fn id(&self) -> String {
        self.lock().id.clone().unwrap_or_default()
    }

    /// Sets the id from the response to `turn/start`.
    pub(super) fn set_id(&self, id: String) {
        self.lock().id = Some(id);
    }

    /// Marks the turn's output as no longer wanted.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.may_skip_progress = false;
        state.queue.clear();
        drop(state);
        self.progress
            .send_modify(|progress| progress.abandoned = true);
    }

    /// Ends the turn for its reply. The first outcome holds. Codex may still run the turn, which must then be interrupted.
    pub(super) fn end(&self, outcome: impl Into<TurnOutcome>) {
        let mut state = self.lock();
        if !state.has_outcome() {
            let mut outcome = outcome.into();
            outcome.at = outcome.at.max(state.at);
            state.outcome = Some(outcome);
        }
        drop(state);
        self.wake.notify();
    }

    /// Whether Codex has ended the turn.
    pub(super) fn has_ended(&self) -> bool {
        self.progress.borrow().ended
    }

    /// When Codex last reported anything of the turn.
    pub(super) fn last_received(&self) -> Instant {
        self.lock().last_received
    }

    /// Since when a response of the model is awaited. None: the model is answering, or has received no request.
    pub(super) fn awaits_model_since(&self) -> Option<Instant> {
        self.lock().upstream.awaited_since()
    }

    /// Whether the model is answering, and has sent some of its answer after this time.
    pub(super) fn model_has_sent_after(&self, time: Instant) -> bool {
        let state = self.lock();
        state.upstream.is_answering() && state.last_received > time
    }

    /// Why Codex repeated its request to the model, while the response to the repetition is awaited.
    pub(super) fn model_error(&self) -> Option<TurnError> {
        self.lock().upstream.error().cloned()
    }

    /// Releases the permit of a turn that has ended.
    pub(super) fn release_permit(&self) {
        self.lock().permit = None;
    }

    /// Ends the turn because its child has exited.
    pub(super) fn child_exited(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
        self.end(failure::exited());
    }

    /// Applies a notification of this turn's thread. `verbatim` has its method and parameters if they may have to be passed on.
    /// Called by the reader, and so never waits.
    pub(super) fn receive(
        &self,
        notification: ThreadNotification<'_>,
        verbatim: Option<(&str, &RawValue)>,
        at: u64,
    ) -> Option<CredentialOutcome> {
        let ThreadNotification { turn, report, .. } = notification;
        let mut state = self.lock();
        if !state.is_of(&turn) {
            return None;
        }
        let progress = match state.can_skip_progress(&report) {
            true => TurnProgress::default(),
            false => *self.progress.borrow(),
        };
        let received = ReceivedReport {
            report,
            verbatim,
            at,
            received: Instant::now(),
        };
        let effects = state.apply(received, &progress);
        drop(state);
        self.commit(effects)
    }

    /// Commits the effects of a report.
    fn commit(&self, effects: Effects) -> Option<CredentialOutcome> {
        // Before the outcome, so that a reply that sees the outcome also sees whether Codex has ended the turn.
        if !effects.progress.is_empty() {
            self.progress
                .send_if_modified(|progress| effects.progress.apply_to(progress));
        }
        match effects.outcome {
            Some(outcome) => self.end(outcome),
            None => self.wake.notify(),
        }
        effects.credentials
    }
}

#[cfg(test)]
mod tests;
