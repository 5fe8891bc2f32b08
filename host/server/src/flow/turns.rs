//! The turns of one request, heard as one: whatever any of them tells, in the order of time.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::turn::Turn;
use airlock_base::wake_flag::WakeFlag;
use airlock_codex::TurnOutcome;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, ProblemKind};

/// The source whose text is the answer.
pub(super) const ANSWER: u32 = 0;

/// A turn on its way to begin.
type Starting = Pin<Box<dyn Future<Output = (u32, Result<Turn, Failure>)> + Send>>;

/// Turns, each with a source of its own. Dropping it stops them all.
#[derive(Default)]
pub(super) struct Turns {
    /// Set by every turn.
    wake: Arc<WakeFlag>,
    starting: FuturesUnordered<Starting>,
    /// The sources of those.
    awaited: Vec<u32>,
    running: Vec<(u32, Turn)>,
}

/// A turn that has ended, or never began.
pub(super) struct Settled {
    pub(super) source: u32,
    pub(super) outcome: TurnOutcome,
}

impl Settled {
    /// Tells the log of a turn that failed while others go on, for which the request does not fail.
    pub(super) fn log(&self) {
        let Ending::Failed(problem) = &self.outcome.ending else {
            return;
        };
        let (source, code) = (self.source, problem.code.as_deref());
        let cause = self.outcome.cause.as_deref();
        let cause = cause.map(|cause| cause as &(dyn std::error::Error + 'static));
        // What has no cause is a limit of ours, or the client's own slowness.
        match problem.kind {
            ProblemKind::Internal | ProblemKind::Upstream if cause.is_some() => {
                tracing::warn!(source, code, cause, "a turn of a fan-out failed");
            }
            _ => tracing::info!(source, code, cause, "a turn of a fan-out failed"),
        }
    }
}

impl Turns {
    /// The turn of a plain request, which has begun.
    pub(super) fn of(turn: Turn, source: u32) -> Self {
        Self {
            wake: turn.wake(),
            running: vec![(source, turn)],
            ..Self::default()
        }
    }

    /// The flag that every turn here sets.
    pub(super) fn wake(&self) -> Arc<WakeFlag> {
        self.wake.clone()
    }

    /// Adds a turn that is about to begin.
    pub(super) fn add(
        &mut self,
        source: u32,
        turn: impl Future<Output = Result<Turn, Failure>> + Send + 'static,
    ) {
        self.awaited.push(source);
        self.starting
            .push(Box::pin(async move { (source, turn.await) }));
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.awaited.is_empty()
    }

    /// Ends a turn that has begun from our side.
    pub(super) fn stop(&mut self, source: u32) {
        self.running.retain(|(running, _)| *running != source);
    }

    /// Takes a turn that runs out of those that are heard.
    pub(super) fn take_out(&mut self, source: u32) -> Option<Turn> {
        let place = self
            .running
            .iter()
            .position(|(running, _)| *running == source)?;
        Some(self.running.swap_remove(place).1)
    }

    /// Ends them all, and names those that had not ended.
    pub(super) fn stop_all(&mut self) -> Vec<u32> {
        let running = self.running.drain(..).map(|(source, _)| source);
        let mut stopped: Vec<u32> = running.chain(self.awaited.drain(..)).collect();
        self.starting.clear();
        stopped.sort_unstable();
        stopped
    }

    /// Waits until there is something to hear, and appends it: events in the order of time, and turns that have ended,
    /// whose events are then all there. Returns at once when no turn is left. Cancel safe.
    pub(super) async fn receive(&mut self, batch: &mut Vec<Event>, settled: &mut Vec<Settled>) {
        loop {
            let wake = self.wake.clone();
            let woken = wake.notified();
            // Looked after first: others may talk without a pause, and who has begun must be heard like them.
            while !self.awaited.is_empty()
                && let Some(Some(begun)) = self.starting.next().now_or_never()
            {
                self.adopt(begun, settled);
            }
            if self.take(batch, settled) || !settled.is_empty() || self.is_empty() {
                return;
            }
            if self.awaited.is_empty() {
                woken.await;
                continue;
            }
            tokio::select! {
                () = woken => {}
                Some(begun) = self.starting.next() => self.adopt(begun, settled),
            }
        }
    }

    fn adopt(&mut self, (source, turn): (u32, Result<Turn, Failure>), settled: &mut Vec<Settled>) {
        self.awaited.retain(|awaited| *awaited != source);
        match turn {
            Ok(turn) => self.running.push((source, turn)),
            Err(failure) => settled.push(Settled {
                source,
                outcome: failure.into(),
            }),
        }
    }

    /// Takes what has arrived, if anything has.
    fn take(&mut self, batch: &mut Vec<Event>, settled: &mut Vec<Settled>) -> bool {
        let (before, ended_before) = (batch.len(), settled.len());
        let several = self.running.len() > 1;
        self.running.retain_mut(|(source, turn)| {
            let outcome = turn.take(batch);
            let runs = outcome.is_none();
            settled.extend(outcome.map(|outcome| Settled {
                source: *source,
                outcome,
            }));
            runs
        });
        // Stable, and a turn's own events never go back in time, so they keep their order.
        if let Some(fresh) = batch.get_mut(before..).filter(|_| several) {
            fresh.sort_by_key(|event| event.at);
        }
        settled.sort_by_key(|settled| settled.outcome.at);
        batch.len() > before || settled.len() > ended_before
    }
}
