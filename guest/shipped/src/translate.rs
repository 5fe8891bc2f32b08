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

pub(crate) use responses::queued_response;

use heading::Heading;
use reply_state::ReplyState;
use upstream_refusal::FieldMap;

/// The translator of one response, streamed or whole.
#[derive(Debug)]
pub struct ReplyTranslator {
    state: ReplyState,
    fields: FieldMap,
}

impl ReplyTranslator {
    /// A translator for the request that the context describes.
    pub fn new(context: &Context) -> Self {
        let notes = PlanNotes::from_text(&context.notes);
        Self {
            fields: FieldMap::of(&notes),
            state: ReplyState::new(Heading::of(context), notes),
        }
    }

    /// Translates a batch of events, in order. No frames unless the client requested a stream. After a handoff or a stop
    /// sequence, events are ignored.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        self.state.feed(events)
    }

    /// The pattern by which the host may write the continuation of the last event without this translator.
    pub fn offer(&self) -> Option<Pattern> {
        self.state.offer()
    }

    /// Records what the host has written by the pattern.
    pub fn relayed(&mut self, events: Vec<Event>) {
        self.state.relayed(events);
    }

    /// The frames to send while the stream is silent. Empty: a comment suffices.
    pub fn keep_alive(&mut self) -> Vec<Frame> {
        self.state.keep_alive()
    }

    /// Ends the response. If it failed, `body` is the problem, for a stream too: the host may have sent nothing yet.
    /// The body of a successful stream is empty.
    pub fn finish(self, ending: Ending) -> Closing {
        let ending = match ending {
            Ending::Failed(problem) => Ending::Failed(self.fields.translate(problem)),
            ending => ending,
        };
        self.state.finish(&ending)
    }
}
