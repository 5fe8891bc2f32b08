//! A filter of Codex's own retries: text that a retry repeats reaches the reply once. Pure.
//!
//! When the model's stream breaks, Codex asks again and the text comes once more, as a new item; the first item may
//! never complete, or it may have completed already (0.169.0, recordings `17_fail_disconnect_*` and `17_fail_eof_*`).
//! Codex says so with an `error` that `willRetry`. From there on the new items are compared with what was told since
//! the model's last whole response: as long as they agree nothing is passed on; where they differ, what was told is
//! void and the new text takes its place.
//!
//! Codex also edits what the model wrote: of `<oai-mem-citation>`, the text within and the tags reach no delta and no
//! completed item (0.169.0, 0.163.0), up to the end of the message where the tag is not closed. Only the raw item has
//! all of it. What is missing at the end is told then; where something is missing before text that was told, that text is
//! void, and the whole message takes its place.

mod reasoning; // what the model thinks

use self::reasoning::ReasoningParts;
use airlock_types::wit::{EventKind, Phase, Text};

/// The messages and the reasoning of one turn.
#[derive(Debug, Default)]
pub(super) struct RetryFilter {
    /// Messages of the model's response in progress.
    messages: Vec<Message>,
    /// The message that a response ended with, should more of it come after the response was whole.
    settled: Option<Message>,
    /// Of the messages of earlier responses, whether one was never completed, and whether any had text.
    lost: bool,
    spoke: bool,
    /// While a retry repeats the answer: how far it has come in `messages`.
    repeating: Option<Position>,
    next_message: u32,
    reasoning: ReasoningParts,
    /// Bytes told in all, for the bound on an answer's size.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Message {
    item: String,
    number: u32,
    phase: Option<Phase>,
    text: String,
    /// Codex has completed it. Of one with a content part that it does not know, such as a refusal, it only says that it
    /// started (0.169.0).
    completed: bool,
}

/// A place in the messages told: `text[..offset]` of message `index` has been retold by the item `item`.
#[derive(Debug)]
struct Position {
    index: usize,
    offset: usize,
    /// None until the first new item begins, and between items.
    item: Option<String>,
}

impl Message {
    fn tell(&mut self, text: &str, events: &mut Vec<EventKind>) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        events.push(EventKind::Text(Text {
            message: self.number,
            phase: self.phase,
            text: text.to_owned(),
        }));
    }
}

impl RetryFilter {
    /// A message begins. It has no text yet, so nothing is to tell.
    pub(super) fn started(
        &mut self,
        item: &str,
        phase: Option<Phase>,
        events: &mut Vec<EventKind>,
    ) {
        if self.repeating.is_some() {
            self.retold_item(item, phase, events);
        } else if let Some(settled) = self.settled.take_if(|settled| settled.item == item) {
            self.messages.push(settled);
        } else if !self.knows(item) {
            self.begin(item, phase);
        }
    }

    /// A piece of a message.
    pub(super) fn delta(&mut self, item: &str, text: &str, events: &mut Vec<EventKind>) {
        // As nearly always: more of the message that was told last.
        let last = self.messages.last_mut().filter(|last| last.item == item);
        if let (None, Some(message)) = (&self.repeating, last) {
            self.bytes += text.len();
            return message.tell(text, events);
        }
        self.started(item, None, events);
        if self.repeating.is_some() {
            self.retold_text(text, events);
        } else {
            self.tell(item, text, events);
        }
    }

    /// A whole message. What its deltas left out is told now; a message may come without any.
    pub(super) fn completed(
        &mut self,
        item: &str,
        phase: Option<Phase>,
        whole: &str,
        events: &mut Vec<EventKind>,
    ) {
        self.started(item, phase, events);
        if self.repeating.is_some() {
            self.retold_whole(item, whole, events);
        }
        let Some(message) = self.message_mut(item) else {
            return;
        };
        message.completed = true;
        message.phase = message.phase.or(phase);
        if let Some(rest) = whole.strip_prefix(message.text.as_str()).map(str::to_owned) {
            self.tell(item, &rest, events);
        }
    }

