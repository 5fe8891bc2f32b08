//! Bodies that are cut or wrong somewhere: each is refused with a reason, or planned.

use crate::bindings::airlock::policy::types::{Problem, ProblemKind};

/// Cuts the body after each of its characters but the last. `refuse` renders a body that must be refused.
pub(in crate::prompt) fn assert_refused_if_truncated(body: &str, refuse: impl Fn(&str) -> Problem) {
    for end in 0..body.len() {
        let Some(body) = body.get(..end) else {
            continue;
        };
        let problem = refuse(body);
        assert_eq!(problem.code.as_deref(), Some("invalid_json"), "{body}");
        assert!(problem.message.contains("line "), "{}", problem.message);
    }
}

/// Replaces each value within the body by one of each type. `refuse` renders a body, and returns the problem if it is refused.
/// At least `at_least` of the bodies must be.
pub(in crate::prompt) fn assert_named_if_wrong(
    body: &str,
    at_least: usize,
    refuse: impl Fn(&str) -> Option<Problem>,
) {
    let starts = body
        .char_indices()
        .filter(|(_, character)| matches!(character, '"' | '[' | '{'));
    let mut refused = 0;
    for (start, _) in starts {
        let mut values =
            serde_json::Deserializer::from_str(&body[start..]).into_iter::<serde::de::IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            continue;
        }
        let rest = &body[start + values.byte_offset()..];
        for value in [
            "null",
            "true",
            "-1",
            "0.5",
            "1e308",
            r#""""#,
            r#""\u0000""#,
            r#""\ud800""#,
            "[]",
            "[[]]",
            "{}",
            r#"{"":{}}"#,
        ] {
            let body = [&body[..start], value, rest].concat();
            if let Some(problem) = refuse(&body) {
                refused += 1;
                assert_ne!(problem.kind, ProblemKind::Internal, "{body}");
                assert!(!problem.message.contains("reader's problem"), "{body}");
                assert!(problem.message.len() < 500, "{}", problem.message);
                let is_named = problem.param.is_some() || problem.message.starts_with("the body");
                assert!(is_named, "{body}");
            }
        }
    }
    assert!(refused >= at_least, "{refused}");
}

/// A value that nests so deep that a recursive parser would overflow its stack.
pub(in crate::prompt) fn deep() -> String {
    let levels = 200_000;
    ["[".repeat(levels), "]".repeat(levels)].concat()
}

/// Each body is refused at its path.
pub(in crate::prompt) fn assert_refused_at(
    cases: &[(String, Option<&str>)],
    refuse: impl Fn(&str) -> Problem,
) {
    for (body, param) in cases {
        assert_eq!(refuse(body).param.as_deref(), *param);
    }
}
