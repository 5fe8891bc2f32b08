//! What a strategy is. Another policy adds its own by implementing this.

use std::fmt;

use super::table::Table;
use crate::bindings::airlock::policy::types::{Brief, Choice, Problem};

/// What several answers come to. One value serves one fan-out.
pub trait Strategy: fmt::Debug {
    /// The name by which a request selects it, in `airlock.synthesis`.
    fn name(&self) -> &str;

    /// Whether it waits for several answers. Where it does not, neither a quorum nor a grace time means anything to it,
    /// and a request that gives them is told so.
    fn waits(&self) -> bool {
        true
    }

    /// Whether the answers so far decide already, so that no other is waited for. Asked after each new answer.
    fn enough(&mut self, _table: &Table) -> bool {
        false
    }

    /// It is time to decide. There are at least two answers.
    fn decide(&mut self, table: &Table) -> StrategyStep;

    /// A turn that a step consulted ended. `said` is its answer, None when it failed or stopped short.
    fn judged(&mut self, _table: &Table, _said: Option<&str>) -> StrategyStep {
        StrategyStep::Fallback
    }
}

/// A strategy of a panel that another component exports, of which only the name is known here: `prompt` accepts it in
/// `airlock.synthesis`, and the other panel applies it.
#[derive(Debug)]
pub(crate) struct ExternalStrategy(pub(crate) String);

impl Strategy for ExternalStrategy {
    fn name(&self) -> &str {
        &self.0
    }

    fn decide(&mut self, _table: &Table) -> StrategyStep {
        StrategyStep::Fallback
    }
}

/// The strategies that a policy has.
pub trait Strategies {
    /// One of each, the default first. Where two have the same name the first counts.
    fn all() -> Vec<Box<dyn Strategy>>;
}

/// What a strategy wants done next.
#[derive(Clone, Debug, PartialEq)]
pub enum StrategyStep {
    /// Run this brief and send its text to the client as the answer. Should it fail before any of its text has left,
    /// the panel falls back.
    Show(Brief),
    /// Run this brief and bring back what it says, to `judged`.
    Consult(Brief),
    /// Take this candidate's answer. One that has not answered is taken for `Fallback`. `extra` must be a JSON object:
    /// the client gets its members, and of anything else nothing. It may have several lines, of which one is made.
    Pick(Choice),
    /// There is no answer.
    Fail(Problem),
    /// Take the longest answer, and tell the client that it is a makeshift.
    Fallback,
}
