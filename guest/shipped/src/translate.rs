//! What Codex reports, in the client's dialect: one reply from its first event to its ending.

mod airlock;
mod calls;
mod candidates;
mod chunks;
mod collected;
mod ending;
mod heading;
mod messages;
mod refusal;
mod streamed;
mod strict;
#[cfg(test)]
mod tests;
mod transcript;
mod usage;

use crate::bindings::airlock::policy::types::{Context, Ending, Event};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Output};
use crate::notes::Notes;

use collected::Collected;
use heading::Heading;
use refusal::Fields;
use streamed::Streamed;

/// One response, streamed or whole.
#[derive(Debug)]
pub struct Reply {
    kind: Kind,
    fields: Fields,
}

#[derive(Debug)]
enum Kind {
    Streamed(Streamed),
    Collected(Collected),
}

impl Reply {
    /// The reply to the request that the context describes.
    pub fn new(context: &Context) -> Self {
        let notes = Notes::from_text(&context.notes);
        let heading = Heading::of(context);
        Self {
            fields: Fields::of(&notes),
            kind: if notes.streaming {
                Kind::Streamed(Streamed::new(&heading, notes))
            } else {
                Kind::Collected(Collected::new(heading, notes))
            },
        }
    }

    /// Translates a batch, in order. No frames where the client did not ask for a stream. After a handoff nothing is
    /// heard any more.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        match &mut self.kind {
            Kind::Streamed(streamed) => streamed.feed(events),
            Kind::Collected(collected) => Output {
                frames: Vec::new(),
                handoff: collected.feed(events),
            },
        }
    }

    /// How the host may tell more of what was told last, without this reply.
    pub fn offer(&self) -> Option<Pattern> {
        match &self.kind {
            Kind::Streamed(streamed) => streamed.offer(),
            Kind::Collected(_) => None,
        }
    }

    /// Hears what was told so.
    pub fn relayed(&mut self, events: Vec<Event>) {
        if let Kind::Streamed(streamed) = &mut self.kind {
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
            Kind::Streamed(streamed) => streamed.finish(&ending),
            Kind::Collected(collected) => Closing {
                frames: Vec::new(),
                body: collected.finish(&ending),
            },
        }
    }
}
