//! Counts the candidates' votes: which answers agree, and whether that decides.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::bindings::airlock::policy::types::{Ending, Phase, Problem, ProblemKind};
use crate::bindings::exports::airlock::policy::synthesize::{Message, Outcome};
use crate::normalize::normalize;

/// The outcomes of one fan-out, counted as they arrive.
#[derive(Debug)]
pub(crate) struct Count {
    candidates: u32,
    settled: BTreeSet<u32>,
    /// In the order of their first votes.
    opinions: Vec<Opinion>,
    /// The truncated answers: their length in bytes, and the candidate.
    cut: Vec<(usize, u32)>,
    problems: Vec<Problem>,
    decided: bool,
}

/// Answers that agree.
#[derive(Debug)]
struct Opinion {
    normalized: String,
    votes: u32,
    /// The length of the longest of them in characters, and its candidate.
    length: usize,
    candidate: u32,
}

/// The result of a count.
#[derive(Debug, PartialEq)]
pub(crate) enum CountResult {
    /// More outcomes are needed.
    Undecided,
    /// This candidate's answer is taken.
    Agreed {
        /// From 1.
        candidate: u32,
        /// How many candidates agree, with this one.
        votes: u32,
        /// The number of complete answers.
        answers: u32,
    },
    /// There is no answer.
    Nobody(Problem),
}

impl Count {
    pub(crate) fn new(candidates: u32) -> Self {
        Self {
            candidates,
            settled: BTreeSet::new(),
            opinions: Vec::new(),
            cut: Vec::new(),
            problems: Vec::new(),
            decided: false,
        }
    }

    /// Receives a candidate's outcome. One after the decision, a second one, or one of an unknown candidate has no effect.
    pub(crate) fn count(&mut self, candidate: u32, outcome: Outcome) -> CountResult {
        let known = (1..=self.candidates).contains(&candidate);
        if self.decided || !known || !self.settled.insert(candidate) {
            return CountResult::Undecided;
        }
        let text = answer(&outcome.messages);
        match outcome.ending {
            Ending::Completed if !text.trim().is_empty() => self.add(candidate, &text),
            Ending::Incomplete(_) if !text.trim().is_empty() => {
                self.cut.push((text.len(), candidate));
            }
            Ending::Failed(problem) => self.problems.push(problem),
            Ending::Completed | Ending::Incomplete(_) | Ending::Interrupted | Ending::HandedOff => {
            }
        }
        let result = self.decide();
        self.decided = result != CountResult::Undecided;
        result
    }

    fn add(&mut self, candidate: u32, text: &str) {
        let (normalized, length) = (normalize(text), text.chars().count());
        let same = self
            .opinions
            .iter_mut()
            .find(|one| one.normalized == normalized);
        match same {
            Some(opinion) => {
                opinion.votes += 1;
                // Of equally long answers the lowest number, because the order of arrival is random.
                if (length, Reverse(candidate)) > (opinion.length, Reverse(opinion.candidate)) {
                    opinion.length = length;
                    opinion.candidate = candidate;
                }
            }
            None => self.opinions.push(Opinion {
                normalized,
                votes: 1,
                length,
                candidate,
            }),
        }
    }

    fn decide(&self) -> CountResult {
        let rank = |one: &&Opinion| (one.votes, one.length, Reverse(one.candidate));
        let most = self.opinions.iter().max_by_key(rank);
        let all = self.settled.len() >= usize::try_from(self.candidates).unwrap_or(usize::MAX);
        match most {
            Some(most) if all || most.votes > self.candidates / 2 => CountResult::Agreed {
                candidate: most.candidate,
                votes: most.votes,
                answers: self.opinions.iter().map(|one| one.votes).sum(),
            },
            _ if !all => CountResult::Undecided,
            _ => self.without_answers(),
        }
    }

    /// Decides after all candidates have ended, none with a complete answer.
    fn without_answers(&self) -> CountResult {
        let longest = self
            .cut
            .iter()
            .max_by_key(|(size, one)| (size, Reverse(one)));
        match longest {
            Some(&(_, candidate)) => CountResult::Agreed {
                candidate,
                votes: 0,
                answers: 0,
            },
            None => CountResult::Nobody(self.problem()),
        }
    }

    /// The problem that all candidates have, or else a general one that does not disclose theirs.
    fn problem(&self) -> Problem {
        let all = usize::try_from(self.candidates) == Ok(self.problems.len());
        match self.problems.as_slice() {
            [first, rest @ ..] if all && rest.iter().all(|one| one == first) => first.clone(),
            problems => Problem {
                kind: ProblemKind::Upstream,
                code: Some("all_candidates_failed".to_owned()),
                message: format!(
                    "none of {} candidates gave an answer ({} failed, the others were empty or stopped); send the request again",
                    self.candidates,
                    problems.len()
                ),
                param: None,
                retry_after_seconds: problems
                    .iter()
                    .filter_map(|it| it.retry_after_seconds)
                    .max(),
            },
        }
    }
}

/// The answer of a candidate: its messages without commentary, unless there is nothing else.
fn answer(messages: &[Message]) -> String {
    let join = |commentary: bool| {
        let wanted = |one: &&Message| commentary || one.phase != Some(Phase::Commentary);
        let texts: Vec<&str> = messages
            .iter()
            .filter(wanted)
            .map(|one| one.text.as_str())
            .collect();
        texts.join("\n\n")
    };
    let text = join(false);
    if text.trim().is_empty() {
        join(true)
    } else {
        text
    }
}
