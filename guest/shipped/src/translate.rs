//! Translates what Codex reports into the client's dialect: one response from its first event to its ending.

mod airlock_object;
mod answer_filter;
mod answer_output;
mod calls;
mod candidates;
mod chat;
mod collected_answer;
mod ending;
mod heading;
mod messages;
mod model_item;
mod reply_state;
mod responses;
mod stop_matcher;
mod streamed_answer;
mod strict;
#[cfg(test)]
mod tests;
mod turn_text;
mod upstream_refusal;
mod usage;
mod writer;

use crate::bindings::airlock::policy::types::{Context, Ending, Event};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame, Output};
use crate::notes::PlanNotes;

pub(crate) use responses::{queued_response, warm_up_response};

use chat::Choices;
use heading::Heading;
use reply_state::ReplyState;
use upstream_refusal::FieldMap;

/// The translator of one response, streamed or whole.
#[derive(Debug)]
pub struct ReplyTranslator {
    form: ReplyForm,
    fields: FieldMap,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every reply is the first, and boxing it would cost each delta an indirection"
)]
#[derive(Debug)]
enum ReplyForm {
    /// One answer.
    One(ReplyState),
    /// The choices of a chat completion.
    Several(Choices),
}

impl ReplyTranslator {
    /// A translator for the request that the context describes.
    pub fn new(context: &Context) -> Self {
        let notes = PlanNotes::from_text(&context.notes);
        let heading = Heading::of(context);
        Self {
            fields: FieldMap::of(&notes),
            form: match notes.choices {
                None => ReplyForm::One(ReplyState::new(heading, notes)),
                Some(count) => ReplyForm::Several(Choices::new(heading, notes, count)),
            },
        }
    }

    /// Translates a batch of events, in order. No frames unless the client requested a stream. After a handoff or a stop
    /// sequence, events are ignored.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        match &mut self.form {
            ReplyForm::One(state) => state.feed(events),
            ReplyForm::Several(choices) => choices.feed(events, &self.fields),
        }
    }

    /// The pattern by which the host may write the continuation of the last event without this translator.
    pub fn offer(&self) -> Option<Pattern> {
        match &self.form {
            ReplyForm::One(state) => state.offer(),
            // The host takes patterns for the answer's turn alone.
            ReplyForm::Several(_) => None,
        }
    }

    /// Records what the host has written by the pattern.
    pub fn relayed(&mut self, events: Vec<Event>) {
        if let ReplyForm::One(state) = &mut self.form {
            state.relayed(events);
        }
    }

    /// The frames to send while the stream is silent. Empty: a comment suffices.
    pub fn keep_alive(&mut self) -> Vec<Frame> {
        match &mut self.form {
            ReplyForm::One(state) => state.keep_alive(),
            ReplyForm::Several(_) => Vec::new(),
        }
    }

    /// Ends the response. If it failed, `body` is the problem, for a stream too: the host may have sent nothing yet.
    /// The body of a successful stream is empty.
    pub fn finish(self, ending: Ending) -> Closing {
        let ending = match ending {
            Ending::Failed(problem) => Ending::Failed(self.fields.translate(problem)),
            ending => ending,
        };
        match self.form {
            ReplyForm::One(state) => state.finish(&ending),
            ReplyForm::Several(choices) => choices.finish(&ending),
        }
    }
}
