//! The turns of one request, whose events are merged into one sequence, ordered by time.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::metered_turn::MeteredTurn;
use airlock_base::wake_flag::WakeFlag;
use airlock_codex::TurnOutcome;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, ProblemKind};

/// The source of the answer.
pub(super) const ANSWER: u32 = 0;

/// A turn that is being started.
type StartingTurn = Pin<Box<dyn Future<Output = (u32, Result<MeteredTurn, Failure>)> + Send>>;

/// Turns, each with its own source. Dropping the set stops them all.
#[derive(Default)]
pub(super) struct TurnSet {
    /// Set by every turn of the set.
    wake: Arc<WakeFlag>,
    starting: FuturesUnordered<StartingTurn>,
    /// The sources of the turns that are being started.
    awaited: Vec<u32>,
    running: Vec<(u32, MeteredTurn)>,
}

/// A turn that has ended, or could not be started.
pub(super) struct SettledTurn {
    pub(super) source: u32,
    pub(super) outcome: TurnOutcome,
}

impl SettledTurn {
    /// Logs a failed turn of a request that goes on with others.
    pub(super) fn log(&self) {
        let Ending::Failed(problem) = &self.outcome.ending else {
            return;
        };
        let (source, code) = (self.source, problem.code.as_deref());
        let cause = self.outcome.cause.as_deref();
        let cause = cause.map(|cause| cause as &(dyn std::error::Error + 'static));
        // A failure without a cause is a limit of the gateway, or a client that reads slowly.
        match problem.kind {
            ProblemKind::Internal | ProblemKind::Upstream if cause.is_some() => {
                tracing::warn!(source, code, cause, "a turn of a fan-out failed");
            }
            _ => tracing::info!(source, code, cause, "a turn of a fan-out failed"),
        }
    }
}

impl TurnSet {
    /// A set of one turn, which has begun.
    pub(super) fn of(turn: MeteredTurn, source: u32) -> Self {
        Self {
            wake: turn.wake(),
            running: vec![(source, turn)],
            ..Self::default()
        }
    }

    /// The flag that every turn of the set sets.
    pub(super) fn wake(&self) -> Arc<WakeFlag> {
        self.wake.clone()
    }

    /// Adds a turn that starts when this future is polled.
    pub(super) fn add(
        &mut self,
        source: u32,
        turn: impl Future<Output = Result<MeteredTurn, Failure>> + Send + 'static,
    ) {
        self.awaited.push(source);
        self.starting
            .push(Box::pin(async move { (source, turn.await) }));
    }

    /// Whether no turn runs or is being started.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.awaited.is_empty()
    }

    /// Interrupts a running turn.
    pub(super) fn stop(&mut self, source: u32) {
        self.running.retain(|(running, _)| *running != source);
    }

    /// Removes a running turn, without interrupting it.
    pub(super) fn remove(&mut self, source: u32) -> Option<MeteredTurn> {
        let index = self
            .running
            .iter()
            .position(|(running, _)| *running == source)?;
        Some(self.running.swap_remove(index).1)
    }

    /// Interrupts all turns. Returns their sources, in order.
    pub(super) fn stop_all(&mut self) -> Vec<u32> {
        let running = self.running.drain(..).map(|(source, _)| source);
        let mut stopped: Vec<u32> = running.chain(self.awaited.drain(..)).collect();
        self.starting.clear();
        stopped.sort_unstable();
        stopped
    }

    /// Waits for events or ended turns, and appends them, ordered by time. All events of an ended turn are appended before or
    /// with it. Returns at once when no turn is left. Cancel safe.
    pub(super) async fn receive(&mut self, batch: &mut Vec<Event>, settled: &mut Vec<SettledTurn>) {
        loop {
            let wake = self.wake.clone();
            let notified = wake.notified();
            // Started turns come first: the others may have events all the time, and must not starve a new one.
            while !self.awaited.is_empty()
                && let Some(Some(started)) = self.starting.next().now_or_never()
            {
                self.adopt(started, settled);
            }
            if self.drain(batch, settled) || !settled.is_empty() || self.is_empty() {
                return;
            }
            if self.awaited.is_empty() {
                notified.await;
                continue;
            }
            tokio::select! {
                () = notified => {}
                Some(started) = self.starting.next() => self.adopt(started, settled),
            }
        }
    }

    /// Adds a started turn to those that run, or to the settled ones if it could not be started.
    fn adopt(
        &mut self,
        (source, turn): (u32, Result<MeteredTurn, Failure>),
        settled: &mut Vec<SettledTurn>,
    ) {
        self.awaited.retain(|awaited| *awaited != source);
        match turn {
            Ok(turn) => self.running.push((source, turn)),
            Err(failure) => settled.push(SettledTurn {
                source,
                outcome: failure.into(),
            }),
        }
    }

    /// Appends the events and ended turns that have arrived. False: there were none.
    fn drain(&mut self, batch: &mut Vec<Event>, settled: &mut Vec<SettledTurn>) -> bool {
        let (before, ended_before) = (batch.len(), settled.len());
        let several = self.running.len() > 1;
        self.running.retain_mut(|(source, turn)| {
            let outcome = turn.take(batch);
            let runs = outcome.is_none();
            settled.extend(outcome.map(|outcome| SettledTurn {
                source: *source,
                outcome,
            }));
            runs
        });
        // A stable sort: the times of one turn's events never decrease, so they keep their order.
        if let Some(fresh) = batch.get_mut(before..).filter(|_| several) {
            fresh.sort_by_key(|event| event.at);
        }
        settled.sort_by_key(|settled| settled.outcome.at);
        batch.len() > before || settled.len() > ended_before
    }
}
