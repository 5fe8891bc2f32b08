//! A turn as the request has it that asked for it: what it takes and uses is noted of that request, however it ends.

use std::sync::Arc;

use airlock_base::wake_flag::WakeFlag;
use airlock_codex::TurnOutcome;
use airlock_metrics::TurnTrail;
use airlock_types::wit::Event;

/// A turn that has begun or gone on. Dropping it before its end interrupts it.
pub(super) struct Turn {
    /// None only once it is handed off.
    turn: Option<airlock_codex::Turn>,
    trail: TurnTrail,
}

impl Turn {
    /// What was asked for with this trail.
    pub(super) fn new(turn: airlock_codex::Turn, trail: TurnTrail) -> Self {
        let turn = Some(turn);
        Self { turn, trail }
    }

    /// The model that Codex chose.
    pub(super) fn model(&self) -> &str {
        self.turn.as_ref().map_or("", airlock_codex::Turn::model)
    }

    /// Set whenever the turn has output.
    pub(super) fn wake(&self) -> Arc<WakeFlag> {
        let turn = self.turn.as_ref();
        turn.map(airlock_codex::Turn::wake).unwrap_or_default()
    }

    /// Appends what has arrived and, once the turn has ended, gives its outcome: then there is no more. Never waits.
    pub(super) fn take(&mut self, batch: &mut Vec<Event>) -> Option<TurnOutcome> {
        let outcome = self.turn.as_mut()?.drain(batch)?;
        self.trail.ended(outcome.known);
        Some(outcome)
    }

    /// The turn itself, whose part in this request is over.
    pub(super) fn hand_off(mut self) -> Option<airlock_codex::Turn> {
        let turn = self.turn.take()?;
        self.trail.ended(turn.last_received());
        self.spent(&turn);
        Some(turn)
    }

    fn spent(&self, turn: &airlock_codex::Turn) {
        if let Some(used) = turn.used() {
            self.trail.spent(used);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            self.spent(turn);
        }
    }
}
