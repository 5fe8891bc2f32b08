//! A filter of Codex's retries: text that a retry repeats reaches the reply once. Pure.
//!
//! When the model's stream breaks, Codex repeats the request, and the text arrives again as a new item; the first item may have
//! completed, or may never complete (0.169.0, recordings `17_fail_disconnect_*` and `17_fail_eof_*`). Codex reports this with
//! an `error` that has `willRetry`. From then on, new items are compared with the text emitted since the model's last complete
//! response. While they agree, nothing is emitted; if they differ, the emitted text is void, and the new text replaces it.
//!
//! Codex also cuts the model's text: `<oai-mem-citation>` and its content are in no delta and no completed item (0.163.0,
//! 0.169.0), up to the end of the message if the tag is not closed. Only the raw item has the whole text. Text that is missing
//! at the end is emitted when the raw item arrives. If text is missing before emitted text, that is void, and the whole message
//! replaces it.

mod reasoning; // the model's reasoning

use self::reasoning::ReasoningParts;
use airlock_types::wit::{EventKind, Phase, Text};

/// The messages and the reasoning of one turn.
#[derive(Debug, Default)]
pub(super) struct RetryFilter {
    /// Messages of the model's response in progress.
    messages: Vec<EmittedMessage>,
    /// The last message of the previous response, in case more of it arrives.
    settled: Option<EmittedMessage>,
    /// Whether a message of an earlier response was never completed, and whether a message of one had text.
    lost: bool,
    had_text: bool,
    /// The position of a repetition in `messages`. None: Codex repeats nothing.
    repeating: Option<Position>,
    next_message: u32,
    reasoning: ReasoningParts,
    /// Bytes emitted, for the limit on an answer's size.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct EmittedMessage {
    item: String,
    number: u32,
    phase: Option<Phase>,
    text: String,
    /// Whether Codex has reported the completion. Of a message with a content part of unknown type, such as a refusal, it
    /// reports only the start (0.169.0).
    completed: bool,
}

/// A position in the emitted messages: the item `item` has repeated `text[..offset]` of message `index`.
#[derive(Debug)]
struct Position {
    index: usize,
    offset: usize,
    /// None before the first new item, and between items.
    item: Option<String>,
}

impl EmittedMessage {
    fn emit(&mut self, text: &str, events: &mut Vec<EventKind>) {
        if text.is_empty() {
            return;
        }
        let is_first = self.text.is_empty() && !self.item.is_empty();
        self.text.push_str(text);
        events.push(EventKind::Text(Text {
            message: self.number,
            phase: self.phase,
            text: text.to_owned(),
            item: is_first.then(|| self.item.clone()),
        }));
    }
}

impl RetryFilter {
    /// Applies the start of a message, which has no text yet.
    pub(super) fn started(
        &mut self,
        item: &str,
        phase: Option<Phase>,
        events: &mut Vec<EventKind>,
    ) {
        if self.repeating.is_some() {
            self.repeated_item(item, phase, events);
        } else if let Some(settled) = self.settled.take_if(|settled| settled.item == item) {
            self.messages.push(settled);
        } else if !self.knows(item) {
            self.begin(item, phase);
        }
    }

    /// Applies a piece of a message.
    pub(super) fn delta(&mut self, item: &str, text: &str, events: &mut Vec<EventKind>) {
        // Nearly always the piece continues the last message.
        let last = self.messages.last_mut().filter(|last| last.item == item);
        if let (None, Some(message)) = (&self.repeating, last) {
            self.bytes += text.len();
            return message.emit(text, events);
        }
        self.started(item, None, events);
        if self.repeating.is_some() {
            self.repeated_text(text, events);
        } else {
            self.emit(item, text, events);
        }
    }

    /// Applies a completed message. Emits the text that was in no delta; a message may have no deltas at all.
    pub(super) fn completed(
        &mut self,
        item: &str,
        phase: Option<Phase>,
        whole: &str,
        events: &mut Vec<EventKind>,
    ) {
        self.started(item, phase, events);
        if self.repeating.is_some() {
            self.repeated_message(item, whole, events);
        }
        let Some(message) = self.message_mut(item) else {
            return;
        };
        message.completed = true;
        message.phase = message.phase.or(phase);
        if let Some(rest) = whole.strip_prefix(message.text.as_str()).map(str::to_owned) {
            self.emit(item, &rest, events);
        }
    }