    /// A message as the model wrote it, after it was completed. What Codex has cut out of it is told now.
    pub(super) fn written(&mut self, item: &str, whole: &str, events: &mut Vec<EventKind>) {
        let Some(index) = self
            .messages
            .iter()
            .rposition(|message| message.item == item)
        else {
            return;
        };
        let text = self.messages[index].text.as_str();
        // Nearly always they are the same.
        if whole.len() <= text.len() {
            return;
        }
        if let Some(rest) = whole.strip_prefix(text) {
            self.tell(item, rest, events);
        } else if is_cut_from(text, whole) {
            let void = self.messages.split_off(index);
            events.push(EventKind::Restarted(
                void.iter().map(|message| message.number).collect(),
            ));
            for message in void {
                self.begin(&message.item, message.phase);
                let text = if message.item == item {
                    whole
                } else {
                    &message.text
                };
                self.tell(&message.item, text, events);
                if let Some(again) = self.messages.last_mut() {
                    again.completed = message.completed;
                }
            }
        }
    }

    /// Whether Codex began to tell a message and then dropped it.
    pub(super) fn has_lost_a_message(&self) -> bool {
        self.lost
            || self
                .messages
                .iter()
                .chain(&self.settled)
                .any(|message| !message.completed)
    }

    /// Whether any message had text.
    pub(super) fn has_text(&self) -> bool {
        self.spoke
            || self
                .messages
                .iter()
                .chain(&self.settled)
                .any(|message| !message.text.is_empty())
    }

    /// The model's response is whole: what was told stands.
    pub(super) fn settle(&mut self, events: &mut Vec<EventKind>) {
        self.check_retold(events);
        if let Some(last) = self.messages.pop() {
            for message in self.messages.drain(..).chain(self.settled.replace(last)) {
                self.lost |= !message.completed;
                self.spoke |= !message.text.is_empty();
            }
        }
        self.repeating = None;
        self.reasoning.told = 0;
        self.reasoning.again = 0;
    }

    /// Codex asks the model again: what was told since the last whole response comes once more.
    pub(super) fn retry(&mut self) {
        self.messages.retain(|message| !message.text.is_empty());
        if !self.messages.is_empty() {
            self.repeating = Some(Position {
                index: 0,
                offset: 0,
                item: None,
            });
        }
        self.reasoning.again = self.reasoning.told;
        self.reasoning.current = None;
    }

    /// The turn completed: a repetition that stopped short has changed the answer.
    pub(super) fn check_retold(&mut self, events: &mut Vec<EventKind>) {
        let short = self.repeating.as_ref().is_some_and(|place| {
            let begun = place.index > 0 || place.offset > 0 || place.item.is_some();
            let missing = self
                .messages
                .get(place.index)
                .is_some_and(|m| place.offset < m.text.len());
            begun && missing
        });
        if short {
            self.diverge(events);
        }
    }

    fn knows(&self, item: &str) -> bool {
        self.messages
            .last()
            .is_some_and(|message| message.item == item)
            || self.messages.iter().any(|message| message.item == item)
    }

    fn begin(&mut self, item: &str, phase: Option<Phase>) {
        if self.messages.is_empty() {
            // Nearly always there is one.
            self.messages.reserve_exact(1);
        }
        self.messages.push(Message {
            item: item.to_owned(),
            number: self.next_message,
            phase,
            text: String::new(),
            completed: false,
        });
        self.next_message += 1;
    }

    /// The newest message of this item.
    fn message_mut(&mut self, item: &str) -> Option<&mut Message> {
        let mut messages = self.messages.iter_mut().rev();
        messages.find(|message| message.item == item)
    }

