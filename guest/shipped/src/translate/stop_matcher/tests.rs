//! The output does not depend on how the text is cut.

use proptest::prelude::*;

use super::*;

/// The text before the first match, and the sequence, found by looking at every end.
fn expected<'a>(text: &'a str, sequences: &'a [String]) -> (&'a str, Option<&'a str>) {
    for end in 0..=text.len() {
        let found = sequences.iter().filter(|sequence| {
            let start = end.checked_sub(sequence.len());
            !sequence.is_empty()
                && start.is_some_and(|start| &text.as_bytes()[start..end] == sequence.as_bytes())
        });
        if let Some(sequence) = found.max_by_key(|sequence| sequence.len()) {
            return (&text[..end - sequence.len()], Some(sequence));
        }
    }
    (text, None)
}

/// Every piece may be up to the largest held text shorter than what was pushed.
fn matched(pieces: &[&str], sequences: &[String]) -> (String, Option<String>) {
    let Some(mut matcher) = StopMatcher::new(sequences) else {
        return (pieces.concat(), None);
    };
    let longest = sequences.iter().map(String::len).max().unwrap_or_default();
    let (mut released, mut pushed) = (String::new(), 0);
    for piece in pieces {
        released.push_str(&matcher.push(piece));
        pushed += piece.len();
        assert_eq!(matcher.excess(), pushed - released.len());
        assert!(matcher.matched().is_some() || pushed - released.len() < longest);
    }
    let sequence = matcher.matched().map(str::to_owned);
    let held = matcher.restart();
    if sequence.is_some() {
        assert_eq!(held, "");
    }
    released.push_str(&held);
    (released, sequence)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_output(
        text in "[abé\n]{0,24}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        sequences in prop::collection::vec("[abé\n]{0,4}", 0..4),
    ) {
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
            .collect();
        cuts.sort_unstable();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([text.len()]);
        let pieces: Vec<&str> = starts.zip(ends).map(|(start, end)| &text[start..end]).collect();
        let (before, sequence) = expected(&text, &sequences);
        prop_assert_eq!(
            matched(&pieces, &sequences),
            (before.to_owned(), sequence.map(str::to_owned))
        );
    }
}

#[test]
fn only_a_beginning_of_a_sequence_is_held() {
    let mut matcher = StopMatcher::new(&["\n\nEND".to_owned(), "aab".to_owned()]).unwrap();
    assert_eq!(matcher.push("one\n"), "one");
    assert_eq!(matcher.push("\nE"), "");
    assert_eq!(matcher.push("LSE aa"), "\n\nELSE ");
    assert_eq!(matcher.push("a"), "a");
    assert_eq!(matcher.matched(), None);
    assert_eq!(matcher.push("b, and more"), "");
    assert_eq!(matcher.matched(), Some("aab"));
    assert_eq!(matcher.push("more"), "");
}

#[test]
fn a_restart_forgets_what_was_begun() {
    let mut matcher = StopMatcher::new(&["ab".to_owned()]).unwrap();
    assert_eq!(matcher.push("xa"), "x");
    assert_eq!(matcher.restart(), "a");
    assert_eq!(matcher.push("b"), "b");
    assert_eq!((matcher.matched(), matcher.excess()), (None, 0));
    assert!(StopMatcher::new(&[String::new()]).is_none());
}

#[test]
fn the_time_is_linear() {
    let length = 1 << 20;
    let sequence = ["a".repeat(length), "b".to_owned()].concat();
    let mut matcher = StopMatcher::new(&[sequence]).unwrap();
    let text = "a".repeat(2 * length);
    assert_eq!(matcher.push(&text).len(), length);
    assert_eq!(matcher.push("cb").len(), length + 2);
}
