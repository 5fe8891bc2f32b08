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
mod tests {
    use super::*;
    use airlock_metrics::Metrics;
    use airlock_types::wit::{Handoff, Text};

    fn first_token() -> FirstToken {
        FirstToken::new(Some(Metrics::default().request("/v1/chat/completions")))
    }

    fn event(source: u32, kind: EventKind) -> Event {
        Event {
            source,
            at: 0,
            kind,
        }
    }

    fn text(source: u32, text: &str) -> Event {
        let text = Text {
            message: 0,
            phase: None,
            text: text.to_owned(),
        };
        event(source, EventKind::Text(text))
    }

    fn frames(count: usize) -> Vec<Frame> {
        let frame = Frame {
            event: None,
            data: "{}".to_owned(),
        };
        vec![frame; count]
    }

    /// Whether the first token is found after `count` frames for these events.
    fn finds(first: &mut FirstToken, events: &[Event], count: usize) -> bool {
        let output = Output {
            frames: frames(count),
            handoff: None,
        };
        first.fed(events, &output);
        first.metrics.is_none()
    }

    #[test]
    fn only_the_answer_has_a_first_token() {
        let mut first = first_token();
        let opened = event(1, EventKind::Opened("gpt-test".to_owned()));
        let nothing = [opened, text(0, ""), text(1, "a candidate's")];
        assert!(!finds(&mut first, &nothing, 3));
        assert!(finds(&mut first, &[text(1, "more"), text(0, "Hi")], 2));
    }

    #[test]
    fn calls_are_tokens_too() {
        let mut first = first_token();
        let handoff = Some(Handoff {
            source: 0,
            key: None,
        });
        let output = Output {
            frames: frames(2),
            handoff,
        };
        first.fed(&[], &output);
        assert!(first.metrics.is_none());
    }

    #[test]
    fn frames_that_a_policy_withholds_count_once_returned() {
        let mut withheld = first_token();
        assert!(!finds(&mut withheld, &[text(0, "Hi")], 0));
        withheld.ended(&Ending::Interrupted, &frames(1));
        assert!(withheld.metrics.is_some(), "an error is no token");
        withheld.ended(&Ending::Completed, &frames(1));
        assert!(withheld.metrics.is_none());
        let mut silent = first_token();
        silent.ended(&Ending::Completed, &frames(1));
        assert!(silent.metrics.is_some(), "no text was received");
    }
}