    fn tell(&mut self, item: &str, text: &str, events: &mut Vec<EventKind>) {
        let Some(message) = self.message_mut(item) else {
            return;
        };
        message.tell(text, events);
        self.bytes += text.len();
    }

    /// Notes which new item retells the message at the present place.
    fn retold_item(&mut self, item: &str, phase: Option<Phase>, events: &mut Vec<EventKind>) {
        let Some(place) = &mut self.repeating else {
            return;
        };
        match &place.item {
            Some(current) if current == item => return,
            // A new item before the last was complete: it is what follows.
            Some(_) => {
                let whole = self
                    .messages
                    .get(place.index)
                    .is_none_or(|m| place.offset >= m.text.len());
                if !whole {
                    self.diverge(events);
                    return self.begin(item, phase);
                }
                *place = Position {
                    index: place.index + 1,
                    offset: 0,
                    item: Some(item.to_owned()),
                };
            }
            None => place.item = Some(item.to_owned()),
        }
        if place.index >= self.messages.len() {
            // All that was told has been retold: from here on it is new.
            self.repeating = None;
            self.begin(item, phase);
        }
    }

    fn retold_text(&mut self, text: &str, events: &mut Vec<EventKind>) {
        let Some(place) = &mut self.repeating else {
            return;
        };
        let last = place.index + 1 == self.messages.len();
        let Some(message) = self.messages.get_mut(place.index) else {
            return;
        };
        let rest = &message.text[place.offset..];
        if rest.starts_with(text) {
            place.offset += text.len();
        } else if last && let Some(new) = text.strip_prefix(rest) {
            // The repetition has caught up; the message goes on under its first number.
            let item = place.item.take().unwrap_or_default();
            message.item.clone_from(&item);
            self.repeating = None;
            self.tell(&item, new, events);
        } else {
            let item = place.item.clone().unwrap_or_default();
            self.diverge(events);
            self.tell(&item, text, events);
        }
    }

    /// The item that retells a message is whole. One that stops short differs; else the message is this item from here on.
    fn retold_whole(&mut self, item: &str, whole: &str, events: &mut Vec<EventKind>) {
        let seen = self.repeating.as_ref().map_or(0, |place| place.offset);
        if let Some(rest) = whole.get(seen..) {
            self.retold_text(rest, events);
        }
        let Some(place) = &mut self.repeating else {
            return;
        };
        match self.messages.get_mut(place.index) {
            Some(message) if place.offset < message.text.len() => self.diverge(events),
            message => {
                if let Some(message) = message {
                    item.clone_into(&mut message.item);
                }
                *place = Position {
                    index: place.index + 1,
                    offset: 0,
                    item: None,
                };
            }
        }
    }

    /// The repetition differs: what was emitted is void, and the repetition is emitted in its place.
    fn diverge(&mut self, events: &mut Vec<EventKind>) {
        let Some(place) = self.repeating.take() else {
            return;
        };
        let void = std::mem::take(&mut self.messages);
        events.push(EventKind::Restarted(
            void.iter().map(|message| message.number).collect(),
        ));
        for (index, message) in void.into_iter().enumerate().take(place.index + 1) {
            let text = match index == place.index {
                false => message.text.as_str(),
                true if place.item.is_none() => break,
                true => &message.text[..place.offset],
            };
            let item = match &place.item {
                Some(item) if index == place.index => item.clone(),
                _ => message.item.clone(),
            };
            self.begin(&item, message.phase);
            self.tell(&item, text, events);
            // Its completion was reported before, and is not reported again.
            if let Some(again) = self.messages.last_mut().filter(|_| index < place.index) {
                again.completed = message.completed;
            }
        }
    }
}

/// Whether the text is what remains of the whole when parts of it are taken out.
fn is_cut_from(text: &str, whole: &str) -> bool {
    let mut whole = whole.bytes();
    text.bytes().all(|byte| whole.any(|other| other == byte))
}

#[cfg(test)]
mod tests;
