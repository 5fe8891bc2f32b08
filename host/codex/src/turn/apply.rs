//! Applies Codex's reports to the state of a turn. Pure, except for the time stamp of an outcome.

use airlock_wire::decode::{TurnError, TurnReport, TurnStatus, Usage};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::progress::{ProgressChange, TurnProgress};
use super::state::TurnState;
use crate::failure;
use crate::turn_outcome::TurnOutcome;
use crate::vocabulary::{self, verbatim};
use airlock_types::wit::{Ending, Event, EventKind};

/// A report with the circumstances of its arrival.
#[derive(Debug)]
pub(super) struct ReceivedReport<'a> {
    pub(super) report: TurnReport<'a>,
    /// The notification's method and parameters, if it may have to be passed on verbatim.
    pub(super) verbatim: Option<(&'a str, &'a RawValue)>,
    /// When Codex sent it, in Unix milliseconds.
    pub(super) at: u64,
    pub(super) received: Instant,
}

/// The effects of a report beyond the state of its turn.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) progress: ProgressChange,
    /// The outcome, if the turn has ended for its reply.
    pub(super) outcome: Option<TurnOutcome>,
    /// Whether the model accepted the account's credentials, if the report shows it.
    pub(super) credentials: Option<CredentialOutcome>,
    /// No later report matters.
    is_last: bool,
}

/// Whether the model accepted the account's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialOutcome {
    Accepted,
    Refused,
}

impl TurnState {
    /// Applies a report: changes the state, queues the events for the reply, and returns the other effects. `progress` is the
    /// turn's progress before the report.
    pub(super) fn apply(
        &mut self,
        received: ReceivedReport<'_>,
        progress: &TurnProgress,
    ) -> Effects {
        let mut effects = Effects::default();
        self.at = self.at.max(received.at);
        self.last_received = received.received;
        effects.progress.response_begun = is_of_model(&received) && self.upstream.answered();
        // A parked turn waits for results and has no permit. If it produces output, it has gone on without them.
        effects.progress.abandoned = progress.parked && received.report.is_of_model();
        let mut events = std::mem::take(&mut self.scratch);
        self.interpret(received, progress, &mut events, &mut effects);
        if effects.progress.too_many_requests && !progress.too_many_requests {
            effects.progress.abandoned = true;
            effects.outcome = Some(failure::looping(self.model_requests).into());
        }
        if !progress.abandoned && !effects.progress.abandoned && !self.has_outcome() {
            self.queue(&mut events, &mut effects);
        }
        events.clear();
        self.scratch = events;
        effects.progress.abandoned |= effects.is_last;
        self.may_skip_progress &= !(progress.abandoned || effects.progress.abandoned);
        effects
    }

    fn interpret(
        &mut self,
        received: ReceivedReport<'_>,
        progress: &TurnProgress,
        events: &mut Vec<EventKind>,
        effects: &mut Effects,
    ) {
        let ReceivedReport {
            report,
            verbatim: parts,
            received: now,
            ..
        } = received;
        match report {
            TurnReport::MessageStarted { .. }
            | TurnReport::MessageDelta { .. }
            | TurnReport::MessageCompleted { .. }
            | TurnReport::ReasoningDelta { .. }
            | TurnReport::ReasoningCompleted { .. } => self.output(report, events),
            TurnReport::RawMessage { .. } | TurnReport::RawItem => {
                self.raw_item(&report, parts, progress, events);
            }
            // Before the turn starts, Codex reports the injected items, including those that it drops.
            TurnReport::UnknownItem => self.dropped_item |= progress.started,
            TurnReport::TurnStarted { turn } => {
                self.id.get_or_insert_with(|| turn.into_owned());
                self.upstream.begin(now);
                effects.progress.started = true;
            }
            TurnReport::Usage(usage) => self.usage_reported(usage, now, events, effects),
            TurnReport::ResponseCompleted(usage) => {
                self.retry_filter.settle(events);
                if self.has_tools {
                    self.response_completed(usage, now, events, effects);
                    events.extend(parts.map(verbatim));
                }
            }
            TurnReport::ToolResultAccepted => self.calls.result_accepted(),
            TurnReport::ToolCalled { call } => {
                // Before the turn starts, Codex reports the injected calls.
                if progress.started && self.has_tools {
                    self.calls.called(&call);
                    events.extend(parts.map(verbatim));
                }
            }
            TurnReport::ToolReturned { call } => {
                effects.is_last = self.calls.returned(&call);
                events.extend(parts.filter(|_| effects.is_last).map(verbatim));
            }
            TurnReport::Retrying(error) => self.retrying(error, now, effects),
            TurnReport::Compacting => {
                // Compaction cannot be switched off (0.169.0), and the answer would be to a summary of the conversation.
                effects.progress.abandoned = true;
                effects.outcome = Some(failure::too_long().into());
            }
            TurnReport::TurnCompleted { status, error } => {
                self.completed(status, error, now, events, effects);
            }
            TurnReport::Failing | TurnReport::Echo => {}
            TurnReport::Other => events.extend(parts.map(verbatim)),
        }
    }

