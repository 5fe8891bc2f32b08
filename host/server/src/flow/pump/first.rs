//! When a stream has the first token of its answer: text, reasoning, or a call of a tool.

use super::super::turns::ANSWER;
use airlock_metrics::RequestMetrics;
use airlock_types::wit::{Ending, Event, EventKind, Frame, Output};

/// Looks for the first frames that hold some of the answer. Which frame says what is the policy's affair, so it goes by what
/// the policy received when it gave them.
pub(super) struct First {
    /// None once they are found, and where nothing is streamed.
    trail: Option<RequestMetrics>,
    /// The policy has heard some of the answer, and given nothing for it.
    held: bool,
}

impl First {
    /// `stream`: what is counted of the request. None: it is not for a stream.
    pub(super) fn new(stream: Option<RequestMetrics>) -> Self {
        Self {
            trail: stream,
            held: false,
        }
    }

    /// The policy was fed these events, and this is what it gave.
    pub(super) fn fed(&mut self, events: &[Event], output: &Output) {
        // So it is for nearly all pieces.
        if self.trail.is_none() {
            return;
        }
        // What was held back may come with anything.
        if self.held || output.handoff.is_some() || events.iter().any(says) {
            self.gave(&output.frames);
        }
    }

    /// The answer has ended, with these frames.
    pub(super) fn ended(&mut self, ending: &Ending, frames: &[Frame]) {
        let is_good = match ending {
            Ending::Completed | Ending::Incomplete(_) | Ending::HandedOff => true,
            Ending::Interrupted | Ending::Failed(_) => false,
        };
        if self.held && is_good {
            self.gave(frames);
        }
    }

    fn gave(&mut self, frames: &[Frame]) {
        self.held = frames.is_empty();
        if let Some(trail) = self.trail.take_if(|_| !frames.is_empty()) {
            trail.spoke();
        }
    }
}

/// Whether it is some of the answer. Of its calls the policy says when they are whole.
fn says(event: &Event) -> bool {
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

    fn first() -> First {
        First::new(Some(Metrics::default().request("/v1/chat/completions")))
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

    /// Whether it is found once these events gave so many frames.
    fn finds(first: &mut First, events: &[Event], count: usize) -> bool {
        let output = Output {
            frames: frames(count),
            handoff: None,
        };
        first.fed(events, &output);
        first.trail.is_none()
    }

    #[test]
    fn only_the_answer_has_a_first_token() {
        let mut first = first();
        let opened = event(1, EventKind::Opened("gpt-test".to_owned()));
        let nothing = [opened, text(0, ""), text(1, "a candidate's")];
        assert!(!finds(&mut first, &nothing, 3));
        assert!(finds(&mut first, &[text(1, "more"), text(0, "Hi")], 2));
    }

    #[test]
    fn calls_are_tokens_too() {
        let mut first = first();
        let handoff = Some(Handoff {
            source: 0,
            key: None,
        });
        let output = Output {
            frames: frames(2),
            handoff,
        };
        first.fed(&[], &output);
        assert!(first.trail.is_none());
    }

    #[test]
    fn what_a_policy_holds_back_counts_when_it_is_given() {
        let mut held = first();
        assert!(!finds(&mut held, &[text(0, "Hi")], 0));
        held.ended(&Ending::Interrupted, &frames(1));
        assert!(held.trail.is_some(), "an error is no token");
        held.ended(&Ending::Completed, &frames(1));
        assert!(held.trail.is_none());
        let mut silent = first();
        silent.ended(&Ending::Completed, &frames(1));
        assert!(silent.trail.is_some(), "nothing was said");
    }
}
