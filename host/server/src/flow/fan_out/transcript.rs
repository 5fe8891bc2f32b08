//! The transcript of a turn, by message, for the panel.

use airlock_types::wit::{Ending, EventKind, Message, Outcome};

/// The messages of one turn so far.
#[derive(Debug, Default)]
pub(super) struct TurnTranscript {
    /// With their numbers within the turn.
    messages: Vec<(u32, Message)>,
    bytes: usize,
}

impl TurnTranscript {
    /// Bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends text, or removes void messages. Ignores other events.
    pub(super) fn append(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Text(text) => {
                self.bytes += text.text.len();
                match self.messages.last_mut() {
                    Some((number, message)) if *number == text.message => {
                        message.text.push_str(&text.text);
                    }
                    _ => {
                        let message = Message {
                            phase: text.phase,
                            text: text.text.clone(),
                        };
                        self.messages.push((text.message, message));
                    }
                }
            }
            EventKind::Restarted(void) => {
                self.messages.retain(|(number, _)| !void.contains(number));
                self.bytes = self
                    .messages
                    .iter()
                    .map(|(_, message)| message.text.len())
                    .sum();
            }
            EventKind::Opened(_)
            | EventKind::Reasoning(_)
            | EventKind::Usage(_)
            | EventKind::Other(_)
            | EventKind::Settled(_)
            | EventKind::Picked(_) => {}
        }
    }

    /// The outcome of the turn with this ending. A failed turn has no messages.
    pub(super) fn outcome(self, ending: Ending) -> Outcome {
        let messages = match ending {
            Ending::Completed | Ending::Incomplete(_) => self.messages,
            Ending::Interrupted | Ending::Failed(_) | Ending::HandedOff => Vec::new(),
        };
        Outcome {
            ending,
            messages: messages.into_iter().map(|(_, message)| message).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airlock_types::wit::Text;

    fn text(message: u32, text: &str) -> EventKind {
        EventKind::Text(Text {
            message,
            phase: None,
            text: text.to_owned(),
            item: None,
        })
    }

    fn texts(outcome: &Outcome) -> Vec<&str> {
        let messages = outcome.messages.iter();
        messages.map(|message| message.text.as_str()).collect()
    }

    #[test]
    fn messages_are_separate_and_void_ones_are_removed() {
        let mut transcript = TurnTranscript::default();
        for piece in [text(0, "a"), text(0, "b"), text(2, "cde")] {
            transcript.append(&piece);
        }
        assert_eq!(transcript.bytes(), 5);
        transcript.append(&EventKind::Restarted(vec![2]));
        transcript.append(&text(3, "f"));
        assert_eq!(transcript.bytes(), 3);
        assert_eq!(texts(&transcript.outcome(Ending::Completed)), ["ab", "f"]);
    }

    #[test]
    fn a_failed_turn_has_no_messages() {
        for ending in [Ending::Interrupted, Ending::Completed] {
            let mut transcript = TurnTranscript::default();
            transcript.append(&text(0, "half"));
            let counted = usize::from(ending == Ending::Completed);
            assert_eq!(transcript.outcome(ending).messages.len(), counted);
        }
    }
}
