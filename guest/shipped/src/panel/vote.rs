//! The strategy `vote`: what most candidates answer is the answer. It asks no model.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::Value;

use super::{Answer, Step, Strategy, Table, draw};
use crate::bindings::airlock::policy::types::Choice;
use crate::json;

/// How long an answer may be whose meaning is compared, in bytes. Of a longer one every character counts.
const COMPARED_AT_MOST: usize = 64 * 1024;
/// Quotation marks and emphasis, which mean nothing around a whole answer.
const PAIRS: &[(char, char)] = &[
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('*', '*'),
    ('_', '_'),
    ('“', '”'),
    ('„', '“'),
    ('‘', '’'),
    ('«', '»'),
    ('»', '«'),
];
/// What may end an answer and means nothing there. Nothing is taken from its beginning: -5 and .5 are not 5.
const ENDS: &[char] = &['.', ',', ';', ':', '!', '?', '…', '。'];

/// Counts equal answers. Ends the waiting once more than half of all candidates agree.
#[derive(Clone, Debug, Default)]
pub struct Vote {
    groups: Vec<Group>,
    /// How many answers are in groups.
    counted: usize,
}

/// Candidates whose answers are taken for equal.
#[derive(Clone, Debug)]
struct Group {
    key: String,
    candidates: Vec<u32>,
    /// How many answers there were when its last one came.
    complete: usize,
}

/// What the client learns besides the answer.
#[derive(Serialize)]
struct Extra<'a> {
    /// The winner first.
    votes: Vec<Votes<'a>>,
}

#[derive(Serialize)]
struct Votes<'a> {
    candidates: &'a [u32],
    count: usize,
}

impl Vote {
    /// Puts the answers that are new into groups.
    fn count(&mut self, table: &Table) {
        for answer in table.answers().iter().skip(self.counted) {
            self.counted += 1;
            let key = key(answer, table.is_structured());
            match self.groups.iter_mut().find(|group| group.key == key) {
                Some(group) => {
                    group.candidates.push(answer.candidate());
                    group.candidates.sort_unstable();
                    group.complete = self.counted;
                }
                None => self.groups.push(Group {
                    key,
                    candidates: vec![answer.candidate()],
                    complete: self.counted,
                }),
            }
        }
    }
}

impl Strategy for Vote {
    fn name(&self) -> &'static str {
        "vote"
    }

    fn enough(&mut self, table: &Table) -> bool {
        self.count(table);
        let most = self.groups.iter().map(|group| group.candidates.len()).max();
        most.and_then(|most| u32::try_from(most).ok())
            .is_some_and(|most| most > table.candidates() / 2)
    }

    fn decide(&mut self, table: &Table) -> Step {
        self.count(table);
        // Of groups of one size, the one that had it first.
        self.groups
            .sort_by_key(|group| (Reverse(group.candidates.len()), group.complete));
        let votes = self.groups.iter().map(|group| Votes {
            candidates: &group.candidates,
            count: group.candidates.len(),
        });
        let extra = json::to_line(&Extra {
            votes: votes.collect(),
        });
        let winner = self
            .groups
            .first()
            .and_then(|group| group.candidates.first());
        winner.map_or(Step::Fallback, |candidate| {
            Step::Pick(Choice {
                candidate: *candidate,
                extra: Some(extra),
            })
        })
    }
}

/// What answers of one meaning have in common. Short, whatever the answer.
fn key(answer: &Answer, structured: bool) -> String {
    let text = answer.text().trim();
    if text.len() > COMPARED_AT_MOST {
        // The line break keeps it apart from the keys of short answers.
        let missing = answer.length() - answer.text().chars().count();
        return format!("\n{missing} {:016x}", draw::hash(text.bytes()));
    }
    if structured && let Ok(mut value) = serde_json::from_str::<Value>(text) {
        value.sort_all_objects();
        return value.to_string();
    }
    plain(text)
}

/// The words without capitals, superfluous spaces, and what stands around them.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let whole = words.join(" ").to_lowercase();
    let mut bare = whole.as_str();
    loop {
        let before = bare;
        bare = without_end(bare).trim();
        for (open, close) in PAIRS {
            let inner = bare
                .strip_prefix(*open)
                .and_then(|rest| rest.strip_suffix(*close));
            bare = inner.unwrap_or(bare).trim();
        }
        if bare == before {
            break;
        }
    }
    // An answer of nothing but marks is its marks.
    if bare.is_empty() {
        whole
    } else {
        bare.to_owned()
    }
}

/// The words without what ends them. The factorial of a number is not the number.
fn without_end(mut words: &str) -> &str {
    while let Some(rest) = words.strip_suffix(ENDS) {
        if words.ends_with('!') && rest.ends_with(|last: char| last.is_ascii_digit()) {
            break;
        }
        words = rest;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str, structured: bool) -> bool {
        let key = |text: &str| key(&Answer::new(1, text.to_owned()), structured);
        key(one) == key(other)
    }

    #[test]
    fn answers_that_mean_the_same_are_equal() {
        for (one, other) in [
            ("Paris", " paris.\n"),
            ("**Paris**", "\"Paris!\""),
            ("**Paris.**", "Paris"),
            ("„Zum  Löwen“", "zum\nlöwen"),
            ("`x = 1`", "x = 1"),
            ("_“Yes”_.", "yes"),
            ("...", "..."),
        ] {
            assert!(same(one, other, false), "{one} {other}");
        }
    }

    #[test]
    fn answers_that_mean_something_else_are_not() {
        for (one, other) in [
            ("5", "-5"),
            ("5", ".5"),
            ("5", "5%"),
            ("5", "5!"),
            ("C", "C++"),
            ("x", "!x"),
            ("p", "*p"),
            ("?", "!"),
            ("Paris", "Paris or London"),
        ] {
            assert!(!same(one, other, false), "{one} {other}");
        }
    }

    #[test]
    fn json_is_compared_by_its_values() {
        assert!(same(
            r#"{"a":1,"b":[{"c":2,"d":3}]}"#,
            "{ \"b\":[{\"d\":3,\"c\":2}], \"a\":1 }",
            true
        ));
        assert!(!same(r#"{"a":"X"}"#, r#"{"a":"x"}"#, true));
        assert!(!same(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, true));
        assert!(same("not JSON.", "Not json", true));
    }

    #[test]
    fn long_answers_are_compared_to_the_letter_and_their_keys_stay_short() {
        let long = "word ".repeat(COMPARED_AT_MOST / 4);
        assert!(same(&long, &format!("\n{long}"), false));
        assert!(!same(&long, &long.to_uppercase(), false));
        assert!(key(&Answer::new(1, long), false).len() < 40);
    }

    #[test]
    fn hostile_json_costs_no_more_than_its_text() {
        let deep = "[".repeat(COMPARED_AT_MOST);
        assert!(same(&deep, &deep, true));
    }
}
