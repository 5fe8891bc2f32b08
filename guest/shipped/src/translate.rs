//! Translates what Codex reports into the client's dialect: one response from its first event to its ending.

mod airlock_object;
mod answer_filter;
mod calls;
mod candidates;
mod chunks;
mod collected;
mod ending;
mod heading;
mod messages;
mod streamed;
mod strict;
#[cfg(test)]
mod tests;
mod upstream_refusal;
mod usage;

use crate::bindings::airlock::policy::types::{Context, Ending, Event};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame, Output};
use crate::notes::PlanNotes;

use collected::CollectedReply;
use heading::Heading;
use streamed::StreamedReply;
use upstream_refusal::FieldMap;

/// The translator of one response, streamed or whole.
#[derive(Debug)]
pub struct ReplyTranslator {
    kind: ReplyKind,
    fields: FieldMap,
}

#[derive(Debug)]
enum ReplyKind {
    Streamed(StreamedReply),
    Collected(CollectedReply),
}

impl ReplyTranslator {
    /// A translator for the request that the context describes.
    pub fn new(context: &Context) -> Self {
        let notes = PlanNotes::from_text(&context.notes);
        let heading = Heading::of(context);
        Self {
            fields: FieldMap::of(&notes),
            kind: if notes.streaming {
                ReplyKind::Streamed(StreamedReply::new(&heading, notes))
            } else {
                ReplyKind::Collected(CollectedReply::new(heading, notes))
            },
        }
    }

    /// Translates a batch of events, in order. No frames unless the client requested a stream. After a handoff,
    /// events are ignored.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        match &mut self.kind {
            ReplyKind::Streamed(streamed) => streamed.feed(events),
            ReplyKind::Collected(collected) => Output {
                frames: Vec::new(),
                handoff: collected.feed(events),
                complete: false,
            },
        }
    }

    /// The pattern by which the host may write the continuation of the last event without this translator.
    pub fn offer(&self) -> Option<Pattern> {
        match &self.kind {
            ReplyKind::Streamed(streamed) => streamed.offer(),
            ReplyKind::Collected(_) => None,
        }
    }

    /// Records what the host has written by the pattern.
    pub fn relayed(&mut self, events: Vec<Event>) {
        if let ReplyKind::Streamed(streamed) = &mut self.kind {
            streamed.relayed(events);
        }
    }

    /// The frames to send while the stream is silent: none, a comment suffices.
    pub fn keep_alive(&self) -> Vec<Frame> {
        match &self.kind {
            ReplyKind::Streamed(_) | ReplyKind::Collected(_) => Vec::new(),
        }
    }

    /// Ends the response. If it failed, `body` is the problem, for a stream too: the host may have sent nothing yet.
    /// The body of a successful stream is empty.
    pub fn finish(self, ending: Ending) -> Closing {
        let ending = match ending {
            Ending::Failed(problem) => Ending::Failed(self.fields.translate(problem)),
            ending => ending,
        };
        match self.kind {
            ReplyKind::Streamed(streamed) => streamed.finish(&ending),
            ReplyKind::Collected(collected) => Closing {
                frames: Vec::new(),
                body: collected.finish(&ending),
            },
        }
    }
}
