//! What comes out of a pump, and what is noted of it.

use tracing::Span;

use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, EventKind, Frame};

/// A piece of a stream.
pub enum Piece {
    /// At least one frame. They go out together.
    Frames(Vec<Frame>),
    /// Nothing to say, for so long that somebody on the way might think that the connection is dead.
    Beat,
    /// The last frames. A failure is for the log: the frames tell the client of it.
    Last(Vec<Frame>, Option<Failure>),
    /// The policy failed, so there are no last frames but those that the host writes.
    Broken(Failure),
}

/// Whether a client hears of this event in any dialect, so that headers must not wait any longer.
pub(super) fn is_visible(event: &Event) -> bool {
    match &event.kind {
        EventKind::Text(text) => !text.text.is_empty(),
        EventKind::Reasoning(reasoning) => !reasoning.text.is_empty(),
        // That one of several has ended without a word says nothing yet of the answer.
        EventKind::Settled(_)
        | EventKind::Opened(_)
        | EventKind::Usage(_)
        | EventKind::Restarted(_)
        | EventKind::Other(_)
        | EventKind::Picked(_) => false,
    }
}

/// Notes the ending in the request's span, for its line in the log.
pub(super) fn record_ending(span: &Span, ending: &Ending) {
    let word = match ending {
        Ending::Completed => "completed",
        Ending::Incomplete(_) => "incomplete",
        Ending::Interrupted => "interrupted",
        Ending::Failed(_) => "failed",
        Ending::HandedOff => "handed off",
    };
    span.record("ending", word);
}
