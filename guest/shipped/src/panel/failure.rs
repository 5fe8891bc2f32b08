//! Why there is no answer, once all candidates have failed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::problem::{self, coded, upstream};

/// Why a candidate has no answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CandidateFailure {
    /// A reason that does not disclose the cause.
    reason: &'static str,
    problem: Problem,
}

impl CandidateFailure {
    pub(super) fn of(problem: Problem) -> Self {
        Self {
            reason: problem::generic(&problem),
            problem,
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            reason: "an empty answer",
            problem: upstream(
                "empty_answer",
                "the model's answer is empty; send the request again",
            ),
        }
    }

    pub(super) fn interrupted() -> Self {
        Self {
            reason: "interrupted",
            problem: problem::turn_interrupted(),
        }
    }

    /// An answer that is not the required JSON object.
    pub(super) fn unreadable(problem: Problem) -> Self {
        Self {
            reason: "not one JSON object",
            problem,
        }
    }
}

/// The problem that all candidates have, or one of the same kind, or else a list of reasons. The result does not
/// depend on the order of failures.
pub(super) fn summary(failures: &[CandidateFailure]) -> Problem {
    let problems = || failures.iter().map(|failure| &failure.problem);
    let Some(first) = problems().next() else {
        return upstream("all_candidates_failed", "there was no candidate");
    };
    let count = failures.len();
    let list = reasons(failures);
    if problems().any(|problem| problem.kind != first.kind) {
        let message = format!("all {count} candidates failed: {list}; send the request again");
        return upstream("all_candidates_failed", &message);
    }
    let is_same = problems().all(|it| it.code == first.code && it.message == first.message);
    Problem {
        kind: first.kind,
        code: commonest_code(failures),
        message: if is_same {
            first.message.clone()
        } else {
            format!("all {count} candidates failed: {list}")
        },
        // The field of one candidate does not concern the others.
        param: first
            .param
            .clone()
            .filter(|param| problems().all(|problem| problem.param.as_ref() == Some(param))),
        retry_after_seconds: problems()
            .filter_map(|problem| problem.retry_after_seconds)
            .max(),
    }
}

/// The problem of a deadline that passed before any of these candidates answered. It lists the known reasons.
pub(super) fn deadline_exceeded(failures: &[CandidateFailure], candidates: u32) -> Problem {
    let mut message = "no candidate had answered by the request's deadline; allow more with `airlock.deadline_ms`, or send the request again".to_owned();
    if !failures.is_empty() {
        let (count, list) = (failures.len(), reasons(failures));
        message.push_str(&format!(
            ". {count} of {candidates} candidates had failed: {list}"
        ));
    }
    Problem {
        param: Some("airlock.deadline_ms".to_owned()),
        ..coded(ProblemKind::Timeout, "deadline_exceeded", message)
    }
}

/// The reasons with their counts, the most frequent first.
fn reasons(failures: &[CandidateFailure]) -> String {
    let list = tally(failures.iter().map(|failure| failure.reason));
    let list = list.into_iter();
    let list: Vec<String> = list
        .map(|(reason, count)| format!("{reason} ({count})"))
        .collect();
    list.join(", ")
}

/// The most frequent code; on a tie the first in the alphabet.
fn commonest_code(failures: &[CandidateFailure]) -> Option<String> {
    let codes = failures
        .iter()
        .filter_map(|failure| failure.problem.code.as_deref());
    let commonest = tally(codes).into_iter().next();
    commonest.map(|(code, _)| code.to_owned())
}

/// The counts of the texts, the most frequent first, then in alphabetical order.
fn tally<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // The sort is stable, and the map is in alphabetical order.
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

#[cfg(test)]
mod tests;
