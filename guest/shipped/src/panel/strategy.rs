//! The trait of strategies. Another policy adds its own by implementing it.

use std::fmt;

use super::table::Table;
use crate::bindings::airlock::policy::types::{Brief, Choice, Problem};

/// Makes one answer of several. One value serves one fan-out.
pub trait Strategy: fmt::Debug {
    /// The name that selects it in `airlock.synthesis`.
    fn name(&self) -> &str;

    /// Whether it waits for several answers. If not, a quorum and a grace time have no effect, and the response names
    /// them as ignored.
    fn waits(&self) -> bool {
        true
    }

    /// Whether the answers so far suffice for a decision. Called after each new answer.
    fn enough(&mut self, _table: &Table) -> bool {
        false
    }

    /// Decides. There are at least two answers.
    fn decide(&mut self, table: &Table) -> StrategyStep;

    /// Receives the text of a consulted turn. None: it failed or was truncated.
    fn judged(&mut self, _table: &Table, _answer: Option<&str>) -> StrategyStep {
        StrategyStep::Fallback
    }
}

/// A strategy of a panel that another component exports. Only its name is known here: `prompt` accepts it in
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

/// The strategies of a policy.
pub trait Strategies {
    /// One of each, the default first. Of duplicates the first counts.
    fn all() -> Vec<Box<dyn Strategy>>;
}

/// A strategy's next step.
#[derive(Clone, Debug, PartialEq)]
pub enum StrategyStep {
    /// Run this brief and send its text to the client as the answer. If it fails before any of its text was sent, the
    /// panel falls back.
    Show(Brief),
    /// Run this brief and pass its answer to `judged`.
    Consult(Brief),
    /// Take this candidate's answer, or `Fallback` if it has none. `extra` must be a JSON object, whose members the
    /// client gets; anything else is dropped. It may have several lines.
    Pick(Choice),
    /// Fail: there is no answer.
    Fail(Problem),
    /// Take the longest answer, and report to the client that the synthesis failed.
    Fallback,
}
