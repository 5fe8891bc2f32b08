//! Supervises a running turn: its deadlines, the replies to its tool calls, and its interruption.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::TurnTimeouts;
use crate::call_error::CallError;
use crate::connection::Connection;
use crate::failure;
use crate::fleet::Worker;
use crate::protocol::{Ignored, TurnInterruptParams};
use crate::turn::{SharedTurn, ToolReply, TurnProgress};
use crate::turn_outcome::TurnOutcome;
use crate::upstream_health::{SUSPICION, UpstreamHealth};

/// A model that has sent anything within this time counts as reachable, although a connection to it failed.
const REACHED: Duration = Duration::from_secs(2);

/// How long an interrupted turn may take to end. Its permit is released then in any case.
const INTERRUPT_DEADLINE: Duration = Duration::from_secs(60);

/// The pause before a turn that goes on is interrupted again. Doubles each time.
const INTERRUPT_PAUSE: Duration = Duration::from_millis(50);

/// Supervises a turn until it has ended or is abandoned, and ends it for its reply at its deadline. The clock of a parked turn
/// stands still, and restarts when the turn is resumed.
pub(super) async fn supervise(
    child: &Worker,
    shared: &SharedTurn,
    mut deadline: Instant,
    timeouts: TurnTimeouts,
) {
    let mut progress = shared.progress();
    let mut model = ModelWatch::default();
    // Each round considers the current progress only, as changes may be faster than this task.
    loop {
        let now = *progress.borrow_and_update();
        model.observe(&child.upstream, shared, &now);
        if is_over(&now) {
            return;
        }
        if now.has_replies {
            let (replies, resumed) = shared.take_replies();
            if resumed {
                deadline = Instant::now() + timeouts.turn;
            }
            let sent = tokio::select! {
                biased;
                _ = progress.wait_for(is_over) => return,
                sent = timeout_at(deadline, Box::pin(send_replies(&child.connection, replies))) => sent,
            };
            match sent {
                Ok(true) => continue,
                // The child's stdin is closed, so it will exit.
                Ok(false) => return shared.child_exited(),
                Err(_elapsed) => return shared.end(failure::too_slow()),
            }
        }
        if now.parked {
            tokio::select! {
                _ = progress.changed() => {}
                // The request that would have resumed the turn gets a new thread on another child.
                () = child.leaving.cancelled() => shared.abandon_parked(),
            }
            continue;
        }
        let until = model.next_check(shared, &now, timeouts, deadline);
        if timeout_at(until, progress.changed()).await.is_ok() {
            continue;
        }
        if Instant::now() >= deadline {
            return shared.end(failure::too_slow());
        }
        if let Some(outcome) = model.check(&child.upstream, shared, &now, timeouts) {
            return shared.end(outcome);
        }
    }
}

fn is_over(progress: &TurnProgress) -> bool {
    progress.ended || progress.abandoned
}

/// Reports to `UpstreamHealth` what a turn observes of the model.
#[derive(Default)]
struct ModelWatch {
    responses_begun: u32,
    requests_failed: u32,
    /// The start of the request whose silence was reported.
    suspected: Option<Instant>,
}

impl ModelWatch {
    /// Reports the results of the turn's requests to the model.
    fn observe(&mut self, health: &UpstreamHealth, shared: &SharedTurn, now: &TurnProgress) {
        if now.responses_begun != self.responses_begun {
            self.responses_begun = now.responses_begun;
            health.answered();
        }
        if now.requests_failed != self.requests_failed {
            self.requests_failed = now.requests_failed;
            let error = shared.model_error();
            if error.is_some_and(|error| failure::is_unreachable(&error)) {
                let failed = Instant::now();
                // Not `has_sent_after(since)`: Codex's report is newer than an answer that began meanwhile.
                let before = failed.checked_sub(REACHED);
                if before.is_none_or(|before| !health.has_sent_after(before)) {
                    health.unreachable(shared.awaits_model_since().unwrap_or(failed));
                }
            }
        }
        if now.too_many_requests {
            health.count_loop();
        }
    }

