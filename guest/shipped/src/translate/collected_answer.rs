//! The answer as the items that a client receives in a whole body: messages and reasoning, in order.

use std::borrow::Cow;

use super::model_item::ModelItem;
use super::turn_text::TurnText;
use super::writer::TextTarget;
use crate::bindings::airlock::policy::types::Phase;

/// The items of an answer so far.
#[derive(Debug, Default)]
pub(super) struct CollectedAnswer {
    pub(super) items: Vec<AnswerItem>,
    /// The texts of the messages.
    pub(super) text: TurnText,
}

/// An item of an answer.
#[derive(Debug)]
pub(super) enum AnswerItem {
    Message(AnswerMessage),
    Reasoning(AnswerReasoning),
}

/// A message, whose text is in the answer's [`TurnText`].
#[derive(Debug)]
pub(super) struct AnswerMessage {
    pub(super) number: u32,
    pub(super) phase: Option<Phase>,
    /// The model's id.
    pub(super) id: Option<String>,
    /// JSON objects, each on one line.
    pub(super) annotations: Vec<String>,
    /// Whether the model has reported the message as complete.
    pub(super) complete: bool,
}

/// A reasoning item.
#[derive(Debug, Default)]
pub(super) struct AnswerReasoning {
    /// The model's id.
    pub(super) id: Option<String>,
    pub(super) parts: Vec<AnswerReasoningPart>,
    pub(super) encrypted_content: Option<String>,
    /// Whether the item is complete.
    pub(super) complete: bool,
}

/// A part of a reasoning item.
#[derive(Debug)]
pub(super) struct AnswerReasoningPart {
    pub(super) number: u32,
    /// Whether it is the reasoning itself, and not a summary.
    pub(super) raw: bool,
    pub(super) text: String,
}

impl CollectedAnswer {
    /// Appends a piece of text. `id` is the model's id of its item, if Codex reported it. Returns the item's index.
    pub(super) fn push(
        &mut self,
        target: TextTarget,
        phase: Option<Phase>,
        id: Option<String>,
        text: Cow<'_, str>,
    ) -> usize {
        match target {
            TextTarget::Message(number) => {
                let index = self.message_index(number, phase, id);
                self.text.push(number, text);
                index
            }
            TextTarget::Reasoning { part, raw } => self.push_reasoning(part, raw, id, text),
            // Its text is in the candidate.
            TextTarget::Candidate(_) => self.items.len(),
        }
    }

    /// The index of the message of this number, which begins if it is not the last message.
    fn message_index(&mut self, number: u32, phase: Option<Phase>, id: Option<String>) -> usize {
        // Almost every piece continues the last item.
        if let Some(AnswerItem::Message(last)) = self.items.last()
            && last.number == number
        {
            return self.items.len() - 1;
        }
        let last = self.items.iter().enumerate().rev();
        let mut messages = last.filter_map(|(index, item)| match item {
            AnswerItem::Message(message) => Some((index, message.number)),
            AnswerItem::Reasoning(_) => None,
        });
        if let Some((index, _)) = messages.next().filter(|(_, last)| *last == number) {
            return index;
        }
        self.items.push(AnswerItem::Message(AnswerMessage {
            number,
            phase,
            id,
            annotations: Vec::new(),
            complete: false,
        }));
        self.items.len() - 1
    }

    fn push_reasoning(
        &mut self,
        number: u32,
        raw: bool,
        id: Option<String>,
        text: Cow<'_, str>,
    ) -> usize {
        match self.items.last_mut() {
            Some(AnswerItem::Reasoning(last)) if last.is_continued_by(id.as_deref()) => {
                match last.parts.last_mut() {
                    Some(last) if last.number == number => last.text.push_str(&text),
                    _ => last.parts.push(AnswerReasoningPart {
                        number,
                        raw,
                        text: text.into_owned(),
                    }),
                }
            }
            _ => self.items.push(AnswerItem::Reasoning(AnswerReasoning {
                id,
                parts: vec![AnswerReasoningPart {
                    number,
                    raw,
                    text: text.into_owned(),
                }],
                ..AnswerReasoning::default()
            })),
        }
        self.items.len() - 1
    }

