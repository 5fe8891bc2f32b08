//! The time to the first token of a stream: text, reasoning, or a tool call.

use super::super::turn_set::ANSWER;
use airlock_metrics::RequestMetrics;
use airlock_types::wit::{Ending, Event, EventKind, Frame, Output};

/// Detects the first frames with a part of the answer. The host does not read frames, so it goes by the events that the
/// policy received for them.
pub(super) struct FirstToken {
    /// None once the frames are found, or if the response is not streamed.
    metrics: Option<RequestMetrics>,
    /// The policy has received a part of the answer and has returned no frames for it.
    withheld: bool,
}

impl FirstToken {
    /// `metrics`: those of the request. None: the response is not streamed.
    pub(super) fn new(metrics: Option<RequestMetrics>) -> Self {
        Self {
            metrics,
            withheld: false,
        }
    }

    /// Records that the policy received these events and returned this output.
    pub(super) fn fed(&mut self, events: &[Event], output: &Output) {
        // Nearly all pieces come after the first token.
        if self.metrics.is_none() {
            return;
        }
        // What was withheld may come with any later output.
        if self.withheld || output.handoff.is_some() || events.iter().any(is_answer) {
            self.returned(&output.frames);
        }
    }

    /// Records that the answer has ended, with these frames.
    pub(super) fn ended(&mut self, ending: &Ending, frames: &[Frame]) {
        let is_good = match ending {
            Ending::Completed | Ending::Incomplete(_) | Ending::HandedOff => true,
            Ending::Interrupted | Ending::Failed(_) => false,
        };
        if self.withheld && is_good {
            self.returned(frames);
        }
    }

    /// Records that the policy returned these frames for a part of the answer.
    fn returned(&mut self, frames: &[Frame]) {
        self.withheld = frames.is_empty();
        if let Some(metrics) = self.metrics.take_if(|_| !frames.is_empty()) {
            metrics.first_token();
        }
    }
}

/// Whether the event is text or reasoning of the answer. Tool calls come as a handoff, once they are complete.
fn is_answer(event: &Event) -> bool {
    let text = match &event.kind {
        EventKind::Text(text) => &text.text,
        EventKind::Reasoning(reasoning) => &reasoning.text,
        EventKind::Settled(_)
        | EventKind::Opened(_)
        | EventKind::Usage(_)
        | EventKind::Restarted(_)
        | EventKind::Other(_)
        | EventKind::Picked(_) => return false,
    };
    event.source == ANSWER && !text.is_empty()
}

#[cfg(test)]
mod tests;
