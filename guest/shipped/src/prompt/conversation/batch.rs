//! Calls that the assistant made at once, and what came of them.

use super::{Answered, Message, Misplaced, into_input};
use crate::bindings::exports::airlock::policy::prompt::ToolResult;
use crate::prompt::content::Part;
use crate::tools::{Call, text_digest};

/// An assistant's message with calls, and the results that have followed.
pub(super) struct Batch<'de> {
    /// Which message of the request it is, from 0.
    pub(super) message: usize,
    /// What the assistant said besides.
    pub(super) said: Message<'de>,
    pub(super) calls: Vec<Call<'de>>,
    /// For each call, once it is there.
    results: Vec<Option<Vec<Part<'de>>>>,
}

impl<'de> Batch<'de> {
    pub(super) fn new(message: usize, said: Message<'de>, calls: Vec<Call<'de>>) -> Self {
        Self {
            message,
            said,
            results: calls.iter().map(|_| None).collect(),
            calls,
        }
    }

    /// Takes the result of the call at `place`. False where it has one, or there is no such call.
    pub(super) fn answer(&mut self, place: usize, parts: Vec<Part<'de>>) -> bool {
        match self.results.get_mut(place) {
            Some(result) if result.is_none() => {
                *result = Some(parts);
                true
            }
            Some(_) | None => false,
        }
    }

    /// # Errors
    ///
    /// Where a call has no result.
    pub(super) fn check_answered(&self) -> Result<(), Misplaced> {
        match self.results.iter().position(Option::is_none) {
            None => Ok(()),
            Some(place) => Err(Misplaced::Call(
                self.message,
                place,
                "a call without a result: a message of role `tool` with this `tool_call_id` must follow, before any other message",
            )),
        }
    }

    /// The results in the order of the calls, each with its call's id.
    pub(super) fn results(&self) -> impl Iterator<Item = (&str, &[Part<'de>])> {
        self.calls
            .iter()
            .zip(&self.results)
            .filter_map(|(call, result)| Some((call.id.as_ref(), result.as_deref()?)))
    }

    /// `before` is the digest of the conversation before it.
    pub(super) fn into_answered(self, before: String) -> Answered<'de> {
        let text = match self.said.parts.as_slice() {
            [part] => text_digest(part.text()),
            parts => {
                let texts: Vec<&str> = parts.iter().map(Part::text).collect();
                text_digest(&texts.concat())
            }
        };
        let results = self
            .calls
            .iter()
            .zip(self.results)
            .filter_map(|(call, result)| {
                let (call, output) = (call.id.clone().into_owned(), into_input(result?));
                Some(ToolResult { call, output })
            })
            .collect();
        Answered {
            before,
            text,
            calls: self.calls,
            results,
        }
    }
}
