//! What is held of candidates, and for how long.

use super::*;
use crate::translate::candidates::Candidates;

#[test]
fn no_more_text_is_held_than_is_wanted() {
    let heard = [opened(1, 0), said(1, 0, "much"), used(1, 1)];
    for kept in [true, false] {
        let mut notes = notes(true, Structure::Free);
        let mut candidates = Candidates::of(&mut notes, kept).unwrap();
        let news = heard.clone().map(|event| candidates.receive(event, &notes));
        assert_eq!(news[1].is_some(), kept);
        let text = candidates.get(1).unwrap().messages.to_text();
        assert_eq!(text, if kept { "much" } else { "" });
        assert!(candidates.own_usage().is_some());
        candidates.receive(settled(1, 1, Ending::Completed), &notes);
        candidates.pick(Choice {
            candidate: 1,
            extra: None,
        });
        assert_eq!(candidates.get(1).unwrap().messages.to_text(), "");
    }
}

#[test]
fn nothing_is_held_of_a_candidate_that_gave_no_answer() {
    let cut = Ending::Incomplete(Shortfall::MaxOutputTokens);
    for (ending, held) in [
        (failure(), ""),
        (Ending::Interrupted, ""),
        (Ending::Completed, "much"),
        (cut, "much"),
    ] {
        let mut notes = notes(false, Structure::Free);
        let mut candidates = Candidates::of(&mut notes, true).unwrap();
        for event in [opened(1, 0), said(1, 0, "much"), used(1, 1)] {
            candidates.receive(event, &notes);
        }
        assert_eq!(candidates.get(1).unwrap().messages.to_text(), "much");
        candidates.receive(settled(1, 1, ending), &notes);
        let candidate = candidates.get(1).unwrap();
        assert_eq!(candidate.messages.to_text(), held);
        assert!(candidate.usage.is_some());
    }
}
