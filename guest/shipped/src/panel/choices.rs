//! The panel of a response with several choices. It makes nothing of the turns' answers: the reply sends each of them.

use std::collections::BTreeMap;

use crate::bindings::airlock::policy::types::{Ending, Problem};
use crate::bindings::exports::airlock::policy::synthesize::Verdict;
use crate::problem::{most_specific, turn_interrupted};

/// Waits until the turn of each choice has ended.
#[derive(Debug)]
pub(super) struct ChoicesPanel {
    choices: u32,
    /// The choices whose turn has ended, with the problem of those that failed.
    settled: BTreeMap<u32, Option<Problem>>,
}

impl ChoicesPanel {
    /// A panel of this many choices, numbered from 1.
    pub(super) fn new(choices: u32) -> Self {
        Self {
            choices,
            settled: BTreeMap::new(),
        }
    }

    /// Receives the end of a choice's turn. An unknown number or a second end has no effect.
    pub(super) fn settle(&mut self, choice: u32, ending: Ending) -> Verdict {
        if !(1..=self.choices).contains(&choice) || self.settled.contains_key(&choice) {
            return Verdict::Wait(None);
        }
        let problem = match ending {
            Ending::Completed | Ending::Incomplete(_) => None,
            Ending::Failed(problem) => Some(problem),
            Ending::Interrupted | Ending::HandedOff => Some(turn_interrupted()),
        };
        self.settled.insert(choice, problem);
        if u32::try_from(self.settled.len()) != Ok(self.choices) {
            return Verdict::Wait(None);
        }
        let problems: Option<Vec<&Problem>> = self.settled.values().map(Option::as_ref).collect();
        match problems.and_then(most_specific) {
            Some(problem) => Verdict::Fail(problem.clone()),
            None => Verdict::Complete,
        }
    }
}