    /// Applies output of the model.
    fn output(&mut self, report: TurnReport<'_>, events: &mut Vec<EventKind>) {
        let filter = &mut self.retry_filter;
        match report {
            TurnReport::MessageDelta { item, text } => filter.delta(&item, &text, events),
            TurnReport::ReasoningDelta {
                item,
                index,
                raw,
                text,
            } => filter.reasoning(&item, index, raw, &text, events),
            TurnReport::ReasoningCompleted { item, summary } => {
                filter.reasoning_completed(&item, &summary, events);
            }
            TurnReport::MessageStarted { item, phase } => {
                self.upstream.has_message();
                filter.started(&item, phase.map(vocabulary::phase), events);
            }
            TurnReport::MessageCompleted { item, phase, text } => {
                self.upstream.has_message();
                filter.completed(&item, phase.map(vocabulary::phase), &text, events);
            }
            _ => {}
        }
    }

    /// Applies a raw item of the model, and passes it on if the turn reports raw items. Before the turn starts, Codex reports the
    /// injected items.
    fn raw_item(
        &mut self,
        report: &TurnReport<'_>,
        parts: Option<(&str, &RawValue)>,
        progress: &TurnProgress,
        events: &mut Vec<EventKind>,
    ) {
        if let TurnReport::RawMessage { item, text, .. } = report {
            self.retry_filter.raw_message(item, text, events);
        }
        if self.raw_items && progress.started {
            events.extend(parts.map(verbatim));
        }
    }

    /// Applies the usage of a complete response.
    fn usage_reported(
        &mut self,
        usage: Usage,
        now: Instant,
        events: &mut Vec<EventKind>,
        effects: &mut Effects,
    ) {
        self.retry_filter.settle(events);
        effects.progress.response_begun |= self.upstream.used(now);
        effects.progress.response_completed = true;
        effects.progress.too_many_requests = self.upstream.exceeds(self.model_requests);
        // Codex reports the usage of a turn that waits for tools only when the turn goes on.
        if !self.has_tools {
            let usage = vocabulary::usage(usage);
            self.calls.set_usage(usage);
            events.push(EventKind::Usage(usage));
        }
    }

    /// Applies the raw event of a complete response.
    fn response_completed(
        &mut self,
        usage: Option<Usage>,
        now: Instant,
        events: &mut Vec<EventKind>,
        effects: &mut Effects,
    ) {
        effects.is_last = self.calls.response_completed();
        self.upstream.responded(now);
        effects.progress.response_completed = true;
        effects.progress.too_many_requests = self.upstream.exceeds(self.model_requests);
        let sum = usage.map(|usage| self.calls.add_usage(vocabulary::usage(usage)));
        events.extend(sum.map(EventKind::Usage));
    }

    /// Applies the error for which Codex repeats a request to the model.
    fn retrying(&mut self, error: TurnError, now: Instant, effects: &mut Effects) {
        if failure::is_final(&error) {
            // Each of Codex's five retries would fail in the same way.
            effects.progress.abandoned = true;
            effects.outcome = Some(failure::of_turn(Some(&error)));
        } else {
            self.retry_filter.retry();
            self.upstream.retried(error, now);
            effects.progress.request_failed = true;
        }
    }

    /// Applies the turn's end.
    fn completed(
        &mut self,
        status: TurnStatus,
        error: Option<TurnError>,
        now: Instant,
        events: &mut Vec<EventKind>,
        effects: &mut Effects,
    ) {
        self.retry_filter.check_repeated(events);
        effects.progress.started = true;
        effects.progress.ended = true;
        effects.credentials = match status {
            TurnStatus::Completed => Some(CredentialOutcome::Accepted),
            _ if error.as_ref().is_some_and(failure::is_refused) => {
                Some(CredentialOutcome::Refused)
            }
            _ => None,
        };
        effects.outcome = Some(match status {
            TurnStatus::Completed => self
                .check_complete()
                .map_or_else(|| Ending::Completed.into(), TurnOutcome::from),
            TurnStatus::Interrupted => Ending::Interrupted.into(),
            TurnStatus::Failed | TurnStatus::Unknown => failure::of_turn(error.as_ref()),
        });
        if let Some(error) = error.filter(|_| status == TurnStatus::Failed) {
            self.upstream.retried(error, now);
            effects.progress.request_failed = true;
        }
    }

    /// Queues events for the reply.
    fn queue(&mut self, events: &mut Vec<EventKind>, effects: &mut Effects) {
        let (source, at) = (self.source, self.at);
        for kind in events.drain(..) {
            if let Err(full) = self.push(Event { source, at, kind }) {
                // Replaces the outcome of a turn that has just completed, as its answer is incomplete.
                effects.outcome = Some(full.into());
                effects.progress.abandoned = true;
                break;
            }
        }
    }
}

/// Whether the report has output of the model. Items of unknown types count as output.
fn is_of_model(received: &ReceivedReport<'_>) -> bool {
    let is_item = |(method, _): (&str, &RawValue)| method.starts_with("item/");
    let is_unknown = matches!(received.report, TurnReport::Other);
    received.report.is_of_model() || (is_unknown && received.verbatim.is_some_and(is_item))
}

#[cfg(test)]
mod tests;
