//! Parked turns: the model has called tools of the client, and the turn waits for the request that brings the results.
//!
//! A parked turn holds no permit, and its task's clock stands still. Codex itself waits without limit (0.169.0, recording
//! `36b_client_tool_never_answered_45s`), so the owner of a parked turn must bound the wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::state::TurnState;
use super::tool_calls::{EncodedToolResult, ToolCalls};
use super::{Permit, SharedTurn, Turn};
use crate::retry_filter::RetryFilter;
use airlock_base::wake_flag::WakeFlag;
use airlock_types::wit::Usage;

/// How long Codex may take to request the results of calls that it has reported.
const REQUEST_WAIT: Duration = Duration::from_secs(2);

/// A parked turn. Dropping it ends the turn.
#[derive(Debug)]
pub struct Parked(Turn);

impl Turn {
    /// Parks the turn. None: the turn cannot be parked, and was dropped.
    pub fn park(self) -> Option<Parked> {
        let mut state = self.shared.lock();
        let calls = &state.calls;
        if calls.probed || !calls.any || !calls.response_complete {
            return None;
        }
        state.permit = None;
        state.may_skip_progress = false;
        drop(state);
        self.shared
            .progress
            .send_modify(|progress| progress.parked = true);
        Some(Parked(self)).filter(Parked::is_waiting)
    }

    /// When Codex last reported anything of the turn.
    pub fn last_received(&self) -> std::time::Instant {
        self.shared.last_received().into_std()
    }

    /// The tokens that the turn has used since it started or was resumed. None: Codex has reported none.
    pub fn used(&self) -> Option<Usage> {
        self.shared.lock().calls.usage
    }

    /// The flag that is set whenever the turn has output.
    pub fn wake(&self) -> Arc<WakeFlag> {
        self.shared.wake.clone()
    }
}

impl Parked {
    /// Whether the turn can still be resumed.
    pub fn is_waiting(&self) -> bool {
        let shared = &self.0.shared;
        let progress = *shared.progress.borrow();
        !progress.ended && !progress.abandoned && shared.lock().outcome.is_none()
    }

    /// Resumes the turn with the results of its calls, under a new permit and source, as if it had just started. Waits up to
    /// `wait` until Codex accepts a result. None: the results are not those of the turn's calls, or its child exited before
    /// it accepted any; the turn was dropped.
    pub async fn resume(
        self,
        results: Vec<EncodedToolResult>,
        permit: Permit,
        source: u32,
        wait: Duration,
    ) -> Option<Turn> {
        let shared = &self.0.shared;
        // Codex may request a result a little after it has reported that the response is complete (0.169.0).
        let mut progress = shared.progress();
        let all = shared.are_all_results(&results)?;
        // If these are the results of all calls, Codex may request the others after the first reply (0.163.0).
        let enough = if all { 1 } else { results.len() };
        let requested = progress.wait_for(|now| now.open_calls >= enough || now.ended);
        timeout(REQUEST_WAIT, requested).await.ok()?.ok()?;
        shared.resume(results, all, permit, source)?;
        // If this elapses, the turn goes on, and its task ends it if it stays silent.
        let accepted = timeout(wait, shared.result_accepted()).await;
        accepted.unwrap_or(true).then_some(self.0)
    }
}

impl SharedTurn {
    /// Abandons the turn if it is parked.
    pub(crate) fn abandon_parked(&self) {
        self.progress.send_if_modified(|progress| {
            progress.abandoned |= progress.parked;
            progress.parked
        });
    }

    /// Whether these are the results of all calls of the model and of no others. None: a call would have no result.
    fn are_all_results(&self, results: &[EncodedToolResult]) -> Option<bool> {
        let state = self.lock();
        let unanswered = &state.calls.unanswered;
        let has_result = |call: &String| results.iter().any(|result| result.call == *call);
        let all = results.len() == unanswered.len();
        unanswered.iter().all(has_result).then_some(all)
    }

    /// Replies to the open calls, and resets the state. With `all`, results that Codex has not requested yet are stored until
    /// it does. None: an open call has no result, a result has no call, or the turn has ended.
    fn resume(
        &self,
        results: Vec<EncodedToolResult>,
        all: bool,
        permit: Permit,
        source: u32,
    ) -> Option<()> {
        let mut state = self.lock();
        let results = results.into_iter();
        let mut results: HashMap<String, Box<RawValue>> =
            results.map(|result| (result.call, result.result)).collect();
        let open = std::mem::take(&mut state.calls.open).into_iter();
        let replies = open.map(|(call, request)| Some((request, results.remove(&call)?)));
        let replies = replies.collect::<Option<Vec<_>>>()?;
        if replies.is_empty() || !(all || results.is_empty()) {
            return None;
        }
        state.reset();
        state.permit = Some(permit);
        state.source = source;
        state.calls.replies = replies;
        state.calls.early_results = results;
        drop(state);
        // The turn may have been abandoned meanwhile, because its child leaves.
        let mut resumed = false;
        self.progress.send_modify(|progress| {
            resumed = !progress.abandoned && !progress.ended;
            if resumed {
                progress.parked = false;
                progress.open_calls = 0;
                progress.has_replies = true;
            }
        });
        resumed.then_some(())
    }

    /// Waits until Codex has accepted a result. False: the child exited before.
    async fn result_accepted(&self) -> bool {
        loop {
            let woken = self.wake.notified();
            let (accepted, over) = {
                let state = self.lock();
                let accepted = state.calls.result_accepted || !state.queue.is_empty();
                (accepted, state.outcome.is_some())
            };
            if accepted || over {
                return accepted || !self.progress.borrow().ended;
            }
            woken.await;
        }
    }
}

impl TurnState {
    /// Resets what belongs to the client's previous request.
    fn reset(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.largest = 0;
        self.retry_filter = RetryFilter::default();
        self.dropped_item = false;
        self.calls = ToolCalls::default();
        self.upstream.begin(Instant::now());
    }
}

#[cfg(test)]
mod tests;
