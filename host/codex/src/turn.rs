//! One running turn: what Codex's reader puts in, and what the reply takes out.
//!
//! All turns of a child share one stdout, so the reader never waits for a reply. Events that nobody fetches coalesce;
//! past the byte bound the turn ends for its client, and is interrupted. The ending has a place of its own: a full
//! buffer cannot lose it.

mod parked; // waiting for its client
mod progress; // what its task observes
mod state; // what is known of it
mod terms; // what it is asked for with, and what comes of it
mod upstream; // what it asks of the model

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airlock_wire::decode::{Report, Status, TurnError};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::parked::Answer;
pub(super) use self::parked::Given;
pub use self::parked::Parked;
pub(super) use self::progress::{Progress, TurnNotice};
use self::state::State;
pub use self::terms::{Permit, Terms, TurnOutcome};
use super::failure;
use super::vocabulary::{self, verbatim};
use airlock_base::wake_flag::WakeFlag;
use airlock_types::wit::{Ending, Event, EventKind};

/// A turn as its reply holds it. Dropping it before its end interrupts it.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<Shared>,
    model: String,
}

impl Turn {
    pub(super) fn new(shared: Arc<Shared>, model: String) -> Self {
        Self { shared, model }
    }

    /// The model that Codex chose.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Appends what has arrived and, once the turn has ended, gives its outcome: then there is no more. Never waits;
    /// await the wake flag for that.
    pub fn take(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        let mut state = self.shared.lock();
        state.queued_bytes = 0;
        state.largest = 0;
        batch.extend(state.queue.drain(..));
        let outcome = state.outcome.take();
        state.told_outcome |= outcome.is_some();
        outcome
    }
}

