//! The failure of a panel.

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
