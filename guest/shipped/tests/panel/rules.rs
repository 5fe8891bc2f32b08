//! One rule per test: when a panel decides, and what.

use airlock_shipped_policy::bindings::exports::airlock::policy::synthesize::GuestPanel;
use airlock_shipped_policy::component;

use super::*;

const FALLBACK: Option<&str> = Some(r#"{"fallback":true}"#);

#[test]
fn the_grace_time_begins_with_the_quorum() {
    let mut panel = panel(
        3,
        json!({"strategy": "vote", "quorum": 2, "grace_ms": 100, "deadline_ms": 1_000}),
    );
    assert_eq!(panel.wake(10), Verdict::Wait(Some(1_010)));
    assert_eq!(
        panel.settle(3, completed("a"), 20),
        Verdict::Wait(Some(1_010))
    );
    assert_eq!(
        panel.settle(1, completed("b"), 30),
        Verdict::Wait(Some(130))
    );
    assert_eq!(panel.wake(129), Verdict::Wait(Some(130)));
    assert!(matches!(panel.wake(130), Verdict::Pick(choice) if choice.candidate == 3));
    assert_eq!(panel.settle(2, completed("b"), 131), Verdict::Wait(None));
    assert_eq!(panel.wake(1_010), Verdict::Wait(None));
}

#[test]
fn without_grace_the_quorum_decides() {
    let mut panel = panel(5, json!({"strategy": "merge", "quorum": 2}));
    assert_eq!(panel.wake(0), Verdict::Wait(None));
    assert_eq!(panel.settle(1, completed("a"), 1), Verdict::Wait(None));
    assert!(matches!(
        panel.settle(5, completed("b"), 2),
        Verdict::Show(_)
    ));
}

#[test]
fn the_deadline_decides_with_the_answers_so_far() {
    let late = |outcomes: &[Outcome]| {
        let mut panel = panel(
            3,
            json!({"strategy": "merge", "quorum": 3, "deadline_ms": 50}),
        );
        panel.wake(0);
        for (number, outcome) in (1..).zip(outcomes) {
            assert_eq!(
                panel.settle(number, outcome.clone(), 10),
                Verdict::Wait(Some(50))
            );
        }
        panel.wake(50)
    };
    assert_eq!(code(late(&[])), "deadline_exceeded");
    let broken = failed(ProblemKind::Upstream, "upstream_error");
    let Verdict::Fail(problem) = late(std::slice::from_ref(&broken)) else {
        panic!("must fail");
    };
    assert_eq!(problem.code.as_deref(), Some("deadline_exceeded"));
    let known = "1 of 3 candidates had failed: Codex or the model failed (1)";
    assert!(problem.message.ends_with(known), "{}", problem.message);
    assert_eq!(late(&[broken, completed("a")]), picked(2, None));
    assert!(matches!(
        late(&[completed("a"), completed("b")]),
        Verdict::Show(_)
    ));
    let short = truncated(Shortfall::MaxOutputTokens, "a");
    assert_eq!(late(&[short]), picked(1, None));
}

#[test]
fn the_deadline_runs_from_the_first_event() {
    let notes = json!({"strategy": "merge", "quorum": 2, "deadline_ms": 50});
    let mut panel = panel(2, notes);
    assert_eq!(panel.settle(1, completed("a"), 10), Verdict::Wait(Some(60)));
    assert_eq!(panel.wake(20), Verdict::Wait(Some(60)));
    assert_eq!(panel.wake(60), picked(1, None));
}

#[test]
fn a_deadline_without_answers_is_a_timeout() {
    let mut panel = panel(2, json!({"strategy": "judge", "deadline_ms": 1}));
    panel.wake(0);
    let Verdict::Fail(problem) = panel.wake(1) else {
        panic!("must fail");
    };
    assert_eq!(problem.kind, ProblemKind::Timeout);
}

#[test]
fn a_lone_answer_needs_no_synthesis() {
    for strategy in ["merge", "judge", "vote", "first"] {
        let mut panel = panel(3, json!({"strategy": strategy, "quorum": 3}));
        panel.wake(0);
        panel.settle(1, completed("  \n"), 1);
        panel.settle(2, failed(ProblemKind::Upstream, "upstream_error"), 2);
        assert_eq!(
            panel.settle(3, completed("a"), 3),
            picked(3, None),
            "{strategy}"
        );
    }
}

#[test]
fn truncated_answers_count_only_without_complete_ones() {
    let filtered = truncated(Shortfall::ContentFilter, "the longest of all");
    let long = truncated(Shortfall::MaxOutputTokens, "longer");
    let short = truncated(Shortfall::MaxOutputTokens, "short");
    let last = |outcomes: [Outcome; 4]| {
        let mut panel = panel(4, json!({"strategy": "merge", "quorum": 4}));
        let verdicts = (1..)
            .zip(outcomes)
            .map(|(number, outcome)| panel.settle(number, outcome, 1));
        verdicts.last().unwrap()
    };
    assert_eq!(
        last([filtered.clone(), short.clone(), long.clone(), long.clone()]),
        picked(3, None)
    );
    assert_eq!(
        last([
            filtered.clone(),
            filtered.clone(),
            completed(""),
            filtered.clone()
        ]),
        picked(1, None)
    );
    assert_eq!(
        last([filtered, short, completed("a"), long]),
        picked(3, None)
    );
}

#[test]
fn a_failure_of_all_candidates_is_the_clients() {
    let mut same = panel(2, json!({"strategy": "first", "quorum": 2}));
    same.settle(1, failed(ProblemKind::Overloaded, "codex_not_signed_in"), 1);
    let verdict = same.settle(2, failed(ProblemKind::Overloaded, "codex_not_signed_in"), 2);
    assert_eq!(code(verdict), "codex_not_signed_in");

    // One kind with two codes: both are rate limits.
    let mut limited = panel(2, json!({"strategy": "merge", "quorum": 2}));
    limited.settle(
        1,
        failed(ProblemKind::RateLimited, "rate_limit_exceeded"),
        1,
    );
    let quota = failed(ProblemKind::RateLimited, "insufficient_quota");
    let Verdict::Fail(problem) = limited.settle(2, quota, 2) else {
        panic!("must fail");
    };
    assert_eq!(problem.kind, ProblemKind::RateLimited);
    assert_eq!(problem.code.as_deref(), Some("insufficient_quota"));

    let mut silent = panel(2, json!({"strategy": "vote", "quorum": 2}));
    silent.settle(1, completed(""), 1);
    assert_eq!(code(silent.settle(2, completed("\n"), 2)), "empty_answer");

    let mut mixed = panel(2, json!({"strategy": "merge", "quorum": 2}));
    mixed.settle(1, completed(""), 1);
    let verdict = mixed.settle(
        2,
        failed(ProblemKind::RateLimited, "rate_limit_exceeded"),
        2,
    );
    let Verdict::Fail(problem) = verdict else {
        panic!("must fail");
    };
    assert_eq!(problem.kind, ProblemKind::Upstream);
    assert_eq!(problem.code.as_deref(), Some("all_candidates_failed"));
    assert!(
        !problem.message.contains("the cause"),
        "{}",
        problem.message
    );
}

#[test]
fn with_json_object_only_an_object_is_an_answer() {
    let mut panel = structured(2, json!({"strategy": "vote", "quorum": 2}), "object");
    panel.settle(1, completed("Here you are: {\"a\": 1}"), 1);
    assert_eq!(panel.settle(2, completed("{\"a\": 1}"), 2), picked(2, None));
}

#[test]
fn a_failed_synthesis_falls_back_to_the_longest_answer_once() {
    let mut panel = panel(3, json!({"strategy": "merge", "quorum": 3}));
    panel.settle(3, completed("äöü"), 1);
    panel.settle(2, completed("abc"), 2);
    assert!(matches!(
        panel.settle(1, completed("a"), 3),
        Verdict::Show(_)
    ));
    let broken = failed(ProblemKind::Upstream, "upstream_error");
    assert_eq!(panel.judged(broken.clone(), 4), picked(2, FALLBACK));
    assert_eq!(panel.judged(broken, 5), Verdict::Wait(None));
}

#[test]
fn an_empty_synthesis_has_failed() {
    let silent = Outcome {
        ending: Ending::Completed,
        messages: Vec::new(),
    };
    for outcome in [
        silent,
        completed(" "),
        truncated(Shortfall::ContentFilter, ""),
        ended(Ending::Interrupted, ""),
    ] {
        let mut panel = panel(2, json!({"strategy": "merge", "quorum": 2}));
        panel.settle(1, completed("a"), 1);
        assert!(matches!(
            panel.settle(2, completed("ab"), 2),
            Verdict::Show(_)
        ));
        assert_eq!(panel.judged(outcome, 3), picked(2, FALLBACK));
    }
}

#[test]
fn a_ruling_picks_and_maps_its_labels() {
    let consulted = || {
        let mut panel = panel(3, json!({"strategy": "judge", "quorum": 3}));
        panel.settle(1, completed("a"), 1);
        panel.settle(2, failed(ProblemKind::Upstream, "upstream_error"), 2);
        assert!(matches!(
            panel.settle(3, completed("longer"), 3),
            Verdict::Consult(_)
        ));
        panel
    };
    let ruling = r#"{"reasons": "A is \"right\"", "best": "A"}"#;
    let Verdict::Pick(choice) = consulted().judged(completed(ruling), 4) else {
        panic!("must pick");
    };
    let extra: Value = serde_json::from_str(choice.extra.as_ref().unwrap()).unwrap();
    assert_eq!(extra["reasons"], "A is \"right\"");
    assert_eq!(extra["labels"]["A"], choice.candidate);
    assert_eq!(extra["labels"].as_object().unwrap().len(), 2);

    for fit in [
        "```json\n{\"reasons\": \"A is \\\"right\\\"\", \"best\": \"A\"}\n```",
        "My ruling: {\"reasons\": \"A is \\\"right\\\"\", \"best\": \"Candidate A\"} is final.",
        r#"{"reasons": "A is \"right\"", "best": " candidate a "}"#,
    ] {
        let Verdict::Pick(other) = consulted().judged(completed(fit), 4) else {
            panic!("must pick");
        };
        assert_eq!(other.candidate, choice.candidate, "{fit}");
        let extra: Value = serde_json::from_str(&other.extra.unwrap()).unwrap();
        assert_eq!(extra["reasons"], "A is \"right\"", "{fit}");
    }

    for unfit in [
        completed("B"),
        completed(r#"{"best": "A"}"#),
        completed(r#"{"reasons": "", "best": "candidate"}"#),
        completed("} {"),
        completed(r#"{"reasons": "", "best": "C"}"#),
        completed(""),
        truncated(Shortfall::MaxOutputTokens, ruling),
        failed(ProblemKind::Upstream, "upstream_error"),
    ] {
        assert_eq!(consulted().judged(unfit, 4), picked(3, FALLBACK));
    }
}

#[test]
fn unexpected_events_have_no_effect() {
    let mut panel = panel(
        2,
        json!({"strategy": "merge", "quorum": 2, "deadline_ms": 9}),
    );
    panel.wake(0);
    for candidate in [0, 3, u32::MAX] {
        assert_eq!(
            panel.settle(candidate, completed("a"), 1),
            Verdict::Wait(Some(9))
        );
    }
    assert_eq!(panel.judged(completed("a"), 1), Verdict::Wait(None));
    panel.settle(1, completed("a"), 2);
    assert_eq!(panel.settle(1, completed("b"), 3), Verdict::Wait(Some(9)));
    assert_eq!(panel.wake(4), Verdict::Wait(Some(9)));
    assert!(matches!(
        panel.settle(2, completed("c"), 5),
        Verdict::Show(_)
    ));
}

#[test]
fn an_unknown_strategy_in_the_notes_fails_at_once() {
    for notes in [json!({"strategy": "sing"}), Value::Null] {
        assert_eq!(code(panel(2, notes).wake(0)), "unknown_strategy");
    }
}

/// The extra of another policy's choice.
#[derive(Debug)]
struct Wordy(&'static str);

impl Strategy for Wordy {
    fn name(&self) -> &'static str {
        "wordy"
    }

    fn decide(&mut self, _: &Table) -> StrategyStep {
        StrategyStep::Pick(Choice {
            candidate: 1,
            extra: Some(self.0.to_owned()),
        })
    }
}

#[test]
fn the_extra_of_a_choice_is_an_object_on_one_line() {
    for (extra, expected) in [
        (
            "{\n  \"why\": \"\\n so\",\r\n  \"n\": [1, 2]\n}\n",
            Some(r#"{"why":"\n so","n":[1,2]}"#),
        ),
        ("{}", Some("{}")),
        ("why not\n", None),
        ("[1]", None),
        ("{\"a\":1", None),
    ] {
        let notes = json!({"strategy": "wordy", "quorum": 2});
        let mut panel = Panel::new(&context(notes, "free"), 2, vec![Box::new(Wordy(extra))]);
        panel.settle(1, completed("a"), 1);
        assert_eq!(panel.settle(2, completed("b"), 2), picked(1, expected));
    }
}

/// Another policy's panel around the shipped one.
struct WrappedPanel {
    inner: component::PanelResource,
}

#[test]
fn another_policy_may_add_strategies_to_the_shipped_panel() {
    let context = context(json!({"strategy": "first", "quorum": 2}), "free");
    let wrapped = WrappedPanel {
        inner: component::PanelResource::new(context, 2),
    };
    assert_eq!(wrapped.inner.wake(0), Verdict::Wait(None));
    assert_eq!(wrapped.inner.settle(2, completed("a"), 1), picked(2, None));
}