    /// When `check` must be called if nothing changes before. The task observes the silence, as a client that does not read
    /// does not poll its reply.
    fn next_check(
        &self,
        shared: &SharedTurn,
        now: &TurnProgress,
        timeouts: TurnTimeouts,
        deadline: Instant,
    ) -> Instant {
        let due = match now.open_calls {
            0 => self.due(shared, timeouts.model),
            _ => Some(shared.last_received() + timeouts.call),
        };
        due.map_or(deadline, |due| due.min(deadline))
    }

    /// Checks a silent model. Some: the outcome with which the turn must end.
    fn check(
        &mut self,
        health: &UpstreamHealth,
        shared: &SharedTurn,
        now: &TurnProgress,
        timeouts: TurnTimeouts,
    ) -> Option<TurnOutcome> {
        if now.open_calls == 0 {
            return self.is_overdue(health, shared, timeouts.model).then(|| {
                failure::unanswered_by_model(timeouts.model, shared.model_error().as_ref())
            });
        }
        let is_silent = Instant::now() >= shared.last_received() + timeouts.call;
        (is_silent && !shared.probe()).then(|| failure::unanswered().into())
    }

    /// When the silence of the model must be reported, or must end the turn. None: no response is awaited.
    fn due(&self, shared: &SharedTurn, wait: Duration) -> Option<Instant> {
        let since = shared.awaits_model_since()?;
        Some(match self.suspected == Some(since) {
            true => since + wait,
            false => since + wait.min(SUSPICION),
        })
    }

    /// Whether the model has been silent for so long that the turn must end. Reports shorter silence.
    fn is_overdue(&mut self, health: &UpstreamHealth, shared: &SharedTurn, wait: Duration) -> bool {
        let Some(since) = shared.awaits_model_since() else {
            return false;
        };
        let silent = since.elapsed();
        if silent >= SUSPICION && self.suspected != Some(since) {
            self.suspected = Some(since);
            if !health.has_sent_after(since) {
                health.silent(since);
            }
        }
        if silent < wait {
            return false;
        }
        // An error that arrived over a connection does not concern the network.
        let error = shared.model_error();
        let is_unreachable = error.is_none_or(|error| failure::is_unreachable(&error));
        if is_unreachable && !health.has_sent_after(since) {
            health.unreachable(since);
        }
        health.count_timeout();
        true
    }
}

/// Sends the results that Codex has requested. False: the connection is closed.
async fn send_replies(connection: &Connection, replies: Vec<ToolReply>) -> bool {
    for (request, result) in replies {
        let Ok(_budget) = connection.reserve(result.get().len()).await else {
            return false;
        };
        if connection.respond(&request, &result).await.is_err() {
            return false;
        }
    }
    true
}

/// Interrupts a turn, repeatedly, until it has ended or `INTERRUPT_DEADLINE` has passed.
pub(super) async fn interrupt(connection: &Connection, thread: &str, shared: &SharedTurn) {
    let mut progress = shared.progress();
    let deadline = Instant::now() + INTERRUPT_DEADLINE;
    let mut pause = INTERRUPT_PAUSE;
    while !progress.borrow().ended {
        if Instant::now() >= deadline {
            tracing::error!("a turn goes on although it was interrupted");
            return;
        }
        let turn = shared.id();
        let params = TurnInterruptParams {
            thread_id: thread,
            turn_id: &turn,
        };
        let interrupted = connection.call::<Ignored>("turn/interrupt", &params);
        // Boxed, as few turns need it: each task would reserve memory for it.
        let interrupted = Box::pin(interrupted).await;
        // Until `turn/started`, Codex answers "no active turn to interrupt" and the turn goes on (0.169.0). So the call is
        // repeated as soon as the turn has started, and after a pause in any case.
        let started = progress.borrow().started;
        match interrupted {
            Err(CallError::Closed) => return,
            Err(error) => tracing::debug!(%error, "an interrupt did not hold"),
            Ok(_) => {}
        }
        let further = progress.wait_for(|progress| progress.ended || progress.started != started);
        let _ = timeout(pause, further).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
