//! The bounded buffer of a fan-out: transcripts of its turns for the panel, and the cost of the events that its reply has not
//! received because the client reads slowly.

use super::transcript::TurnTranscript;
use crate::config::ServerLimits;
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, EventKind, Message, Outcome, ProblemKind};

/// The number of pending events from which deltas of the same item are joined.
const COMPACT_FROM: usize = 4096;

/// The buffer. Its transcripts are those of candidates and of the consulted turn.
pub(super) struct CandidateBuffer {
    /// Candidate 1 is at index 0.
    candidates: Vec<CandidateTurn>,
    /// The turn that the panel consults.
    consulted: Option<(u32, TurnTranscript)>,
    /// Bytes of the candidates' text.
    bytes: usize,
    /// The cost in bytes of the pending events, which the reply has not received.
    pending_bytes: usize,
    /// The number of pending events from which they are joined again.
    compact_from: usize,
    limits: BufferLimits,
}

enum CandidateTurn {
    Running(TurnTranscript),
    /// Has no messages if the turn failed.
    Ended(Outcome),
}

#[derive(Clone, Copy)]
struct BufferLimits {
    /// Bytes of one turn's text.
    turn_bytes: usize,
    /// Bytes of all candidates' text.
    candidates_bytes: usize,
    /// Bytes that pending events may cost.
    pending_bytes: usize,
}

impl CandidateBuffer {
    /// An empty buffer for this number of candidates.
    pub(super) fn new(candidates: usize, limits: &ServerLimits, turn_buffer_bytes: usize) -> Self {
        Self {
            candidates: (0..candidates)
                .map(|_| CandidateTurn::Running(TurnTranscript::default()))
                .collect(),
            consulted: None,
            bytes: 0,
            pending_bytes: 0,
            compact_from: COMPACT_FROM,
            limits: BufferLimits {
                turn_bytes: limits.candidate_bytes,
                candidates_bytes: limits.fan_out_bytes,
                // The text of all candidates, and a turn's buffer of the answer.
                pending_bytes: limits.fan_out_bytes.saturating_add(turn_buffer_bytes),
            },
        }
    }

    /// Appends new events to the transcripts. Returns the events for the reply, and the sources that exceeded a limit with
    /// the reason. The later events of those sources are dropped.
    pub(super) fn append(&mut self, fresh: Vec<Event>) -> (Vec<Event>, Vec<(u32, Failure)>) {
        let mut accepted = Vec::with_capacity(fresh.len());
        let mut over: Vec<(u32, Failure)> = Vec::new();
        for event in fresh {
            if over.iter().any(|(source, _)| *source == event.source) {
                continue;
            }
            let cost = events::cost(&event.kind);
            // A single event may exceed the limit: an answer in one piece is as large as a line of Codex.
            if self.pending_bytes > 0 && self.pending_bytes + cost > self.limits.pending_bytes {
                over.push((event.source, too_slow()));
            } else if !self.record(&event) {
                over.push((event.source, too_large()));
            } else {
                self.pending_bytes += cost;
                accepted.push(event);
            }
        }
        (accepted, over)
    }

    /// Joins the pending events' deltas once there are too many.
    pub(super) fn compact(&mut self, pending: &mut Vec<Event>) {
        if pending.len() > self.compact_from {
            events::compact(pending);
            self.compact_from = COMPACT_FROM.max(2 * pending.len());
            self.set_pending(pending);
        }
    }

    /// Records that the reply has received all events but these.
    pub(super) fn set_pending(&mut self, pending: &[Event]) {
        self.pending_bytes = pending.iter().map(|event| events::cost(&event.kind)).sum();
    }

    /// Starts the transcript of a consulted turn.
    pub(super) fn consult(&mut self, source: u32) {
        self.consulted = Some((source, TurnTranscript::default()));
    }

    /// The outcome of the consulted turn, which has ended.
    pub(super) fn consulted(&mut self, ending: Ending) -> Outcome {
        let transcript = self.consulted.take().map(|(_, transcript)| transcript);
        transcript.unwrap_or_default().outcome(ending)
    }

    /// The outcome of a candidate that has ended, numbered from 1. None if there is no such candidate, or it had ended before.
    pub(super) fn settle(&mut self, candidate: u32, ending: Ending) -> Option<&Outcome> {
        let state = self.candidates.get_mut(index(candidate))?;
        let CandidateTurn::Running(transcript) = state else {
            return None;
        };
        let transcript = std::mem::take(transcript);
        let bytes = transcript.bytes();
        let outcome = transcript.outcome(ending);
        if outcome.messages.is_empty() {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        *state = CandidateTurn::Ended(outcome);
        match state {
            CandidateTurn::Ended(outcome) => Some(outcome),
            CandidateTurn::Running(_) => None,
        }
    }

    /// Takes a candidate's messages, with its ending. None if it has none.
    pub(super) fn answer(&mut self, candidate: u32) -> Option<(Vec<Message>, Ending)> {
        match self.candidates.get_mut(index(candidate))? {
            CandidateTurn::Ended(outcome) if !outcome.messages.is_empty() => Some((
                std::mem::take(&mut outcome.messages),
                outcome.ending.clone(),
            )),
            CandidateTurn::Ended(_) | CandidateTurn::Running(_) => None,
        }
    }

    /// Drops all transcripts.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
        self.consulted = None;
        self.bytes = 0;
    }

    /// Appends an event to its turn's transcript, if there is one. False: that exceeds a limit.
    fn record(&mut self, event: &Event) -> bool {
        if !matches!(event.kind, EventKind::Text(_) | EventKind::Restarted(_)) {
            return true;
        }
        if let Some((source, transcript)) = &mut self.consulted {
            if *source == event.source {
                transcript.append(&event.kind);
                return transcript.bytes() <= self.limits.turn_bytes;
            }
            return true;
        }
        let Some(CandidateTurn::Running(transcript)) = self.candidates.get_mut(index(event.source))
        else {
            return true;
        };
        let before = transcript.bytes();
        transcript.append(&event.kind);
        self.bytes = self.bytes.saturating_sub(before) + transcript.bytes();
        transcript.bytes() <= self.limits.turn_bytes && self.bytes <= self.limits.candidates_bytes
    }
}

/// The index of a candidate of this number.
fn index(candidate: u32) -> usize {
    usize::try_from(candidate).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

fn too_large() -> Failure {
    Failure::new(
        ProblemKind::Upstream,
        "candidate_too_large",
        "a turn's output exceeds what the gateway keeps of one turn, or of all candidates together",
    )
}

fn too_slow() -> Failure {
    Failure::new(
        ProblemKind::Upstream,
        "client_too_slow",
        "the answer was read too slowly: more of it waited than the gateway keeps",
    )
}

#[cfg(test)]
mod tests;
