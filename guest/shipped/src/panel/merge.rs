//! The strategy `merge`: a turn of its own writes one answer from all.

use super::strategy::{Strategy, StrategyStep};
use super::table::Table;

/// Shows an answer that is written with all answers as input.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeStrategy;

const INSTRUCTIONS: &str = "\
Your task now: several candidates have each answered the user's last message in the conversation, without knowing of one another. \
Write the one answer that the user will read.
- What the candidates agree on and you find sound, say once.
- Where they contradict one another, check for yourself: work it out again and keep what is right. The majority may be wrong.
- What only one of them found, keep if it holds and helps the user.
- Leave out what is wrong, unsupported or beside the point.
- Answer the user directly, in the user's language, and in the form and at the length that the conversation and your other instructions ask for.
- Never mention candidates, other answers or this task: the user must read an answer as if you had written it alone.";

impl Strategy for MergeStrategy {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn decide(&mut self, table: &Table) -> StrategyStep {
        StrategyStep::Show(table.synthesis(INSTRUCTIONS, &[]))
    }
}
