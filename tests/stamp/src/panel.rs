//! The panel: the first complete candidate is the answer.

use std::cell::RefCell;

use crate::bindings::airlock::policy::types::{Choice, Context, Ending, Problem, ProblemKind};
use crate::bindings::exports::airlock::policy::synthesize::{GuestPanel, Outcome, Verdict};
use crate::misbehaviour::StampedCall;
use crate::problem;
use crate::render::Notes;

/// A panel behind the handle that the host holds.
#[derive(Debug)]
pub struct Panel {
    notes: Notes,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    /// Candidates that may still answer.
    left: u32,
    decided: bool,
    /// The first failure.
    problem: Option<Problem>,
}

impl GuestPanel for Panel {
    fn new(context: Context, candidates: u32) -> Self {
        Self {
            notes: Notes::read(&context.notes),
            state: RefCell::new(State {
                left: candidates,
                decided: false,
                problem: None,
            }),
        }
    }

    fn wake(&self, _now: u64) -> Verdict {
        Verdict::Wait(None)
    }

    fn settle(&self, candidate: u32, outcome: Outcome, _now: u64) -> Verdict {
        if let Some(instruction) = self.notes.instruction {
            instruction.happen_at(StampedCall::Panel);
        }
        let mut state = self.state.borrow_mut();
        if state.decided || state.left == 0 {
            return Verdict::Wait(None);
        }
        state.left -= 1;
        let has_text = outcome.messages.iter().any(|one| !one.text.is_empty());
        match outcome.ending {
            Ending::Completed if has_text => {
                state.decided = true;
                return Verdict::Pick(Choice {
                    candidate,
                    extra: None,
                });
            }
            Ending::Failed(problem) => {
                state.problem.get_or_insert(problem);
            }
            Ending::Completed | Ending::Incomplete(_) | Ending::Interrupted | Ending::HandedOff => {
            }
        }
        if state.left > 0 {
            return Verdict::Wait(None);
        }
        state.decided = true;
        Verdict::Fail(state.problem.take().unwrap_or_else(|| {
            problem(
                ProblemKind::Upstream,
                "all_candidates_failed",
                "no candidate gave a complete answer; send the request again",
            )
        }))
    }

    fn judged(&self, _outcome: Outcome, _now: u64) -> Verdict {
        Verdict::Wait(None)
    }
}
