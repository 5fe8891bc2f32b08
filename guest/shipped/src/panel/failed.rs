//! Why nobody answered, once no candidate has.

use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::problem;

/// Why one candidate gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// In words that tell nothing of the cause.
    reason: &'static str,
    problem: Problem,
}

impl Failure {
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
                "the model ended its answer without a word; send the request again",
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

    /// An answer that is not the JSON object that was asked for.
    pub(super) fn unreadable(problem: Problem) -> Self {
        Self {
            reason: "not one JSON object",
            problem,
        }
    }
}

/// The one problem that all have, or else a list of the reasons.
pub(super) fn summary(failures: &[Failure]) -> Problem {
    let problems = || failures.iter().map(|failure| &failure.problem);
    let Some(first) = problems().next() else {
        return upstream("all_candidates_failed", "there was no candidate");
    };
    if problems().all(|problem| problem.kind == first.kind && problem.code == first.code) {
        return Problem {
            // A field of one candidate is not at fault for the others.
            param: first
                .param
                .clone()
                .filter(|param| problems().all(|problem| problem.param.as_ref() == Some(param))),
            retry_after_seconds: problems()
                .filter_map(|problem| problem.retry_after_seconds)
                .max(),
            ..first.clone()
        };
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for failure in failures {
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == failure.reason)
        {
            Some((_, count)) => *count += 1,
            None => reasons.push((failure.reason, 1)),
        }
    }
    // Whichever ended first: the same failures are always told in the same words.
    reasons.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    let list: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} ({count})"))
        .collect();
    upstream(
        "all_candidates_failed",
        &format!(
            "all {} candidates failed: {}; send the request again",
            failures.len(),
            list.join(", ")
        ),
    )
}

fn upstream(code: &str, message: &str) -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: Some(code.to_owned()),
        message: message.to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ProblemKind, code: &str, param: &str, retry: Option<u32>) -> Failure {
        Failure::of(Problem {
            kind,
            code: Some(code.to_owned()),
            message: "secret cause".to_owned(),
            param: Some(param.to_owned()),
            retry_after_seconds: retry,
        })
    }

    #[test]
    fn the_same_problem_of_all_is_the_problem() {
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
    fn a_field_of_one_candidate_is_not_blamed_for_all() {
        let failures = ["airlock.candidates[0].model", "airlock.candidates[1].model"]
            .map(|param| failure(ProblemKind::NotFound, "model_not_found", param, None));
        assert_eq!(summary(&failures).param, None);
        assert_eq!(summary(&failures).code.as_deref(), Some("model_not_found"));
    }

    #[test]
    fn different_problems_are_counted_and_tell_nothing_of_their_causes() {
        let failures = [
            Failure::empty(),
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
    fn nothing_but_silence_is_called_so() {
        let problem = summary(&[Failure::empty(), Failure::empty()]);
        assert_eq!(problem.kind, ProblemKind::Upstream);
        assert_eq!(problem.code.as_deref(), Some("empty_answer"));
    }
}
