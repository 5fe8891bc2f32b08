//! Which of the turn's words belong to the answer, and what separates them. Shared by both kinds of reply.

use crate::bindings::airlock::policy::types::{Phase, Reasoning, Text};
use crate::notes::{PlanNotes, Structure};

/// Between the messages of a turn, and between the parts of a summary.
pub(super) const PARAGRAPH: &str = "\n\n";

/// Stands for the reasoning of a turn before this one. No part has this number.
const EARLIER: u32 = u32::MAX;

/// Selects and separates the words of one reply, in the order of its events.
#[derive(Debug, Default)]
pub(super) struct AnswerFilter {
    /// The message whose text came last, once there was any.
    message: Option<u32>,
    /// The part of the reasoning that came last, once there was any.
    part: Option<u32>,
    /// Whether the reasoning told is the raw one.
    raw: Option<bool>,
}

impl AnswerFilter {
    /// What must be written before this text: nothing within a message, a blank line before the next one. None when
    /// the text is not part of the answer.
    pub(super) fn admit_text(&mut self, text: &Text, notes: &PlanNotes) -> Option<&'static str> {
        // A client that parses the answer cannot have the model's remarks in front of it.
        let remark = text.phase == Some(Phase::Commentary) && notes.structure != Structure::Free;
        if remark || text.text.is_empty() {
            return None;
        }
        Some(separator(&mut self.message, text.message))
    }

    /// As `admit_text`. Of the reasoning itself and its summary only the kind that comes first is told: both say
    /// the same.
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

    /// Another turn takes the place of this one, whose reasoning has been told and stays.
    pub(super) fn begin_again(&mut self) {
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
