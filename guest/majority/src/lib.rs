//! An example of a part of a policy: a panel that takes the answer on which most candidates agree.
//!
//! It exports only `synthesize` and `manifest`, and does not depend on chat completions. The other interfaces come
//! from another policy, usually the shipped one:
//!
//! ```text
//! airlock policy compose airlock_majority.wasm -o majority.wasm
//! ```
//!
//! Answers agree if they are equal except for case, spacing and the marks at their ends. As soon as more than half of
//! the candidates agree, the others are not waited for. Otherwise all outcomes are counted: the answer on which most
//! agree is taken, the longest on a tie. A truncated answer counts only if there is no complete one.
//!
//! A verdict is a pure function of the outcomes in their order. The shipped policy's terms of a fan-out (quorum,
//! grace time, deadline) are in its notes, which this panel does not read.

pub mod bindings;

mod count;
// A native build cannot link a component's exports.
#[cfg(target_arch = "wasm32")]
mod exports;
mod normalize;

use std::cell::RefCell;

use bindings::airlock::policy::types::{Choice, Context, Problem, ProblemKind};
use bindings::exports::airlock::policy::manifest::{self, Description, Setting, Takes};
use bindings::exports::airlock::policy::synthesize::{self, GuestPanel, Outcome, Verdict};

use count::{Count, CountResult};

/// The name that selects it in `airlock.synthesis`.
const STRATEGY: &str = "majority";

/// The exports of this component.
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
                // The shipped `prompt` reads both: the strategies of this panel are known to it only by this setting.
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

/// The WIT resource `panel`. A component runs one call at a time, so the cell is never borrowed twice.
#[derive(Debug)]
pub struct MajorityPanel(RefCell<Count>);

impl GuestPanel for MajorityPanel {
    fn new(_context: Context, candidates: u32) -> Self {
        Self(RefCell::new(Count::new(candidates)))
    }

    fn wake(&self, _now: u64) -> Verdict {
        // It sets no deadline.
        Verdict::Wait(None)
    }

    fn settle(&self, candidate: u32, outcome: Outcome, _now: u64) -> Verdict {
        match self.0.borrow_mut().count(candidate, outcome) {
            CountResult::Undecided => Verdict::Wait(None),
            CountResult::Agreed {
                candidate,
                votes,
                answers,
            } => Verdict::Pick(Choice {
                candidate,
                extra: Some(format!(r#"{{"agreed":{votes},"answers":{answers}}}"#)),
            }),
            CountResult::Nobody(problem) => Verdict::Fail(problem),
        }
    }

    fn judged(&self, _outcome: Outcome, _now: u64) -> Verdict {
        // It requests no turns.
        Verdict::Fail(Problem {
            kind: ProblemKind::Internal,
            code: Some("unexpected_turn".to_owned()),
            message: "the panel received the outcome of a turn that it did not request".to_owned(),
            param: None,
            retry_after_seconds: None,
        })
    }
}

#[cfg(test)]
mod tests;
