//! A panel's reading of answers.

use super::*;

fn outcome(ending: Ending, messages: &[(Option<Phase>, &str)]) -> Outcome {
    let message = |(phase, text): &(Option<Phase>, &str)| Message {
        phase: *phase,
        text: (*text).to_owned(),
    };
    Outcome {
        ending,
        messages: messages.iter().map(message).collect(),
    }
}

#[test]
fn an_answer_is_what_a_client_would_read() {
    let messages = [
        (Some(Phase::Commentary), "I look."),
        (Some(Phase::FinalAnswer), ""),
        (Some(Phase::FinalAnswer), "{\"a\":1}"),
    ];
    for (structure, text) in [
        (Structure::Free, "I look.\n\n{\"a\":1}"),
        (Structure::Object, "{\"a\":1}"),
        (Structure::Schema, "{\"a\":1}"),
    ] {
        assert_eq!(
            read(outcome(Ending::Completed, &messages), structure),
            CandidateResult::Answer(text.to_owned())
        );
    }
}

#[test]
fn empty_text_is_no_answer() {
    for (messages, structure) in [
        (&[][..], Structure::Free),
        (&[(None, " \n")][..], Structure::Free),
        (&[(Some(Phase::Commentary), "hm")][..], Structure::Schema),
    ] {
        for ending in [
            Ending::Completed,
            Ending::Incomplete(Shortfall::ContentFilter),
        ] {
            assert_eq!(
                read(outcome(ending, messages), structure),
                CandidateResult::Failed(CandidateFailure::empty())
            );
        }
    }
}

#[test]
fn complete_answers_must_be_objects_and_truncated_ones_need_not() {
    let prose = [(None, "Sure: {}")];
    assert!(matches!(
        read(outcome(Ending::Completed, &prose), Structure::Object),
        CandidateResult::Failed(_)
    ));
    let shortfall = Shortfall::MaxOutputTokens;
    assert_eq!(
        read(
            outcome(Ending::Incomplete(shortfall), &prose),
            Structure::Object
        ),
        CandidateResult::Truncated(shortfall, 8)
    );
}

#[test]
fn only_a_completed_turn_has_a_consulted_answer() {
    let messages = [(Some(Phase::Commentary), "Let me see."), (None, "A")];
    assert_eq!(
        consulted_text(outcome(Ending::Completed, &messages)).as_deref(),
        Some("A")
    );
    let stopped = Ending::Incomplete(Shortfall::MaxOutputTokens);
    assert_eq!(consulted_text(outcome(stopped, &messages)), None);
    assert_eq!(
        consulted_text(outcome(Ending::Completed, &[(None, " ")])),
        None
    );
}

#[test]
fn a_huge_answer_keeps_its_ends_and_its_length() {
    let most = fenced_texts::CHARACTERS_AT_MOST;
    let text = ["ä".repeat(most), "middle".to_owned(), "ö".repeat(most)].concat();
    let answer = CandidateAnswer::new(3, text);
    assert_eq!(answer.length(), 2 * most + 6);
    assert_eq!(answer.text().chars().count(), most);
    assert!(answer.text().starts_with('ä') && answer.text().ends_with('ö'));
    assert!(!answer.text().contains("middle"));
}