    /// Adds to the item of this answer what the model's item has besides its text. Returns its index. None if there is
    /// no such item, and it has nothing that the client needs.
    pub(super) fn complete(&mut self, item: &ModelItem) -> Option<usize> {
        match item {
            ModelItem::Message { id, annotations } => {
                let mut items = self.items.iter_mut().enumerate().rev();
                let (index, message) = items.find_map(|(index, item)| match item {
                    AnswerItem::Message(message) => Some((index, message)),
                    AnswerItem::Reasoning(_) => None,
                })?;
                if message.id.is_some() && message.id != *id {
                    return None;
                }
                message.annotations.clone_from(annotations);
                message.complete = true;
                Some(index)
            }
            ModelItem::Reasoning {
                id,
                encrypted_content,
            } => self.complete_reasoning(id.as_ref(), encrypted_content.as_ref()),
        }
    }

    fn complete_reasoning(
        &mut self,
        id: Option<&String>,
        encrypted_content: Option<&String>,
    ) -> Option<usize> {
        let is_complete = id.is_some() && self.has_complete_reasoning(id);
        let mut items = self.items.iter_mut().enumerate().rev();
        let last = items.find_map(|(index, item)| match item {
            AnswerItem::Reasoning(reasoning) => Some((index, reasoning)),
            AnswerItem::Message(_) => None,
        });
        match last {
            Some((index, reasoning)) if reasoning.is_continued_by(id.map(String::as_str)) => {
                reasoning.encrypted_content = encrypted_content.cloned();
                reasoning.complete = true;
                if reasoning.id.is_none() {
                    reasoning.id = id.cloned();
                }
                Some(index)
            }
            _ if is_complete => None,
            _ => {
                self.items.push(AnswerItem::Reasoning(AnswerReasoning {
                    id: id.cloned(),
                    parts: Vec::new(),
                    encrypted_content: Some(encrypted_content?.clone()),
                    complete: true,
                }));
                Some(self.items.len() - 1)
            }
        }
    }

    fn has_complete_reasoning(&self, id: Option<&String>) -> bool {
        self.items.iter().any(|item| match item {
            AnswerItem::Reasoning(reasoning) => reasoning.complete && reasoning.id.as_ref() == id,
            AnswerItem::Message(_) => false,
        })
    }

    /// Ends the reasoning item in progress: what follows belongs to another.
    pub(super) fn end_reasoning(&mut self) {
        if let Some(AnswerItem::Reasoning(last)) = self.items.last_mut() {
            last.complete = true;
        }
    }

    /// Removes the messages of these numbers.
    pub(super) fn forget(&mut self, void: &[u32]) {
        self.text.forget(void);
        self.items.retain(|item| match item {
            AnswerItem::Message(message) => !void.contains(&message.number),
            AnswerItem::Reasoning(_) => true,
        });
    }

    /// Removes reasoning without text, of which a client that does not know the encrypted content receives nothing.
    pub(super) fn forget_silent_reasoning(&mut self) {
        self.items.retain(|item| match item {
            AnswerItem::Message(_) => true,
            AnswerItem::Reasoning(reasoning) => !reasoning.parts.is_empty(),
        });
    }

    /// Cuts off the last bytes of the text: of the whole text if its messages are joined, and else of the last message.
    pub(super) fn cut(&mut self, excess: usize, joins_messages: bool) {
        if joins_messages {
            self.text.cut(excess);
        } else {
            self.text.cut_last(excess);
        }
    }

    /// The index of the message that the model had not completed where the answer ends. An item after it completes it.
    pub(super) fn incomplete_message(&self) -> Option<usize> {
        match self.items.last()? {
            AnswerItem::Message(message) if !message.complete => Some(self.items.len() - 1),
            AnswerItem::Message(_) | AnswerItem::Reasoning(_) => None,
        }
    }

    /// All parts of the reasoning, in order.
    pub(super) fn reasoning(&self) -> impl Iterator<Item = &AnswerReasoningPart> {
        self.items.iter().flat_map(|item| match item {
            AnswerItem::Reasoning(reasoning) => reasoning.parts.as_slice(),
            AnswerItem::Message(_) => &[],
        })
    }
}

impl AnswerReasoning {
    /// Whether text with this id, if any, belongs to this item.
    fn is_continued_by(&self, id: Option<&str>) -> bool {
        let known = self.id.as_deref();
        !self.complete && id.is_none_or(|id| known.is_none_or(|known| known == id))
    }
}
