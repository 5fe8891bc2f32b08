//! What is known of a running turn, and the events that wait for its reply.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::parked::Calls;
use super::upstream::UpstreamRequests;
use super::{Permit, TurnOutcome};
use crate::retry_filter::RetryFilter;
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Event, EventKind, ProblemKind};

/// Events beyond which pieces of the same message are joined.
pub(super) const EVENTS: usize = 256;

/// Bytes of one answer. Retries are recognised by comparing, so an answer is kept while it is told.
const ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: VecDeque<Event>,
    pub(super) queued_bytes: usize,
    /// Bytes of the largest event that came since the queue was empty.
    pub(super) largest: usize,
    /// What a line tells, before it is queued. Empty, but for its room.
    pub(super) fresh: Vec<EventKind>,
    /// Nobody has ever parked or abandoned it: what its model says needs no look at its progress.
    pub(super) plain: bool,
    pub(super) retry_filter: RetryFilter,
    /// The model wrote an item that Codex does not know, and so dropped.
    pub(super) unread: bool,
    pub(super) calls: Calls,
    /// What it asks of the model.
    pub(super) upstream: UpstreamRequests,
    /// What its events name as their source.
    pub(super) source: u32,
    /// Its permit to run. Released when Codex has ended the turn, or while the turn waits.
    pub(super) permit: Option<Permit>,
    /// When anything was last said of it.
    pub(super) last_received: Instant,
    /// Of the latest event. Clocks may be set back; a turn's own events do not go back.
    pub(super) at: u64,
    /// Known from the answer to `turn/start` or from `turn/started`, whichever comes first.
    pub(super) turn: Option<String>,
    pub(super) outcome: Option<TurnOutcome>,
    pub(super) told_outcome: bool,
}

impl State {
    /// Of a turn of which nothing is known yet.
    pub(super) fn new(source: u32, permit: Permit) -> Self {
        Self {
            source,
            permit: Some(permit),
            // Nearly always one waits. Left to grow by itself, each would have room for four in every silent stream.
            queue: VecDeque::with_capacity(1),
            queued_bytes: 0,
            largest: 0,
            fresh: Vec::with_capacity(1),
            plain: true,
            retry_filter: RetryFilter::default(),
            unread: false,
            calls: Calls::default(),
            upstream: UpstreamRequests::default(),
            last_received: Instant::now(),
            at: 0,
            turn: None,
            outcome: None,
            told_outcome: false,
        }
    }

    /// Why the answer of a turn that has completed is not all that the model wrote, if Codex has dropped any of it.
    pub(super) fn check_whole(&self) -> Option<Failure> {
        let silent = !self.retry_filter.has_text();
        if !(self.retry_filter.has_lost_a_message() || silent && self.unread) {
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

    /// Queues an event, joined to the last one where both continue the same thing and many wait.
    pub(super) fn push(&mut self, event: Event, bound: usize) -> Result<(), Failure> {
        // One event may be as large as a line: an answer that comes whole is not a client's slowness.
        if self.queued_bytes - self.largest > bound {
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
