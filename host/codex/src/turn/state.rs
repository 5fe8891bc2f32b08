//! The state of a turn, and the events that are queued for its reply.

use std::collections::VecDeque;

use airlock_wire::decode::TurnReport;
use tokio::time::Instant;

use super::tool_calls::ToolCalls;
use super::upstream_requests::UpstreamRequests;
use super::{Permit, TurnContext};
use crate::retry_filter::RetryFilter;
use crate::turn_outcome::TurnOutcome;
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Event, EventKind, ProblemKind};

/// Queued events beyond which pieces of the same message are joined.
pub(super) const EVENTS: usize = 256;

/// Bytes of one answer. The retry filter compares a retry with the answer so far, so the whole answer is in memory.
const ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct TurnState {
    pub(super) queue: VecDeque<Event>,
    pub(super) queued_bytes: usize,
    /// Bytes of the largest event since the queue was empty.
    pub(super) largest: usize,
    /// The events of the report that is being applied. Empty otherwise; the allocation is reused.
    pub(super) scratch: Vec<EventKind>,
    /// The turn was never parked or abandoned, so a delta can be applied without its progress.
    pub(super) may_skip_progress: bool,
    pub(super) retry_filter: RetryFilter,
    /// Codex has dropped an item of the model, as it does not know the item's type.
    pub(super) dropped_item: bool,
    pub(super) calls: ToolCalls,
    pub(super) upstream: UpstreamRequests,
    /// The source that its events name.
    pub(super) source: u32,
    /// Released when Codex has ended the turn, and while the turn is parked.
    pub(super) permit: Option<Permit>,
    /// When Codex last reported anything of the turn.
    pub(super) last_received: Instant,
    /// The latest event's time in Unix milliseconds. It never decreases, though clocks may be set back.
    pub(super) at: u64,
    /// The turn's id, from the response to `turn/start` or from `turn/started`, whichever comes first.
    pub(super) id: Option<String>,
    pub(super) outcome: Option<TurnOutcome>,
    /// The reply has taken the outcome.
    pub(super) outcome_taken: bool,
    /// Whether the model may call tools of the client.
    pub(super) has_tools: bool,
    /// Whether raw items of the model are passed on.
    pub(super) raw_items: bool,
    /// Bytes of events that may be queued.
    buffer_bytes: usize,
    /// Requests to the model that the turn may make for one response to a client.
    pub(super) model_requests: usize,
}

impl TurnState {
    /// The state of a turn that has not started.
    pub(super) fn new(context: TurnContext, has_tools: bool) -> Self {
        Self {
            // Nearly always one event is queued. The first allocation of a queue that grows by itself has room for four.
            queue: VecDeque::with_capacity(1),
            queued_bytes: 0,
            largest: 0,
            scratch: Vec::with_capacity(1),
            may_skip_progress: true,
            retry_filter: RetryFilter::default(),
            dropped_item: false,
            calls: ToolCalls::default(),
            upstream: UpstreamRequests::default(),
            source: context.source,
            permit: Some(context.permit),
            last_received: Instant::now(),
            at: 0,
            id: None,
            outcome: None,
            outcome_taken: false,
            has_tools,
            raw_items: context.raw_items,
            buffer_bytes: context.buffer_bytes,
            model_requests: context.model_requests,
        }
    }

    /// Whether a notification with this turn id, which may be empty, is of this turn. Turns do not share threads; this protects
    /// against leaking answers should Codex ever mix them.
    pub(super) fn is_of(&self, turn: &str) -> bool {
        turn.is_empty() || self.id.as_deref().is_none_or(|id| id == turn)
    }

    /// Whether the turn has ended for its reply.
    pub(super) fn has_outcome(&self) -> bool {
        self.outcome.is_some() || self.outcome_taken
    }

    /// Whether this report can be applied without the turn's progress. Nearly all deltas can.
    pub(super) fn can_skip_progress(&self, report: &TurnReport<'_>) -> bool {
        self.may_skip_progress
            && matches!(
                report,
                TurnReport::MessageDelta { .. } | TurnReport::ReasoningDelta { .. }
            )
    }

    /// The failure of a completed turn whose answer lacks some of the model's output. None: the answer is complete.
    pub(super) fn check_complete(&self) -> Option<Failure> {
        let silent = !self.retry_filter.has_text();
        if !(self.retry_filter.has_lost_a_message() || silent && self.dropped_item) {
            return None;
        }
        Some(match silent {
            true => Failure::new(
                ProblemKind::Upstream,
                "empty_answer",
                "the model answered with something that Codex does not pass on, most likely a refusal; word the request differently",
            ),
            false => Failure::new(
                ProblemKind::Upstream,
                "incomplete_answer",
                "a part of the model's answer is missing: Codex does not pass on what it cannot read, such as a refusal; \
                 word the request differently",
            ),
        })
    }

    /// Queues an event. If many are queued, an event that continues the message of the last one is joined to it.
    pub(super) fn push(&mut self, event: Event) -> Result<(), Failure> {
        // One event may be as large as a line, so the largest does not count: it does not show that the client is slow.
        if self.queued_bytes - self.largest > self.buffer_bytes {
            return Err(Failure::new(
                ProblemKind::Upstream,
                "client_too_slow",
                "the answer was read too slowly: more of it waited than the gateway keeps",
            ));
        }
        if self.retry_filter.bytes > ANSWER_BYTES {
            return Err(Failure::new(
                ProblemKind::Upstream,
                "answer_too_large",
                "the answer is larger than the gateway passes on",
            ));
        }
        let cost = events::cost(&event.kind);
        self.largest = self.largest.max(cost);
        if self.queue.len() >= EVENTS
            && let Some(last) = self.queue.back_mut()
            && events::join(&mut last.kind, &event.kind)
        {
            self.queued_bytes += cost - events::COST;
            return Ok(());
        }
        self.queued_bytes += cost;
        self.queue.push_back(event);
        Ok(())
    }
}
