//! The output of a pump: pieces of a stream.

use tracing::Span;

use airlock_types::failure::Failure;
use airlock_types::wit::{Ending, Event, EventKind, Frame};

/// A piece of a stream.
pub enum StreamPiece {
    /// At least one frame. They are written together.
    Frames(Vec<Frame>),
    /// Keeps an idle connection alive: nothing was sent for `limits.heartbeat`.
    Heartbeat,
    /// The last frames. A failure is for the log: the frames report it to the client already.
    Last(Vec<Frame>, Option<Failure>),
    /// The policy failed, so the host writes the last frames, from this sequence number on.
    Broken(Failure, u64),
}

/// Whether this event is output in any dialect, for which the response's headers are sent.
pub(super) fn is_visible(event: &Event) -> bool {
    match &event.kind {
        EventKind::Text(text) => !text.text.is_empty(),
        EventKind::Reasoning(reasoning) => !reasoning.text.is_empty(),
        // The end of one candidate is no output of the answer.
        EventKind::Settled(_)
        | EventKind::Opened(_)
        | EventKind::Usage(_)
        | EventKind::Restarted(_)
        | EventKind::Other(_)
        | EventKind::Picked(_) => false,
    }
}

/// Records the ending in the request's span, for its line in the log.
pub(super) fn record_ending(span: &Span, ending: &Ending) {
    let name = match ending {
        Ending::Completed => "completed",
        Ending::Incomplete(_) => "incomplete",
        Ending::Interrupted => "interrupted",
        Ending::Failed(_) => "failed",
        Ending::HandedOff => "handed off",
    };
    span.record("ending", name);
}
