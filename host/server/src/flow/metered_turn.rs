//! A turn with its metrics: its duration and its tokens are counted for the request that runs it, however it ends.

use std::sync::Arc;

use airlock_base::wake_flag::WakeFlag;
use airlock_codex::{Turn, TurnOutcome};
use airlock_metrics::{TokenCounts, TurnMetrics};
use airlock_types::wit::Event;

/// A turn that has begun or resumed. Dropping it before its end interrupts it.
pub(super) struct MeteredTurn {
    /// None only once it is handed off.
    turn: Option<Turn>,
    metrics: TurnMetrics,
}

impl MeteredTurn {
    /// A turn, and the metrics that were created when it was requested.
    pub(super) fn new(turn: Turn, metrics: TurnMetrics) -> Self {
        let turn = Some(turn);
        Self { turn, metrics }
    }

    /// The model of the turn, as Codex reports it.
    pub(super) fn model(&self) -> &str {
        self.turn.as_ref().map_or("", Turn::model)
    }

    /// The flag that is set whenever the turn has events.
    pub(super) fn wake(&self) -> Arc<WakeFlag> {
        let turn = self.turn.as_ref();
        turn.map(Turn::wake).unwrap_or_default()
    }

    /// Appends the events that have arrived, without waiting. Returns the outcome once the turn has ended and all events are
    /// appended.
    pub(super) fn take(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        let outcome = self.turn.as_mut()?.drain(batch)?;
        self.metrics.ended(outcome.known);
        Some(outcome)
    }

    /// Returns the turn itself, which goes on without this request.
    pub(super) fn hand_off(mut self) -> Option<Turn> {
        let turn = self.turn.take()?;
        self.metrics.ended(turn.last_received());
        self.record_usage(&turn);
        Some(turn)
    }

    fn record_usage(&self, turn: &Turn) {
        if let Some(used) = turn.used() {
            self.metrics.record_usage(TokenCounts {
                input: used.input,
                cached: used.cached,
                output: used.output,
                reasoning: used.reasoning,
            });
        }
    }
}

impl Drop for MeteredTurn {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            self.record_usage(turn);
        }
    }
}
