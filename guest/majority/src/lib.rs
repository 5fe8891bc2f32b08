//! An example of part of a policy: a panel that takes the answer on which most candidates agree.
//!
//! It exports `synthesize`, and `manifest` for its name, and nothing else: this crate knows nothing of chat completions.
//! The rest comes from another policy, usually the shipped one:
//!
//! ```text
//! airlock policy compose airlock_majority.wasm -o majority.wasm
//! ```
//!
//! Answers agree that are the same but for capitals, spaces and the marks at their ends. As soon as more than half of
//! the candidates agree, the rest are not waited for. Without that, all are heard: the answer that most agree on is
//! taken, and where several have as many voices, the longest of them. So where all differ it is the longest. An answer
//! that the model cut short counts only where there is no other.
//!
//! What it decides is a pure function of what it was told: the same outcomes in the same order give the same verdict.
//! The shipped policy's own terms of a fan-out (a quorum, a grace time, a deadline) are words of its notes, which this
//! panel does not read.

pub mod bindings;

mod count;
// A native build cannot link a component's exports.
#[cfg(target_arch = "wasm32")]
mod exports;
mod plain;

use std::cell::RefCell;

use bindings::airlock::policy::types::{Choice, Context, Problem, ProblemKind};
use bindings::exports::airlock::policy::manifest::{self, Description, Setting, Takes};
use bindings::exports::airlock::policy::synthesize::{self, GuestPanel, Outcome, Verdict};

use count::{Count, CountResult};

/// The name by which a request selects it.
const STRATEGY: &str = "majority";

/// What this component exports.
#[derive(Debug)]
pub struct Majority;

impl manifest::Guest for Majority {
    fn describe() -> Description {
        Description {
            name: "majority".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "A panel that takes the answer on which most candidates agree.".to_owned(),
            dialects: vec!["chat-completions".to_owned()],
            strategies: vec![STRATEGY.to_owned()],
            settings: vec![
                // The shipped `prompt` reads both. Of the strategies of this panel it knows only what stands here.
                Setting {
                    name: "strict".to_owned(),
                    summary: "Refuse parameters that cannot be honoured.".to_owned(),
                    takes: Takes::Flag,
                    default: Some("false".to_owned()),
                },
                Setting {
                    name: "strategies".to_owned(),
                    summary: "What requests may name in `airlock.synthesis`, the default first."
                        .to_owned(),
                    takes: Takes::Texts,
                    default: Some(format!(r#"["{STRATEGY}"]"#)),
                },
            ],
        }
    }
}

impl synthesize::Guest for Majority {
    type Panel = MajorityPanel;
}

/// A panel behind the handle that the host holds. A component runs one call at a time, so the cell is never borrowed
/// twice.
#[derive(Debug)]
pub struct MajorityPanel(RefCell<Count>);

impl GuestPanel for MajorityPanel {
    fn new(_context: Context, candidates: u32) -> Self {
        Self(RefCell::new(Count::new(candidates)))
    }

    fn wake(&self, _now: u64) -> Verdict {
        // There is no time at which it would decide.
        Verdict::Wait(None)
    }

    fn settle(&self, candidate: u32, outcome: Outcome, _now: u64) -> Verdict {
        match self.0.borrow_mut().count(candidate, outcome) {
            CountResult::Undecided => Verdict::Wait(None),
            CountResult::Agreed {
                candidate,
                voices,
                answers,
            } => Verdict::Pick(Choice {
                candidate,
                extra: Some(format!(r#"{{"agreed":{voices},"answers":{answers}}}"#)),
            }),
            CountResult::Nobody(problem) => Verdict::Fail(problem),
        }
    }

    fn judged(&self, _outcome: Outcome, _now: u64) -> Verdict {
        // It never asks for a turn.
        Verdict::Fail(Problem {
            kind: ProblemKind::Internal,
            code: Some("unexpected_turn".to_owned()),
            message: "the panel was told of a turn that it did not ask for".to_owned(),
            param: None,
            retry_after_seconds: None,
        })
    }
}

#[cfg(test)]
mod tests;
