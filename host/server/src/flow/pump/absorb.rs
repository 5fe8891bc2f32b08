//! New events and ended turns, distributed to the reply, the panel and the log.

use super::super::turn_set::{ANSWER, SettledTurn};
use super::Pump;
use airlock_codex::TurnOutcome;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, EventKind, ProblemKind};

impl Pump {
    /// Appends new events to the batch, and makes the answer's outcome the ending. The caller clears `fresh`.
    pub(super) fn absorb(&mut self, fresh: &mut Vec<Event>, mut settled: Vec<SettledTurn>) {
        // A stream cannot take back what it has sent, so an answer that restarts fails here.
        let restart = fresh.iter().position(|event| {
            event.source == ANSWER && matches!(event.kind, EventKind::Restarted(_))
        });
        if let Some(restart) = restart.filter(|_| self.streaming) {
            let mut index = 0;
            fresh.retain(|event| {
                index += 1;
                index <= restart || event.source != ANSWER
            });
            self.turns.stop(ANSWER);
            settled.retain(|settled| settled.source != ANSWER);
            let outcome = Failure::new(
                ProblemKind::Upstream,
                "stream_restarted",
                "Part of the text that was sent is invalid: the model's stream broke and the retry differs, or Codex had \
                 removed some of the text. Send the request again, without `stream` if this happens twice.",
            );
            settled.push(SettledTurn {
                source: ANSWER,
                outcome: outcome.into(),
            });
        }
        let end = match &mut self.fan_out {
            Some(fan_out) => fan_out.absorb(
                std::mem::take(fresh),
                settled,
                &mut self.turns,
                &mut self.batch,
            ),
            None => {
                self.batch.append(fresh);
                settled.pop().map(|settled| settled.outcome)
            }
        };
        if let Some(TurnOutcome { ending, cause, .. }) = end {
            self.ending = Some(ending);
            self.cause = cause;
        }
        if self.turns.is_empty() && !self.is_over() && !self.is_due() {
            // No turn is left and no ending came: a bug. Without an ending the pump would loop.
            self.ending = Some(Ending::Interrupted);
        }
    }
}