#[cfg(test)]
impl Turn {
    /// As `take`, but waits until there is something.
    pub(super) async fn received(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        loop {
            let before = batch.len();
            let outcome = self.take(batch);
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

/// A turn as the connection's reader and the turn's task see it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Set when events or the ending have arrived.
    wake: Arc<WakeFlag>,
    /// Whether its model may call tools of the client.
    tools: bool,
    /// What the turn's task waits for.
    progress: watch::Sender<Progress>,
    /// Bytes of events that may wait.
    bound: usize,
    /// Requests to the model that it may make for one response to a client.
    model_requests: usize,
}

impl Shared {
    pub(super) fn new(terms: Terms, tools: bool) -> Arc<Self> {
        let state = State::new(terms.source, terms.permit);
        Arc::new(Self {
            state: Mutex::new(state),
            wake: terms.wake,
            tools,
            progress: watch::Sender::default(),
            bound: terms.buffer_bytes,
            model_requests: terms.model_requests,
        })
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The turn's id; empty while it is unknown, which `turn/interrupt` takes for "the one that begins" (0.169.0).
    pub(super) fn turn(&self) -> String {
        self.lock().turn.clone().unwrap_or_default()
    }

    /// The answer to `turn/start` came.
    pub(super) fn named(&self, turn: String) {
        self.lock().turn = Some(turn);
    }

    /// Nobody wants the turn any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.plain = false;
        state.queue.clear();
        drop(state);
        self.progress
            .send_modify(|progress| progress.abandoned = true);
    }

    /// Ends the turn for its reply; the first ending holds. Codex may still have to be told.
    pub(super) fn end(&self, outcome: impl Into<TurnOutcome>) {
        let mut state = self.lock();
        if state.outcome.is_none() && !state.told_outcome {
            let mut outcome = outcome.into();
            outcome.at = outcome.at.max(state.at);
            state.outcome = Some(outcome);
        }
        drop(state);
        self.wake.notify();
    }

    /// Since when the model owes it an answer. None: it is answering, or not asked.
    pub(super) fn awaits_model_since(&self) -> Option<Instant> {
        self.lock().upstream.awaited()
    }

    /// Whether the model is answering, and has sent some of its answer after this time.
    pub(super) fn model_has_sent_after(&self, time: Instant) -> bool {
        let state = self.lock();
        state.upstream.is_answering() && state.last_received > time
    }

    /// Why Codex asks the model again, while it is awaited.
    pub(super) fn model_error(&self) -> Option<TurnError> {
        self.lock().upstream.error().cloned()
    }

    /// The turn is over: its permit is released.
    pub(super) fn leave(&self) {
        self.lock().permit = None;
    }

    /// The child is gone, and the turn with it.
    pub(super) fn lost(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
        self.end(failure::exited());
    }

    /// Takes what a notification of this turn's thread says, and where it may have to be passed on as it is, its method
    /// and parameters. Called by the reader alone, so it only computes.
    pub(super) fn observe(
        &self,
        turn: &str,
        report: Report<'_>,
        verbatim_parts: Option<(&str, &RawValue)>,
        at: u64,
    ) -> TurnNotice {
        let mut state = self.lock();
        let is_piece = matches!(
            report,
            Report::MessageDelta { .. } | Report::ReasoningDelta { .. }
        );
        // Threads are not shared between turns; this guards against answers leaking should Codex ever do so.
        if !turn.is_empty() && state.turn.as_deref().is_some_and(|ours| ours != turn) {
            return TurnNotice::Turn;
        }
        let at = at.max(state.at);
        state.at = at;
        let mut events = std::mem::take(&mut state.fresh);
        let mut outcome: Option<TurnOutcome> = None;
        let mut notice = TurnNotice::Turn;
        // Nothing after this is for anybody.
        let mut last = false;
        let now = Instant::now();
        let answered = is_of_model(&report, verbatim_parts) && state.upstream.answered();
        // With nearly every piece, only its reply has anything to learn of it.
        let only_reply = is_piece && state.plain && !answered;
        let mut progress = match only_reply {
            true => Progress::default(),
            false => *self.progress.borrow(),
        };
        let before = progress;
        progress.answered = progress.answered.wrapping_add(u32::from(answered));
        state.last_received = now;
        // A turn that waits says nothing of its own: this one runs, and has no permit.
        progress.abandoned |= progress.parked && report.is_of_model();
        match report {
            Report::TurnStarted { turn } => {
                state.turn.get_or_insert_with(|| turn.into_owned());
                state.upstream.begin(now);
                progress.started = true;
            }
            Report::MessageStarted { item, phase } => {
                state.upstream.has_message();
                state
                    .retry_filter
                    .started(&item, phase.map(vocabulary::phase), &mut events);
            }
            Report::MessageDelta { item, text } => {
                state.retry_filter.delta(&item, &text, &mut events);
            }
            Report::MessageCompleted { item, phase, text } => {
                state.upstream.has_message();
                state.retry_filter.completed(
                    &item,
                    phase.map(vocabulary::phase),
                    &text,
                    &mut events,
                );
            }
            Report::RawMessage { item, text } => {
                state.retry_filter.written(&item, &text, &mut events);
            }
            // Codex repeats what was injected before the turn began, and drops the same of it.
            Report::UnknownItem => state.unread |= progress.started,
            Report::ReasoningDelta {
                item,
                index,
                raw,
                text,
            } => {
                state
                    .retry_filter
                    .reasoning(&item, index, raw, &text, &mut events);
            }
            Report::ReasoningCompleted { item, summary } => {
                state.retry_filter.reasoned(&item, &summary, &mut events);
            }
            Report::Usage(usage) => {
                state.retry_filter.settle(&mut events);
                let awaited = state.upstream.used(now);
                progress.answered = progress.answered.wrapping_add(u32::from(awaited));
                progress.responded = progress.responded.wrapping_add(1);
                progress.loops = state.upstream.exceeds(self.model_requests);
                // Of a turn that waits for tools, Codex tells it only when it goes on.
                if !self.tools {
                    let usage = vocabulary::usage(usage);
                    state.calls.spent(usage);
                    events.push(EventKind::Usage(usage));
                }
            }
            // Codex repeats what was injected before the turn began.
            Report::Taken => state.calls.taken(),
            Report::Called { call } if progress.started && self.tools => {
                state.calls.called(&call);
                events.extend(verbatim_parts.map(verbatim));
            }
            Report::Returned { call } => {
                last = state.calls.returned(&call);
                if last {
                    events.extend(verbatim_parts.map(verbatim));
                }
            }
            Report::Responded(usage) if self.tools => {
                last = state.calls.responded();
                state.upstream.responded(now);
                progress.responded = progress.responded.wrapping_add(1);
                progress.loops = state.upstream.exceeds(self.model_requests);
                state.retry_filter.settle(&mut events);
                let used = usage.map(|usage| state.calls.count(vocabulary::usage(usage)));
                events.extend(used.map(EventKind::Usage));
                events.extend(verbatim_parts.map(verbatim));
            }
            Report::Retrying(error) => match failure::is_final(&error) {
                true => {
                    // Codex would ask five times more, and hear the same each time.
                    progress.abandoned = true;
                    outcome = Some(failure::of_turn(Some(&error)));
                }
                false => {
                    state.retry_filter.retry();
                    state.upstream.retried(error, now);
                    progress.failed = progress.failed.wrapping_add(1);
                }
            },
            Report::Compacting => {
                // It cannot be switched off (0.169.0), and the answer would be to a summary nobody asked for.
                progress.abandoned = true;
                outcome = Some(failure::too_long().into());
            }
            Report::Responded(_) => state.retry_filter.settle(&mut events),
            Report::Failing | Report::Echo | Report::Called { .. } => {}
            Report::TurnCompleted { status, error } => {
                notice = match status {
                    Status::Completed => TurnNotice::AccountTaken,
                    _ if error.as_ref().is_some_and(failure::is_refused) => {
                        TurnNotice::AccountRefused
                    }
                    _ => TurnNotice::Turn,
                };
                state.retry_filter.check_retold(&mut events);
                progress.started = true;
                progress.ended = true;
                if let Some(error) = error.as_ref().filter(|_| status == Status::Failed) {
                    state.upstream.retried(error.clone(), now);
                    progress.failed = progress.failed.wrapping_add(1);
                }
                outcome = Some(match status {
                    Status::Completed => state
                        .check_whole()
                        .map_or_else(|| Ending::Completed.into(), TurnOutcome::from),
                    Status::Interrupted => Ending::Interrupted.into(),
                    Status::Failed | Status::Unknown => failure::of_turn(error.as_ref()),
                });
            }
            Report::Other => events.extend(verbatim_parts.map(verbatim)),
        }
        if progress.loops && !before.loops {
            progress.abandoned = true;
            outcome = Some(failure::looping(self.model_requests).into());
        }
        if !progress.abandoned && state.outcome.is_none() && !state.told_outcome {
            for kind in events.drain(..) {
                let source = state.source;
                if let Err(full) = state.push(Event { source, at, kind }, self.bound) {
                    // Even of a turn that is complete: its answer is not.
                    outcome = Some(full.into());
                    if only_reply {
                        progress = *self.progress.borrow();
                    }
                    progress.abandoned = true;
                    break;
                }
            }
        }
        events.clear();
        state.fresh = events;
        progress.abandoned |= last;
        state.plain &= !progress.abandoned;
        drop(state);
        if is_piece && progress == before {
            self.wake.notify();
            return notice;
        }
        // First, so that whoever hears of the ending knows whether Codex itself has ended it.
        self.progress.send_if_modified(|known| {
            // Only we set `started` and `ended`; the others may have been set meanwhile.
            progress.abandoned |= known.abandoned;
            progress.parked = known.parked;
            progress.open = known.open;
            progress.answers = known.answers;
            std::mem::replace(known, progress) != progress
        });
        match outcome {
            Some(outcome) => self.end(outcome),
            None => self.wake.notify(),
        }
        notice
    }
}

/// Whether the model itself has sent this. An item that we do not know is one of its own too.
fn is_of_model(report: &Report<'_>, verbatim_parts: Option<(&str, &RawValue)>) -> bool {
    let is_item = |(method, _): (&str, &RawValue)| method.starts_with("item/");
    report.is_of_model() || (matches!(report, Report::Other) && verbatim_parts.is_some_and(is_item))
}

#[cfg(test)]
mod tests;
