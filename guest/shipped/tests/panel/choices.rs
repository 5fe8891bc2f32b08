//! The panel of a response with several choices.

use super::*;

fn choices(count: u32) -> Panel {
    let context = Context {
        notes: json!({"choices": count, "structure": "object"}).to_string(),
        ..context(json!(null), "free")
    };
    Panel::new(&context, count, panel::strategies())
}

fn interrupted() -> Outcome {
    Outcome {
        ending: Ending::Interrupted,
        messages: Vec::new(),
    }
}

#[test]
fn it_waits_for_all_and_completes_if_one_has_succeeded() {
    let succeeded = [
        completed(r#"{"a":1}"#),
        // What the answers are is for the reply to check.
        completed("not JSON"),
        completed(""),
        truncated(Shortfall::ContentFilter, ""),
    ];
    for outcome in succeeded {
        for place in 1..=3 {
            let mut panel = choices(3);
            assert_eq!(panel.wake(0), Verdict::Wait(None));
            for candidate in [2, 3, 1] {
                let outcome = if candidate == place {
                    outcome.clone()
                } else {
                    interrupted()
                };
                let last = candidate == 1;
                let expected = if last {
                    Verdict::Complete
                } else {
                    Verdict::Wait(None)
                };
                assert_eq!(panel.settle(candidate, outcome, 1), expected);
            }
            // Nothing is left to decide.
            assert_eq!(panel.settle(1, interrupted(), 2), Verdict::Wait(None));
            assert_eq!(panel.wake(3), Verdict::Wait(None));
            assert_eq!(panel.judged(completed("a"), 4), Verdict::Wait(None));
        }
    }
}

#[test]
fn unknown_and_repeated_ends_have_no_effect() {
    let mut panel = choices(2);
    for candidate in [0, 3, u32::MAX, 1, 1] {
        let verdict = panel.settle(candidate, completed("a"), 1);
        assert_eq!(verdict, Verdict::Wait(None), "{candidate}");
    }
    assert_eq!(panel.settle(2, interrupted(), 2), Verdict::Complete);
}

#[test]
fn if_all_fail_the_most_specific_problem_is_reported() {
    use ProblemKind::{InvalidRequest, Overloaded, RateLimited, Timeout, Upstream};
    let cases: [(&[(ProblemKind, &str)], &str); 5] = [
        (&[(Upstream, "a"), (Upstream, "b")], "a"),
        (&[(Upstream, "a"), (RateLimited, "b")], "b"),
        (
            &[(Timeout, "a"), (Upstream, "b"), (InvalidRequest, "c")],
            "c",
        ),
        (
            &[(Overloaded, "a"), (RateLimited, "b"), (RateLimited, "c")],
            "b",
        ),
        (&[(Timeout, "a"), (Overloaded, "b")], "b"),
    ];
    for (failures, expected) in cases {
        let count = u32::try_from(failures.len()).unwrap();
        // In the order of the choices, whatever the order of their ends.
        for reverse in [false, true] {
            let mut panel = choices(count);
            let mut outcomes: Vec<_> = (1..).zip(failures).collect();
            if reverse {
                outcomes.reverse();
            }
            let mut verdict = panel.wake(0);
            for (candidate, (kind, code)) in outcomes {
                assert_eq!(verdict, Verdict::Wait(None));
                verdict = panel.settle(candidate, failed(*kind, code), 1);
            }
            assert_eq!(code(verdict), expected);
        }
    }
    let mut panel = choices(2);
    panel.settle(1, interrupted(), 1);
    assert_eq!(code(panel.settle(2, interrupted(), 1)), "turn_interrupted");
}
