//! Makes one answer of several: the shortest complete one.

use std::cell::RefCell;

use crate::Policy;
use crate::bindings::airlock::policy::types::{
    Choice, Context, Ending, Phase, Problem, ProblemKind,
};
use crate::bindings::exports::airlock::policy::synthesize::{Guest, GuestPanel, Outcome, Verdict};

impl Guest for Policy {
    type Panel = Panel;
}

/// Decides over the candidates of one request, once the last of them has ended.
#[derive(Debug)]
pub struct Panel(RefCell<State>);

#[derive(Debug)]
struct State {
    /// The number of candidates, and of those that have not ended.
    candidates: u32,
    running: u32,
    /// The best candidate so far: its rank, of which the lowest is best, and its number.
    best: Option<(Rank, u32)>,
    /// The problem of the first candidate that failed.
    failed: Option<Problem>,
}

/// Whether the answer was cut short, and its length in characters. A whole answer ranks before one that was cut.
type Rank = (bool, usize);

impl GuestPanel for Panel {
    fn new(_context: Context, candidates: u32) -> Self {
        Self(RefCell::new(State {
            candidates,
            running: candidates,
            best: None,
            failed: None,
        }))
    }

    /// The panel waits for candidates only, and not for a time.
    fn wake(&self, _now: u64) -> Verdict {
        Verdict::Wait(None)
    }

    fn settle(&self, candidate: u32, outcome: Outcome, _now: u64) -> Verdict {
        let mut state = self.0.borrow_mut();
        state.running = state.running.saturating_sub(1);
        if let Some(rank) = rank(&outcome) {
            // Of equal ranks, the lower number wins.
            let found = (rank, candidate);
            state.best = Some(state.best.map_or(found, |best| best.min(found)));
        } else if let Ending::Failed(problem) = outcome.ending {
            state.failed.get_or_insert(problem);
        }
        if state.running > 0 {
            return Verdict::Wait(None);
        }
        match state.best {
            Some(((_, length), candidate)) => Verdict::Pick(Choice {
                candidate,
                extra: Some(format!(
                    r#"{{"characters":{length},"of":{}}}"#,
                    state.candidates
                )),
            }),
            None => Verdict::Fail(state.failed.take().unwrap_or_else(no_answer)),
        }
    }

    /// Never called: the panel requests no turns.
    fn judged(&self, _outcome: Outcome, _now: u64) -> Verdict {
        Verdict::Fail(no_answer())
    }
}

/// The rank of an answer. `None` if the outcome is no answer.
fn rank(outcome: &Outcome) -> Option<Rank> {
    let cut = match outcome.ending {
        Ending::Completed => false,
        Ending::Incomplete(_) => true,
        Ending::Interrupted | Ending::Failed(_) | Ending::HandedOff => return None,
    };
    let texts = outcome
        .messages
        .iter()
        .filter(|message| message.phase != Some(Phase::Commentary));
    let length: usize = texts
        .map(|message| message.text.trim().chars().count())
        .sum();
    (length > 0).then_some((cut, length))
}

fn no_answer() -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: Some("no_answer".to_owned()),
        message: "no candidate gave an answer; send the request again".to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::airlock::policy::types::Shortfall;
    use crate::bindings::exports::airlock::policy::synthesize::Message;

    fn panel(candidates: u32) -> Panel {
        let context = Context {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            model: "a-model".to_owned(),
            notes: String::new(),
            seed: String::new(),
        };
        Panel::new(context, candidates)
    }

    fn outcome(ending: Ending, text: &str) -> Outcome {
        let message = Message {
            phase: None,
            text: text.to_owned(),
        };
        Outcome {
            ending,
            messages: vec![message],
        }
    }

    fn picked(verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Pick(choice) => choice.candidate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_shortest_answer_is_picked_once_all_have_ended() {
        let panel = panel(3);
        assert_eq!(panel.wake(0), Verdict::Wait(None));
        let long = outcome(Ending::Completed, "Four, as anybody can see.");
        assert_eq!(panel.settle(3, long, 1), Verdict::Wait(None));
        let empty = outcome(Ending::Completed, "  ");
        assert_eq!(panel.settle(1, empty, 2), Verdict::Wait(None));
        let verdict = panel.settle(2, outcome(Ending::Completed, "Four."), 3);
        let extra = Some(r#"{"characters":5,"of":3}"#.to_owned());
        assert_eq!(
            verdict,
            Verdict::Pick(Choice {
                candidate: 2,
                extra
            })
        );
    }

    #[test]
    fn a_whole_answer_goes_before_a_shorter_one_that_was_cut() {
        let cut = || outcome(Ending::Incomplete(Shortfall::MaxOutputTokens), "Fo");
        let first = panel(2);
        first.settle(1, cut(), 1);
        let whole = outcome(Ending::Completed, "Four.");
        assert_eq!(picked(first.settle(2, whole, 2)), 2);

        let second = panel(2);
        second.settle(1, outcome(Ending::Interrupted, "Four."), 1);
        assert_eq!(picked(second.settle(2, cut(), 2)), 2);
    }

    #[test]
    fn a_panel_without_an_answer_gives_the_reason() {
        let busy = Problem {
            kind: ProblemKind::RateLimited,
            ..no_answer()
        };
        let panel = panel(2);
        panel.settle(1, outcome(Ending::Failed(busy.clone()), ""), 1);
        let verdict = panel.settle(2, outcome(Ending::Interrupted, ""), 2);
        assert_eq!(verdict, Verdict::Fail(busy));
    }
}
