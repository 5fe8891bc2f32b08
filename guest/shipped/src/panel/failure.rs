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
            problem: upstream(
                "turn_interrupted",
                "the turn was interrupted before the answer was complete; send the request again",
            ),
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
mod tests {
    use super::*;

    fn failure(kind: ProblemKind, code: &str, param: &str, retry: Option<u32>) -> CandidateFailure {
        CandidateFailure::of(Problem {
            kind,
            code: Some(code.to_owned()),
            message: "secret cause".to_owned(),
            param: Some(param.to_owned()),
            retry_after_seconds: retry,
        })
    }

    #[test]
    fn a_problem_that_all_candidates_have_is_returned() {
        let failures = [
            failure(ProblemKind::RateLimited, "quota", "model", Some(5)),
            failure(ProblemKind::RateLimited, "quota", "model", None),
            failure(ProblemKind::RateLimited, "quota", "model", Some(20)),
        ];
        let problem = summary(&failures);
        assert_eq!(problem.kind, ProblemKind::RateLimited);
        assert_eq!(problem.code.as_deref(), Some("quota"));
        assert_eq!(problem.message, "secret cause");
        assert_eq!(problem.param.as_deref(), Some("model"));
        assert_eq!(problem.retry_after_seconds, Some(20));
    }

    #[test]
    fn problems_of_one_kind_keep_its_status() {
        let limit = |code: &str, retry| failure(ProblemKind::RateLimited, code, "model", retry);
        let mut failures = vec![
            limit("rate_limit_exceeded", Some(5)),
            limit("insufficient_quota", Some(20)),
        ];
        let problem = summary(&failures);
        failures.reverse();
        assert_eq!(summary(&failures), problem);
        assert_eq!(problem.kind, ProblemKind::RateLimited);
        assert_eq!(problem.code.as_deref(), Some("insufficient_quota"));
        assert_eq!(problem.retry_after_seconds, Some(20));
        assert_eq!(problem.param.as_deref(), Some("model"));
        let message = "all 2 candidates failed: the model's limit was reached (2)";
        assert_eq!(problem.message, message);

        failures.push(limit("rate_limit_exceeded", None));
        let code = summary(&failures).code;
        assert_eq!(code.as_deref(), Some("rate_limit_exceeded"));
        for failure in &mut failures {
            failure.problem.code = None;
        }
        assert_eq!(summary(&failures).code, None);
    }

    #[test]
    fn the_summary_does_not_depend_on_the_order_of_messages() {
        let after = |message: &str| {
            let mut failure = failure(ProblemKind::RateLimited, "quota", "model", None);
            message.clone_into(&mut failure.problem.message);
            failure
        };
        let problem = summary(&[after("in 5 seconds"), after("in 6 seconds")]);
        let other = summary(&[after("in 6 seconds"), after("in 5 seconds")]);
        assert_eq!(problem, other);
        assert_eq!(problem.code.as_deref(), Some("quota"));
        assert!(!problem.message.contains("seconds"), "{}", problem.message);
    }

    #[test]
    fn failures_before_the_deadline_are_counted() {
        let none = deadline_exceeded(&[], 3).message;
        assert!(none.ends_with("send the request again"), "{none}");
        let failures = [
            failure(ProblemKind::RateLimited, "quota", "model", None),
            CandidateFailure::empty(),
        ];
        let problem = deadline_exceeded(&failures, 3);
        assert_eq!(problem.kind, ProblemKind::Timeout);
        let known =
            "2 of 3 candidates had failed: an empty answer (1), the model's limit was reached (1)";
        assert_eq!(problem.message, format!("{none}. {known}"));
    }

    #[test]
    fn the_field_of_one_candidate_is_not_reported_for_all() {
        let failures = ["airlock.candidates[0].model", "airlock.candidates[1].model"]
            .map(|param| failure(ProblemKind::NotFound, "model_not_found", param, None));
        assert_eq!(summary(&failures).param, None);
        assert_eq!(summary(&failures).code.as_deref(), Some("model_not_found"));
    }

    #[test]
    fn different_problems_are_counted_without_their_causes() {
        let failures = [
            CandidateFailure::empty(),
            failure(ProblemKind::RateLimited, "quota", "model", Some(5)),
            failure(ProblemKind::RateLimited, "other", "model", None),
        ];
        let mut backwards = failures.clone();
        backwards.reverse();
        let problem = summary(&failures);
        assert_eq!(summary(&backwards), problem);
        assert_eq!(problem.kind, ProblemKind::Upstream);
        assert_eq!(problem.code.as_deref(), Some("all_candidates_failed"));
        assert_eq!(
            problem.message,
            format!(
                "all 3 candidates failed: {} (2), an empty answer (1); send the request again",
                "the model's limit was reached"
            )
        );
        assert_eq!(problem.retry_after_seconds, None);
    }

    #[test]
    fn empty_answers_alone_are_reported_as_such() {
        let problem = summary(&[CandidateFailure::empty(), CandidateFailure::empty()]);
        assert_eq!(problem.kind, ProblemKind::Upstream);
        assert_eq!(problem.code.as_deref(), Some("empty_answer"));
    }
}
