//! The text that is held of candidates, and for how long.

use super::*;
use crate::translate::candidates::Candidates;

#[test]
fn no_more_text_is_held_than_needed() {
    let observed = [opened(1, 0), candidate_text(1, 0, "much"), used(1, 1)];
    for collects in [true, false] {
        let mut notes = notes(true, Structure::Free);
        let mut candidates = Candidates::of(&mut notes, collects).unwrap();
        let updates = observed
            .clone()
            .map(|event| candidates.receive(event, &notes));
        assert_eq!(updates[1].is_some(), collects);
        let text = candidates.get(1).unwrap().messages.to_text();
        assert_eq!(text, if collects { "much" } else { "" });
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
fn failed_candidates_hold_no_text() {
    let cut = Ending::Incomplete(Shortfall::MaxOutputTokens);
    for (ending, held) in [
        (failure(), ""),
        (Ending::Interrupted, ""),
        (Ending::Completed, "much"),
        (cut, "much"),
    ] {
        let mut notes = notes(false, Structure::Free);
        let mut candidates = Candidates::of(&mut notes, true).unwrap();
        for event in [opened(1, 0), candidate_text(1, 0, "much"), used(1, 1)] {
            candidates.receive(event, &notes);
        }
        assert_eq!(candidates.get(1).unwrap().messages.to_text(), "much");
        candidates.receive(settled(1, 1, ending), &notes);
        let candidate = candidates.get(1).unwrap();
        assert_eq!(candidate.messages.to_text(), held);
        assert!(candidate.usage.is_some());
    }
}
