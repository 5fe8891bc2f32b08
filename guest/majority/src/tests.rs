//! Tests of the panel, through its exported functions.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use bindings::airlock::policy::types::{Ending, Phase, Shortfall};
use bindings::exports::airlock::policy::synthesize::Message;

use super::*;

fn panel(candidates: u32) -> MajorityPanel {
    let context = Context {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        model: "m".to_owned(),
        notes: "words of another".to_owned(),
        seed: String::new(),
    };
    MajorityPanel::new(context, candidates)
}

fn ended(ending: Ending, text: &str) -> Outcome {
    Outcome {
        ending,
        messages: vec![Message {
            phase: None,
            text: text.to_owned(),
        }],
    }
}

fn completed(text: &str) -> Outcome {
    ended(Ending::Completed, text)
}

fn cut(text: &str) -> Outcome {
    ended(Ending::Incomplete(Shortfall::MaxOutputTokens), text)
}

fn failed(message: &str) -> Outcome {
    let problem = Problem {
        kind: ProblemKind::RateLimited,
        code: Some("rate_limit_exceeded".to_owned()),
        message: message.to_owned(),
        param: None,
        retry_after_seconds: Some(3),
    };
    ended(Ending::Failed(problem), "")
}

fn picked(candidate: u32, extra: &str) -> Verdict {
    Verdict::Pick(Choice {
        candidate,
        extra: Some(extra.to_owned()),
    })
}

/// Settles all outcomes in order, and returns the only verdict other than `wait`.
fn verdict(outcomes: Vec<Outcome>) -> Verdict {
    let panel = panel(u32::try_from(outcomes.len()).unwrap());
    assert_eq!(panel.wake(0), Verdict::Wait(None));
    let verdicts = (1..).zip(outcomes).map(|(n, it)| panel.settle(n, it, 9));
    let mut decided: Vec<Verdict> = verdicts.filter(|it| *it != Verdict::Wait(None)).collect();
    assert_eq!(decided.len(), 1, "{decided:?}");
    decided.remove(0)
}

#[test]
fn more_than_half_decide_at_once() {
    let panel = panel(5);
    assert_eq!(panel.settle(5, completed("Yes."), 1), Verdict::Wait(None));
    assert_eq!(panel.settle(1, completed("no"), 2), Verdict::Wait(None));
    assert_eq!(panel.settle(4, completed("yes"), 3), Verdict::Wait(None));
    assert_eq!(
        panel.settle(2, completed("  YES!"), 4),
        picked(2, r#"{"agreed":3,"answers":4}"#)
    );
    assert_eq!(panel.settle(3, completed("no"), 5), Verdict::Wait(None));
}

#[test]
fn the_most_votes_win_over_length() {
    let long = "a long answer that nobody shares";
    let outcomes = vec![
        completed(long),
        completed("42"),
        completed("7"),
        completed("42."),
        completed("8"),
    ];
    assert_eq!(verdict(outcomes), picked(4, r#"{"agreed":2,"answers":5}"#));
}

#[test]
fn without_agreement_the_longest_complete_answer_wins() {
    let outcomes = vec![
        completed("one"),
        completed("three"),
        cut("not even the end"),
        completed("two"),
    ];
    assert_eq!(verdict(outcomes), picked(2, r#"{"agreed":1,"answers":3}"#));
    let tied = vec![
        completed("ab"),
        completed("cde"),
        completed("AB"),
        completed("CDE"),
        completed("something else"),
    ];
    assert_eq!(verdict(tied), picked(2, r#"{"agreed":2,"answers":5}"#));
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let panel = panel(3);
    panel.settle(3, completed("aa"), 1);
    panel.settle(2, completed("bb"), 2);
    let last = panel.settle(1, completed("cc"), 3);
    assert_eq!(last, picked(1, r#"{"agreed":1,"answers":3}"#));
}

#[test]
fn commentary_is_not_part_of_an_answer() {
    let with_remark = |remark: &str| Outcome {
        ending: Ending::Completed,
        messages: vec![
            Message {
                phase: Some(Phase::Commentary),
                text: remark.to_owned(),
            },
            Message {
                phase: Some(Phase::FinalAnswer),
                text: "4".to_owned(),
            },
        ],
    };
    let outcomes = vec![with_remark("I add."), with_remark("I count.")];
    assert_eq!(verdict(outcomes), picked(1, r#"{"agreed":2,"answers":2}"#));
}

#[test]
fn a_truncated_answer_is_picked_if_there_is_no_other() {
    let outcomes = vec![cut("half"), completed(" "), cut("nearly"), failed("busy")];
    assert_eq!(verdict(outcomes), picked(3, r#"{"agreed":0,"answers":0}"#));
}

#[test]
fn without_answers_the_problem_gives_the_reason() {
    let Verdict::Fail(problem) = verdict(vec![failed("busy"), failed("busy")]) else {
        panic!("must fail");
    };
    assert_eq!(problem.kind, ProblemKind::RateLimited);
    assert_eq!(problem.message, "busy");

    let Verdict::Fail(problem) = verdict(vec![failed("busy"), completed("")]) else {
        panic!("must fail");
    };
    assert_eq!(problem.code.as_deref(), Some("all_candidates_failed"));
    assert!(
        problem.message.contains("2 candidates"),
        "{}",
        problem.message
    );
    assert_eq!(problem.retry_after_seconds, Some(3));
}

#[test]
fn settings_of_the_shipped_prompt_are_listed() {
    let settings = <Majority as manifest::Guest>::describe().settings;
    let names: Vec<&str> = settings.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["strict", "strategies"]);
    assert_eq!(settings[0].default.as_deref(), Some("false"));
    assert_eq!(settings[1].default.as_deref(), Some(r#"["majority"]"#));
}