    /// Applies the raw item of a message, which follows its completion. Emits the text that Codex has cut out.
    pub(super) fn raw_message(&mut self, item: &str, whole: &str, events: &mut Vec<EventKind>) {
        let Some(index) = self
            .messages
            .iter()
            .rposition(|message| message.item == item)
        else {
            return;
        };
        let text = self.messages[index].text.as_str();
        // Nearly always the texts are equal.
        if whole.len() <= text.len() {
            return;
        }
        if let Some(rest) = whole.strip_prefix(text) {
            self.emit(item, rest, events);
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
                self.emit(&message.item, text, events);
                if let Some(again) = self.messages.last_mut() {
                    again.completed = message.completed;
                }
            }
        }
    }

    /// Whether Codex started a message and never completed it.
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
        self.had_text
            || self
                .messages
                .iter()
                .chain(&self.settled)
                .any(|message| !message.text.is_empty())
    }

    /// Applies the end of the model's response: the emitted text is final.
    pub(super) fn settle(&mut self, events: &mut Vec<EventKind>) {
        self.check_repeated(events);
        if let Some(last) = self.messages.pop() {
            for message in self.messages.drain(..).chain(self.settled.replace(last)) {
                self.lost |= !message.completed;
                self.had_text |= !message.text.is_empty();
            }
        }
        self.repeating = None;
        self.reasoning.emitted = 0;
        self.reasoning.to_skip = 0;
    }

    /// Applies a retry of Codex: the text since the last complete response will be repeated.
    pub(super) fn retry(&mut self) {
        self.messages.retain(|message| !message.text.is_empty());
        if !self.messages.is_empty() {
            self.repeating = Some(Position {
                index: 0,
                offset: 0,
                item: None,
            });
        }
        self.reasoning.to_skip = self.reasoning.emitted;
        self.reasoning.current = None;
    }

    /// Ends a repetition. If it is shorter than the emitted text, that is void.
    pub(super) fn check_repeated(&mut self, events: &mut Vec<EventKind>) {
        let short = self.repeating.as_ref().is_some_and(|position| {
            let begun = position.index > 0 || position.offset > 0 || position.item.is_some();
            let missing = self
                .messages
                .get(position.index)
                .is_some_and(|m| position.offset < m.text.len());
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
            // Nearly always there is only one message.
            self.messages.reserve_exact(1);
        }
        self.messages.push(EmittedMessage {
            item: item.to_owned(),
            number: self.next_message,
            phase,
            text: String::new(),
            completed: false,
        });
        self.next_message += 1;
    }

    /// The newest message of this item.
    fn message_mut(&mut self, item: &str) -> Option<&mut EmittedMessage> {
        let mut messages = self.messages.iter_mut().rev();
        messages.find(|message| message.item == item)
    }

    fn emit(&mut self, item: &str, text: &str, events: &mut Vec<EventKind>) {
        let Some(message) = self.message_mut(item) else {
            return;
        };
        message.emit(text, events);
        self.bytes += text.len();
    }

    /// Records the new item that repeats the message at the current position.
    fn repeated_item(&mut self, item: &str, phase: Option<Phase>, events: &mut Vec<EventKind>) {
        let Some(position) = &mut self.repeating else {
            return;
        };
        match &position.item {
            Some(current) if current == item => return,
            // The item before was never completed; the new one repeats the next message.
            Some(_) => {
                let whole = self
                    .messages
                    .get(position.index)
                    .is_none_or(|m| position.offset >= m.text.len());
                if !whole {
                    self.diverge(events);
                    return self.begin(item, phase);
                }
                *position = Position {
                    index: position.index + 1,
                    offset: 0,
                    item: Some(item.to_owned()),
                };
            }
            None => position.item = Some(item.to_owned()),
        }
        if position.index >= self.messages.len() {
            // All emitted messages have been repeated: the item is new.
            self.repeating = None;
            self.begin(item, phase);
        }
    }

    fn repeated_text(&mut self, text: &str, events: &mut Vec<EventKind>) {
        let Some(position) = &mut self.repeating else {
            return;
        };
        let last = position.index + 1 == self.messages.len();
        let Some(message) = self.messages.get_mut(position.index) else {
            return;
        };
        let rest = &message.text[position.offset..];
        if rest.starts_with(text) {
            position.offset += text.len();
        } else if last && let Some(new) = text.strip_prefix(rest) {
            // The repetition has reached the end of the emitted text. The message keeps its number.
            let item = position.item.take().unwrap_or_default();
            message.item.clone_from(&item);
            self.repeating = None;
            self.emit(&item, new, events);
        } else {
            let item = position.item.clone().unwrap_or_default();
            self.diverge(events);
            self.emit(&item, text, events);
        }
    }

    /// Applies the completion of the item that repeats a message. If it is shorter, it differs. Otherwise the message gets this
    /// item's id.
    fn repeated_message(&mut self, item: &str, whole: &str, events: &mut Vec<EventKind>) {
        let seen = self
            .repeating
            .as_ref()
            .map_or(0, |position| position.offset);
        if let Some(rest) = whole.get(seen..) {
            self.repeated_text(rest, events);
        }
        let Some(position) = &mut self.repeating else {
            return;
        };
        match self.messages.get_mut(position.index) {
            Some(message) if position.offset < message.text.len() => self.diverge(events),
            message => {
                if let Some(message) = message {
                    item.clone_into(&mut message.item);
                }
                *position = Position {
                    index: position.index + 1,
                    offset: 0,
                    item: None,
                };
            }
        }
    }

    /// Handles a repetition that differs: the emitted messages are void, and those of the repetition so far are emitted.
    fn diverge(&mut self, events: &mut Vec<EventKind>) {
        let Some(position) = self.repeating.take() else {
            return;
        };
        let void = std::mem::take(&mut self.messages);
        events.push(EventKind::Restarted(
            void.iter().map(|message| message.number).collect(),
        ));
        for (index, message) in void.into_iter().enumerate().take(position.index + 1) {
            let text = match index == position.index {
                false => message.text.as_str(),
                true if position.item.is_none() => break,
                true => &message.text[..position.offset],
            };
            let item = match &position.item {
                Some(item) if index == position.index => item.clone(),
                _ => message.item.clone(),
            };
            self.begin(&item, message.phase);
            self.emit(&item, text, events);
            // The completion was reported before, and will not be reported again.
            if let Some(again) = self.messages.last_mut().filter(|_| index < position.index) {
                again.completed = message.completed;
            }
        }
    }
}

/// Whether cutting parts out of `whole` can give `text`.
fn is_cut_from(text: &str, whole: &str) -> bool {
    let mut whole = whole.bytes();
    text.bytes().all(|byte| whole.any(|other| other == byte))
}

#[cfg(test)]
mod tests;
