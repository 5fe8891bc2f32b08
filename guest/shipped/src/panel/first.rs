//! The strategy `first`: takes the first answer.

use super::strategy::{Strategy, StrategyStep};
use super::table::Table;
use crate::bindings::airlock::policy::types::Choice;

/// Takes the first answer. The verdict ends the other candidates.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstStrategy;

impl Strategy for FirstStrategy {
    fn name(&self) -> &'static str {
        "first"
    }

    fn waits(&self) -> bool {
        false
    }

    fn enough(&mut self, table: &Table) -> bool {
        !table.answers().is_empty()
    }

    fn decide(&mut self, table: &Table) -> StrategyStep {
        table
            .answers()
            .first()
            .map_or(StrategyStep::Fallback, |answer| {
                StrategyStep::Pick(Choice {
                    candidate: answer.candidate(),
                    extra: None,
                })
            })
    }
}
