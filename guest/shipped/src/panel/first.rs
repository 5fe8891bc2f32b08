//! The strategy `first`: the fastest answer is the answer.

use super::strategy::{Step, Strategy};
use super::table::Table;
use crate::bindings::airlock::policy::types::Choice;

/// Takes the first answer. The other candidates end with the verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl Strategy for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn waits(&self) -> bool {
        false
    }

    fn enough(&mut self, table: &Table) -> bool {
        !table.answers().is_empty()
    }

    fn decide(&mut self, table: &Table) -> Step {
        table.answers().first().map_or(Step::Fallback, |answer| {
            Step::Pick(Choice {
                candidate: answer.candidate(),
                extra: None,
            })
        })
    }
}
