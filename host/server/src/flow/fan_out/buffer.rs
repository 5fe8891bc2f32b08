//! The buffer of a fan-out: the transcripts of its turns, for the panel, and events that its reply has not received, for a
//! client that reads slowly. Both are bounded.

use super::transcript::Transcript;
use crate::config::ServerLimits;
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, EventKind, Message, Outcome, ProblemKind};

/// Events that wait, beyond which pieces of the same thing are joined.
const WAITING: usize = 4096;

/// A turn that the panel does not request is not in it.
pub(super) struct CandidateBuffer {
    /// Candidate 1 is the first.
    candidates: Vec<Candidate>,
    /// The turn that the panel consults.
    consulted: Option<(u32, Transcript)>,
    /// Bytes of all that the candidates have said.
    bytes: usize,
    /// The cost of the events that the reply has not received.
    waiting: usize,
    /// How many of them there may be before they are joined again.
    patience: usize,
    /// Bytes of one turn, of all candidates, and of what waits.
    bounds: Bounds,
}

enum Candidate {
    Running(Transcript),
    /// Without messages where it failed.
    Ended(Outcome),
}

#[derive(Clone, Copy)]
struct Bounds {
    each: usize,
    all: usize,
    waiting: usize,
}

impl CandidateBuffer {
    /// Nothing yet, of so many candidates.
    pub(super) fn new(candidates: usize, limits: &ServerLimits, turn_buffer_bytes: usize) -> Self {
        Self {
            candidates: (0..candidates)
                .map(|_| Candidate::Running(Transcript::default()))
                .collect(),
            consulted: None,
            bytes: 0,
            waiting: 0,
            patience: WAITING,
            bounds: Bounds {
                each: limits.candidate_bytes,
                all: limits.fan_out_bytes,
                // All that candidates may say, and as much of the answer as of any.
                waiting: limits.fan_out_bytes.saturating_add(turn_buffer_bytes),
            },
        }
    }

    /// Keeps what fresh events say, and gives back those that the reply may hear. With them come the sources of which
    /// more would have to be kept than may be, and why: nothing more of them is taken.
    pub(super) fn append(&mut self, fresh: Vec<Event>) -> (Vec<Event>, Vec<(u32, Failure)>) {
        let mut taken = Vec::with_capacity(fresh.len());
        let mut over: Vec<(u32, Failure)> = Vec::new();
        for event in fresh {
            if over.iter().any(|(source, _)| *source == event.source) {
                continue;
            }
            let cost = events::cost(&event.kind);
            // One event may be as large as a line: an answer that comes whole is not a client's slowness.
            if self.waiting > 0 && self.waiting + cost > self.bounds.waiting {
                over.push((event.source, too_slow()));
            } else if !self.note(&event) {
                over.push((event.source, too_large()));
            } else {
                self.waiting += cost;
                taken.push(event);
            }
        }
        (taken, over)
    }

    /// Joins what waits where it has become too much.
    pub(super) fn compact(&mut self, waiting: &mut Vec<Event>) {
        if waiting.len() > self.patience {
            events::compact(waiting);
            self.patience = WAITING.max(2 * waiting.len());
            self.sent(waiting);
        }
    }

    /// The reply has received all but these.
    pub(super) fn sent(&mut self, waiting: &[Event]) {
        self.waiting = waiting.iter().map(|event| events::cost(&event.kind)).sum();
    }

    /// A turn is consulted from now on.
    pub(super) fn consult(&mut self, source: u32) {
        self.consulted = Some((source, Transcript::default()));
    }

    /// What came of the turn that was consulted.
    pub(super) fn consulted(&mut self, ending: Ending) -> Outcome {
        let transcript = self.consulted.take().map(|(_, transcript)| transcript);
        transcript.unwrap_or_default().outcome(ending)
    }

    /// What came of a candidate, from 1. None where it is none, or has ended before.
    pub(super) fn settle(&mut self, candidate: u32, ending: Ending) -> Option<&Outcome> {
        let place = self.candidates.get_mut(place(candidate))?;
        let Candidate::Running(transcript) = place else {
            return None;
        };
        let transcript = std::mem::take(transcript);
        let bytes = transcript.bytes();
        let outcome = transcript.outcome(ending);
        if outcome.messages.is_empty() {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        *place = Candidate::Ended(outcome);
        match place {
            Candidate::Ended(outcome) => Some(outcome),
            Candidate::Running(_) => None,
        }
    }

    /// A candidate's answer and how it ended. None where it has none.
    pub(super) fn answer(&mut self, candidate: u32) -> Option<(Vec<Message>, Ending)> {
        match self.candidates.get_mut(place(candidate))? {
            Candidate::Ended(outcome) if !outcome.messages.is_empty() => Some((
                std::mem::take(&mut outcome.messages),
                outcome.ending.clone(),
            )),
            Candidate::Ended(_) | Candidate::Running(_) => None,
        }
    }

    /// Forgets what the turns have said.
    pub(super) fn forget(&mut self) {
        self.candidates.clear();
        self.consulted = None;
        self.bytes = 0;
    }

    /// Takes what concerns the words of a turn that is asked after. False where there is no room for it.
    fn note(&mut self, event: &Event) -> bool {
        if !matches!(event.kind, EventKind::Text(_) | EventKind::Restarted(_)) {
            return true;
        }
        if let Some((source, transcript)) = &mut self.consulted {
            if *source == event.source {
                transcript.append(&event.kind);
                return transcript.bytes() <= self.bounds.each;
            }
            return true;
        }
        let Some(Candidate::Running(transcript)) = self.candidates.get_mut(place(event.source))
        else {
            return true;
        };
        let before = transcript.bytes();
        transcript.append(&event.kind);
        self.bytes = self.bytes.saturating_sub(before) + transcript.bytes();
        transcript.bytes() <= self.bounds.each && self.bytes <= self.bounds.all
    }
}

/// Where a candidate of this number stands.
fn place(candidate: u32) -> usize {
    usize::try_from(candidate).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

fn too_large() -> Failure {
    Failure::new(
        ProblemKind::Upstream,
        "candidate_too_large",
        "a turn said more than the gateway keeps of one, or of all candidates together",
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
