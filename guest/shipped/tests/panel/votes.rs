//! Which answer a vote picks, and when.

use super::*;

/// The candidate that a vote over these answers picks.
fn elected(structure: &str, answers: &[&str]) -> u32 {
    let count = u32::try_from(answers.len()).unwrap();
    let notes = json!({"strategy": "vote", "quorum": count});
    let mut panel = structured(count, notes, structure);
    let verdicts = (1..)
        .zip(answers)
        .map(|(candidate, text)| panel.settle(candidate, completed(text), 1));
    let mut verdicts = verdicts.filter(|it| !matches!(it, Verdict::Wait(_)));
    match verdicts.next() {
        Some(Verdict::Pick(choice)) => choice.candidate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_vote_picks_an_answer_of_the_largest_group() {
    for (answers, candidate) in [
        (["n", "n!", "n!"], 2),
        (["init", "__init__", "__init__"], 2),
        (["(n-1)", "(n-1)!", "(n-1)!"], 2),
        (["a", "a?", "a?"], 2),
        // Equal only in their normalized form.
        (["5 mW", "5 MW", " 5 MW\n"], 2),
        (["5 mW", "5 MW", "5 mW"], 1),
        (["Yes", "yes.", "YES"], 1),
        (["No", "yes.", "Yes"], 2),
    ] {
        assert_eq!(elected("free", &answers), candidate, "{answers:?}");
    }
    let numbers = [
        r#"{"a":18446744073709551616}"#,
        r#"{"a":18446744073709551617}"#,
    ];
    let answers = [numbers[0], numbers[1], numbers[1]];
    assert_eq!(elected("schema", &answers), 2);
    let answers = [r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":1.0}"#];
    assert_eq!(elected("schema", &answers), 2);
}

#[test]
fn a_majority_of_all_candidates_decides_at_once() {
    let mut panel = panel(5, json!({"strategy": "vote", "quorum": 5}));
    panel.wake(0);
    for (candidate, text) in [(5, "Paris"), (2, "London"), (4, "paris.")] {
        assert_eq!(
            panel.settle(candidate, completed(text), 1),
            Verdict::Wait(None)
        );
    }
    let votes = r#"{"votes":[{"candidates":[3,4,5],"count":3},{"candidates":[2],"count":1}]}"#;
    assert_eq!(
        panel.settle(3, completed("**Paris**"), 2),
        picked(3, Some(votes))
    );
}

#[test]
fn a_majority_with_different_capitals_waits_for_more() {
    let mut panel = panel(3, json!({"strategy": "vote", "quorum": 3}));
    panel.wake(0);
    assert_eq!(panel.settle(1, completed("5 mW"), 1), Verdict::Wait(None));
    assert_eq!(panel.settle(2, completed("5 MW"), 2), Verdict::Wait(None));
    let votes = r#"{"votes":[{"candidates":[1,2,3],"count":3}]}"#;
    assert_eq!(
        panel.settle(3, completed("5 MW"), 3),
        picked(2, Some(votes))
    );
}
