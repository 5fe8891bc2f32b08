//! A turn's progress, which its task observes.

/// The progress of a turn.
///
/// `started`, `ended`, `too_many_requests` and the counters change with Codex's reports alone (`ProgressChange`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TurnProgress {
    /// Codex has started the turn: from here on it can be interrupted.
    pub(crate) started: bool,
    /// Codex has ended the turn.
    pub(crate) ended: bool,
    /// The turn's output is no longer wanted.
    pub(crate) abandoned: bool,
    /// The turn waits for its client.
    pub(crate) parked: bool,
    /// Tool calls whose results Codex waits for.
    pub(crate) open_calls: usize,
    /// There are results to send to Codex.
    pub(crate) has_replies: bool,
    /// Responses that the model has begun.
    pub(crate) responses_begun: u32,
    /// Responses that the model has completed.
    pub(crate) responses_completed: u32,
    /// Requests to the model that Codex has reported as failed.
    pub(crate) requests_failed: u32,
    /// The turn was stopped because it made too many requests to the model.
    pub(crate) too_many_requests: bool,
}

/// A change of a turn's progress by a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ProgressChange {
    pub(super) started: bool,
    pub(super) ended: bool,
    pub(super) abandoned: bool,
    pub(super) response_begun: bool,
    pub(super) response_completed: bool,
    pub(super) request_failed: bool,
    pub(super) too_many_requests: bool,
}

impl ProgressChange {
    /// Whether this changes nothing.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Makes the change. False: the progress is as before.
    pub(super) fn apply_to(self, progress: &mut TurnProgress) -> bool {
        let before = *progress;
        progress.started |= self.started;
        progress.ended |= self.ended;
        progress.abandoned |= self.abandoned;
        progress.too_many_requests |= self.too_many_requests;
        let count = |counter: &mut u32, one: bool| *counter = counter.wrapping_add(u32::from(one));
        count(&mut progress.responses_begun, self.response_begun);
        count(&mut progress.responses_completed, self.response_completed);
        count(&mut progress.requests_failed, self.request_failed);
        *progress != before
    }
}
