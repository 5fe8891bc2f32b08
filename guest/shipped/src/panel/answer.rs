//! Reads a candidate's outcome: an answer, a truncated one, or a failure.

use super::failure::CandidateFailure;
use super::fenced_texts::{self, Excerpt};
use super::random;
use crate::bindings::airlock::policy::types::{Ending, Phase, Shortfall};
use crate::bindings::exports::airlock::policy::synthesize::{Message, Outcome};
use crate::notes::Structure;

/// A candidate's complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateAnswer {
    candidate: u32,
    /// The text, or its beginning and end.
    text: String,
    /// Where its middle was removed, in bytes of `text`.
    gap: Option<usize>,
    /// The length of the whole, in characters.
    length: usize,
    /// The hash of the whole without surrounding whitespace.
    digest: u64,
}

impl CandidateAnswer {
    /// Keeps at most as much of the text as fits a turn's input: its beginning and its end.
    pub(super) fn new(candidate: u32, text: String) -> Self {
        let length = text.chars().count();
        let digest = random::hash(text.trim().bytes());
        let (text, gap) = if length <= fenced_texts::CHARACTERS_AT_MOST {
            (text, None)
        } else {
            let (front, back) =
                Excerpt::whole(&text, length).ends(fenced_texts::CHARACTERS_AT_MOST);
            ([front, back].concat(), Some(front.len()))
        };
        Self {
            candidate,
            text,
            gap,
            length,
            digest,
        }
    }

    /// The candidate's number, from 1.
    pub fn candidate(&self) -> u32 {
        self.candidate
    }

    /// The answer's text. Of more than 1,000,000 characters the middle is removed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The length of the whole text, in characters.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether the middle of `text` was removed.
    pub(super) fn is_cut(&self) -> bool {
        self.gap.is_some()
    }

    /// A hash that is equal for answers which are equal except for surrounding whitespace.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn excerpt(&self) -> Excerpt<'_> {
        Excerpt {
            text: &self.text,
            gap: self.gap,
            length: self.length,
        }
    }

    pub(super) fn free_text(&mut self) {
        self.text = String::new();
        self.gap = None;
    }
}

/// The result of a candidate that ended.
#[derive(Debug, PartialEq)]
pub(super) enum CandidateResult {
    Answer(String),
    /// The model truncated the answer after this many characters.
    Truncated(Shortfall, usize),
    Failed(CandidateFailure),
}

/// Reads a candidate's outcome.
pub(super) fn read(outcome: Outcome, structure: Structure) -> CandidateResult {
    let shortfall = match outcome.ending {
        Ending::Completed => None,
        Ending::Incomplete(shortfall) => Some(shortfall),
        Ending::Interrupted | Ending::HandedOff => {
            return CandidateResult::Failed(CandidateFailure::interrupted());
        }
        Ending::Failed(problem) => return CandidateResult::Failed(CandidateFailure::of(problem)),
    };
    let text = join(outcome.messages, structure != Structure::Free);
    match shortfall {
        _ if text.trim().is_empty() => CandidateResult::Failed(CandidateFailure::empty()),
        Some(shortfall) => CandidateResult::Truncated(shortfall, text.chars().count()),
        None => match structure.check(&text) {
            Ok(()) => CandidateResult::Answer(text),
            Err(problem) => CandidateResult::Failed(CandidateFailure::unreadable(problem)),
        },
    }
}

/// The text of a consulted turn. None if it failed, was truncated or is empty.
pub(super) fn consulted_text(outcome: Outcome) -> Option<String> {
    if outcome.ending != Ending::Completed {
        return None;
    }
    Some(join(outcome.messages, true)).filter(|text| !text.trim().is_empty())
}

/// Joins the messages as a client would read them: with a blank line between them, and without commentary if the
/// answer is parsed.
fn join(messages: Vec<Message>, parsed: bool) -> String {
    let mut texts: Vec<String> = messages
        .into_iter()
        .filter(|message| !(parsed && message.phase == Some(Phase::Commentary)))
        .map(|message| message.text)
        .filter(|text| !text.is_empty())
        .collect();
    if texts.len() == 1 {
        // A single message, which may be large, is not copied.
        return texts.pop().unwrap_or_default();
    }
    texts.join("\n\n")
}

#[cfg(test)]
mod tests;
