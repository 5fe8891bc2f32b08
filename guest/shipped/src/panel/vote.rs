//! The strategy `vote`: takes the answer that most candidates give. It needs no model.

mod json_values;
mod plain_text;

use std::cmp::Reverse;

use serde::Serialize;

use super::answer::CandidateAnswer;
use super::strategy::{Strategy, StrategyStep};
use super::table::Table;
use crate::bindings::airlock::policy::types::Choice;
use crate::json;

/// The most bytes of an answer that is normalized. Longer ones are equal only if every character is.
const COMPARED_AT_MOST: usize = 64 * 1024;
/// Counts equal answers. Ends the waiting once more than half of all candidates agree.
#[derive(Clone, Debug, Default)]
pub struct VoteStrategy {
    /// In the order in which the answers were completed.
    ballots: Vec<Ballot>,
}

/// The vote of one answer.
#[derive(Clone, Debug)]
struct Ballot {
    candidate: u32,
    /// The normalized answer: equal for answers that count as equal.
    normalized: String,
    /// The normalized answer with the capitals that may be significant: 5 MW is not 5 mW.
    spelling: String,
    /// A hash of the exact answer.
    digest: u64,
}

/// The `extra` of the choice, for the client.
#[derive(Serialize)]
struct VoteExtra {
    /// The winner first.
    votes: Vec<GroupVotes>,
}

#[derive(Serialize)]
struct GroupVotes {
    candidates: Vec<u32>,
    count: usize,
}

impl VoteStrategy {
    /// Adds the answers that are new.
    fn add_new(&mut self, table: &Table) {
        for answer in table.answers().iter().skip(self.ballots.len()) {
            self.ballots.push(Ballot::of(answer, table.is_structured()));
        }
    }

    /// The groups of equal ballots, the largest first; of equally large groups the one that reached its size first.
    fn groups(&self) -> Vec<Vec<&Ballot>> {
        let mut groups: Vec<(usize, Vec<&Ballot>)> = Vec::new();
        for (index, ballot) in self.ballots.iter().enumerate() {
            let same =
                |group: &[&Ballot]| group.iter().any(|it| it.normalized == ballot.normalized);
            match groups.iter_mut().find(|(_, group)| same(group)) {
                Some((last, group)) => {
                    *last = index;
                    group.push(ballot);
                }
                None => groups.push((index, vec![ballot])),
            }
        }
        groups.sort_by_key(|(last, group)| (Reverse(group.len()), *last));
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

impl Ballot {
    fn of(answer: &CandidateAnswer, structured: bool) -> Self {
        let candidate = answer.candidate();
        let digest = answer.digest();
        let text = answer.text().trim();
        let exact = if answer.is_cut() || text.len() > COMPARED_AT_MOST {
            // The line break distinguishes it from short answers.
            Some(format!("\n{digest:016x}"))
        } else {
            structured.then(|| json_values::canonical(text)).flatten()
        };
        let (normalized, spelling) = match exact {
            Some(exact) => (exact.clone(), exact),
            None => {
                let plain = plain_text::normalize(text);
                (plain.to_lowercase(), plain_text::normalize_capitals(&plain))
            }
        };
        Self {
            candidate,
            normalized,
            spelling,
            digest,
        }
    }
}

/// The candidate whose answer represents a group: one with the most frequent spelling, and among those one with the
/// most frequent exact text. The lowest number on a tie.
fn representative(group: &[&Ballot]) -> Option<u32> {
    let best = group.iter().min_by_key(|ballot| {
        let spelling_count = count_matching(group, |other| other.spelling == ballot.spelling);
        let exact = count_matching(group, |other| other.digest == ballot.digest);
        (Reverse(spelling_count), Reverse(exact), ballot.candidate)
    });
    best.map(|ballot| ballot.candidate)
}

/// Whether no other spelling of a group can overtake the leading one, with this many ballots missing.
fn is_spelling_settled(group: &[&Ballot], missing: usize) -> bool {
    let count = |ballot: &Ballot| count_matching(group, |other| other.spelling == ballot.spelling);
    let Some(lead) = group.iter().max_by_key(|ballot| count(ballot)) else {
        return false;
    };
    let others = group.iter().filter(|it| it.spelling != lead.spelling);
    let second = others.map(|ballot| count(ballot)).max().unwrap_or(0);
    second + missing <= count(lead)
}

fn count_matching(group: &[&Ballot], same: impl Fn(&Ballot) -> bool) -> usize {
    group.iter().filter(|ballot| same(ballot)).count()
}

impl Strategy for VoteStrategy {
    fn name(&self) -> &'static str {
        "vote"
    }

    fn enough(&mut self, table: &Table) -> bool {
        self.add_new(table);
        let all = usize::try_from(table.candidates()).unwrap_or(usize::MAX);
        let missing = all.saturating_sub(self.ballots.len());
        self.groups()
            .first()
            .is_some_and(|group| group.len() > all / 2 && is_spelling_settled(group, missing))
    }

    fn decide(&mut self, table: &Table) -> StrategyStep {
        self.add_new(table);
        let groups = self.groups();
        let Some(candidate) = groups.first().and_then(|group| representative(group)) else {
            return StrategyStep::Fallback;
        };
        let votes = groups.iter().map(|group| {
            let mut candidates: Vec<u32> = group.iter().map(|ballot| ballot.candidate).collect();
            candidates.sort_unstable();
            let count = candidates.len();
            GroupVotes { candidates, count }
        });
        let extra = VoteExtra {
            votes: votes.collect(),
        };
        StrategyStep::Pick(Choice {
            candidate,
            extra: Some(json::to_line(&extra)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::fenced_texts::CHARACTERS_AT_MOST;

    fn same(one: &str, other: &str, structured: bool) -> bool {
        let of = |text: &str| Ballot::of(&CandidateAnswer::new(1, text.to_owned()), structured);
        of(one).normalized == of(other).normalized
    }

    #[test]
    fn json_is_compared_by_value_and_other_text_in_normalized_form() {
        assert!(same("{\"a\":1.0}", "{ \"a\": 1 }", true));
        assert!(!same("{\"a\":1.0}", "{ \"a\": 1 }", false));
        assert!(same("not JSON.", "Not json", true));
        assert!(!same("{\"a\":\"X\"}", "{\"a\":\"x\"}", true));
    }

    #[test]
    fn long_answers_are_compared_exactly_by_short_keys() {
        let long = "word ".repeat(COMPARED_AT_MOST / 4);
        assert!(same(&long, &format!("\n{long}"), false));
        assert!(!same(&long, &long.to_uppercase(), false));
        let ballot = Ballot::of(&CandidateAnswer::new(1, long), false);
        assert!(ballot.normalized.len() < 40 && ballot.spelling.len() < 40);
    }

    #[test]
    fn the_removed_middle_of_an_answer_is_compared_too() {
        let huge = |fill: &str, middle: &str| {
            let fill = fill.repeat(CHARACTERS_AT_MOST);
            [&fill, middle, &fill].concat()
        };
        for fill in ["a", " "] {
            let (one, other) = (huge(fill, "yes"), huge(fill, "not"));
            assert!(same(&one, &one, false));
            assert!(!same(&one, &other, false));
        }
    }

    #[test]
    fn deeply_nested_json_is_compared_as_text() {
        let deep = "[".repeat(COMPARED_AT_MOST);
        assert!(same(&deep, &deep, true));
        let closed = ["[".repeat(20_000), "]".repeat(20_000)].concat();
        assert!(same(&closed, &closed, true));
    }
}
