//! What Codex reports, in the client's dialect: one reply from its first event to its ending.

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
use crate::bindings::exports::airlock::policy::translate::{Closing, Output};
use crate::notes::PlanNotes;

use collected::CollectedReply;
use heading::Heading;
use streamed::StreamedReply;
use upstream_refusal::FieldMap;

/// One response, streamed or whole.
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
    /// The reply to the request that the context describes.
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

    /// Translates a batch, in order. No frames where the client did not ask for a stream. After a handoff nothing is
    /// heard any more.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        match &mut self.kind {
            ReplyKind::Streamed(streamed) => streamed.feed(events),
            ReplyKind::Collected(collected) => Output {
                frames: Vec::new(),
                handoff: collected.feed(events),
            },
        }
    }

    /// How the host may tell more of what was told last, without this reply.
    pub fn offer(&self) -> Option<Pattern> {
        match &self.kind {
            ReplyKind::Streamed(streamed) => streamed.offer(),
            ReplyKind::Collected(_) => None,
        }
    }

    /// Hears what was told so.
    pub fn relayed(&mut self, events: Vec<Event>) {
        if let ReplyKind::Streamed(streamed) = &mut self.kind {
            streamed.relayed(events);
        }
    }

    /// Ends the response. Where it failed, `body` is the problem even of a stream, for a host that has sent nothing
    /// yet; the body of a stream that went well is empty.
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
