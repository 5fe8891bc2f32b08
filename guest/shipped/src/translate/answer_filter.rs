//! Selects the text of a turn that belongs to the answer, and separates its messages. Used for streamed and collected
//! replies.

use crate::bindings::airlock::policy::types::{Phase, Reasoning, Text};
use crate::notes::{PlanNotes, Structure};

/// The separator of messages, and of the parts of a reasoning summary.
pub(super) const PARAGRAPH: &str = "\n\n";

/// The part number of an earlier turn's reasoning. No part has this number.
const EARLIER: u32 = u32::MAX;

/// Selects and separates the text of one reply, in the order of its events.
#[derive(Debug, Default)]
pub(super) struct AnswerFilter {
    /// The message of the last text.
    message: Option<u32>,
    /// The part of the last reasoning.
    part: Option<u32>,
    /// Whether the reasoning is the raw one.
    raw: Option<bool>,
}

impl AnswerFilter {
    /// The separator before this text: none within a message, a blank line before the next one. None if the text is
    /// not part of the answer.
    pub(super) fn admit_text(&mut self, text: &Text, notes: &PlanNotes) -> Option<&'static str> {
        // A client that parses the answer cannot have commentary before it.
        let is_commentary =
            text.phase == Some(Phase::Commentary) && notes.structure != Structure::Free;
        if is_commentary || text.text.is_empty() {
            return None;
        }
        Some(separator(&mut self.message, text.message))
    }

    /// As `admit_text`. Of raw reasoning and summary only the kind that comes first is sent: both have the same
    /// content.
    pub(super) fn admit_reasoning(
        &mut self,
        reasoning: &Reasoning,
        notes: &PlanNotes,
    ) -> Option<&'static str> {
        if !notes.reasoning || reasoning.text.is_empty() {
            return None;
        }
        if *self.raw.get_or_insert(reasoning.raw) != reasoning.raw {
            return None;
        }
        Some(separator(&mut self.part, reasoning.part))
    }

    /// Whether any text belongs to the answer so far.
    pub(super) fn has_text(&self) -> bool {
        self.message.is_some()
    }

    /// Starts the text of another turn, which replaces this one. The reasoning that was sent remains.
    pub(super) fn restart(&mut self) {
        *self = Self {
            part: self.part.map(|_| EARLIER),
            ..Self::default()
        };
    }
}

fn separator(last: &mut Option<u32>, now: u32) -> &'static str {
    match last.replace(now) {
        Some(before) if before != now => PARAGRAPH,
        Some(_) | None => "",
    }
}
