//! A turn that runs: its time, the answers that it is to be given, and its end.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Patience;
use crate::connection::{CallError, Connection};
use crate::failure;
use crate::fleet::Worker;
use crate::protocol::{Ignored, TurnInterruptParams};
use crate::turn::{Given, Progress, Shared};
use crate::upstream::{SUSPICION, UpstreamHealth};

/// A model that has sent anything so lately is reached, though a connection to it failed.
const REACHED: Duration = Duration::from_secs(2);

/// How long an interrupted turn may take to end, before its place is given to another all the same.
const INTERRUPT_DEADLINE: Duration = Duration::from_secs(60);

/// How long after an interrupt that did not hold the next follows. Doubles each time.
const INTERRUPT_PAUSE: Duration = Duration::from_millis(50);

/// Waits until the turn has ended, or nobody wants it any more, or it has taken too long. A turn that waits for its
/// client takes no time, and has all of it again when it goes on.
pub(super) async fn see_through(
    child: &Worker,
    shared: &Shared,
    mut deadline: Instant,
    patience: Patience,
) {
    let connection = &child.connection;
    let mut progress = shared.progress();
    let over = |now: &Progress| now.ended || now.abandoned;
    let mut model = ModelWatch::default();
    // Looks at how things are and never at how they have become so: they may change faster than this task runs.
    loop {
        let now = *progress.borrow_and_update();
        model.observe(&child.upstream, shared, &now);
        if over(&now) {
            return;
        }
        if now.answers {
            let (answers, goes_on) = shared.answers();
            if goes_on {
                deadline = Instant::now() + patience.turn;
            }
            let given = tokio::select! {
                biased;
                _ = progress.wait_for(over) => return,
                given = timeout_at(deadline, Box::pin(give(connection, answers))) => given,
            };
            match given {
                Ok(true) => continue,
                // Nothing more can be written to the child, which is on its way out.
                Ok(false) => return shared.lost(),
                Err(_elapsed) => return shared.end(failure::too_slow()),
            }
        }
        if now.parked {
            tokio::select! {
                _ = progress.changed() => {}
                // Whoever comes with the results has them laid before another child.
                () = child.leaving.cancelled() => shared.abandon_parked(),
            }
            continue;
        }
        // Kept here and not by the reply: a client that does not read asks its reply for nothing.
        let silent = || shared.last_received() + patience.call;
        let until = match now.open {
            0 => model
                .due(shared, patience.model)
                .map_or(deadline, |due| due.min(deadline)),
            _ => silent().min(deadline),
        };
        if timeout_at(until, progress.changed()).await.is_ok() {
            continue;
        }
        if Instant::now() >= deadline {
            return shared.end(failure::too_slow());
        }
        if now.open == 0 {
            if model.is_overdue(&child.upstream, shared, patience.model) {
                let error = shared.model_error();
                return shared.end(failure::unanswered_by_model(patience.model, error.as_ref()));
            }
        } else if Instant::now() >= silent() && !shared.probe() {
            return shared.end(failure::unanswered());
        }
    }
}

/// What the turn's task has reported of the model.
#[derive(Default)]
struct ModelWatch {
    answered: u32,
    failed: u32,
    /// The request whose silence was reported, by when it began.
    suspected: Option<Instant>,
}

impl ModelWatch {
    /// Reports what has become of the turn's requests to the model.
    fn observe(&mut self, health: &UpstreamHealth, shared: &Shared, now: &Progress) {
        if now.answered != self.answered {
            self.answered = now.answered;
            health.answered();
        }
        if now.failed != self.failed {
            self.failed = now.failed;
            let error = shared.model_error();
            if error.is_some_and(|error| failure::is_unreachable(&error)) {
                let failed = Instant::now();
                // Not `has_sent_after(since)`: what Codex reports is newer than an answer that began meanwhile.
                let before = failed.checked_sub(REACHED);
                if before.is_none_or(|before| !health.has_sent_after(before)) {
                    health.unreachable(shared.awaits_model_since().unwrap_or(failed));
                }
            }
        }
        if now.loops {
            health.count_loop();
        }
    }

    /// When the model has been silent for too long. None: it is answering, or not asked.
    fn due(&self, shared: &Shared, wait: Duration) -> Option<Instant> {
        let since = shared.awaits_model_since()?;
        Some(match self.suspected == Some(since) {
            true => since + wait,
            false => since + wait.min(SUSPICION),
        })
    }

    /// Whether the model has been silent for so long that the turn ends. Silence of less is reported.
    fn is_overdue(&mut self, health: &UpstreamHealth, shared: &Shared, wait: Duration) -> bool {
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
        // An error that came over a connection says nothing of the network.
        let error = shared.model_error();
        let is_unreachable = error.is_none_or(|error| failure::is_unreachable(&error));
        if is_unreachable && !health.has_sent_after(since) {
            health.unreachable(since);
        }
        health.count_timeout();
        true
    }
}

/// Answers what Codex has asked. False: it cannot be answered any more.
async fn give(connection: &Connection, answers: Vec<Given>) -> bool {
    for (request, result) in answers {
        let Ok(_room) = connection.room(result.get().len()).await else {
            return false;
        };
        if connection.answer(&request, &result).await.is_err() {
            return false;
        }
    }
    true
}

/// Interrupts a turn that has not ended, until it has.
pub(super) async fn see_out(connection: &Connection, thread: &str, shared: &Shared) {
    let mut progress = shared.progress();
    let deadline = Instant::now() + INTERRUPT_DEADLINE;
    let mut pause = INTERRUPT_PAUSE;
    while !progress.borrow().ended {
        if Instant::now() >= deadline {
            tracing::error!("a turn goes on although it was interrupted");
            return;
        }
        let turn = shared.turn();
        let params = TurnInterruptParams {
            thread_id: thread,
            turn_id: &turn,
        };
        let interrupted = connection.call::<Ignored>("turn/interrupt", &params);
        // Boxed: few turns come to this, and each would keep room for it.
        let interrupted = Box::pin(interrupted).await;
        // Until `turn/started` Codex says "no active turn to interrupt" and the turn goes on (0.169.0): so it is
        // asked again as soon as the turn has started, and after a pause in any case.
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
