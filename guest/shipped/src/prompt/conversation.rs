//! How a conversation is laid before Codex: instructions, earlier items, and what the user says now.

use std::borrow::Cow;

use super::content::Part;
use crate::bindings::airlock::policy::types::InputItem;
use crate::json;

/// Characters of input that Codex (0.169) takes in one turn. It takes more than that as earlier items.
const INPUT_AT_MOST: usize = 1_048_576;
/// A guess at the bytes of an item besides its text, so that most are written without growing.
const ITEM_OVERHEAD: usize = 96;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `system` and `developer`. Codex drops items of role `system`, so they are one to us.
    Developer,
    User,
    Assistant,
}

/// One message.
pub(super) struct Message<'de> {
    pub(super) role: Role,
    pub(super) parts: Vec<Part<'de>>,
}

/// A conversation as it is read, message by message.
#[derive(Default)]
pub(super) struct Conversation<'de> {
    instructions: String,
    history: Vec<String>,
    /// The last message, until it is known whether another follows.
    last: Option<Message<'de>>,
}

/// A conversation as Codex takes it.
#[derive(Debug, PartialEq)]
pub(super) struct Talk {
    pub(super) instructions: String,
    pub(super) history: Vec<String>,
    pub(super) input: Vec<InputItem>,
}

impl<'de> Conversation<'de> {
    /// Adds the next message.
    pub(super) fn push(&mut self, message: Message<'de>) {
        let leading = self.last.is_none() && self.history.is_empty();
        if leading && message.role == Role::Developer {
            for part in &message.parts {
                push_paragraph(&mut self.instructions, part.text());
            }
        } else if let Some(previous) = self.last.replace(message) {
            self.remember(&previous);
        }
    }

    /// The whole, or None when nobody has said anything that could be answered.
    pub(super) fn finish(mut self) -> Option<Talk> {
        let asked = self
            .last
            .take_if(|last| last.role == Role::User && characters(last) <= INPUT_AT_MOST);
        let input = asked
            .map(|message| message.parts.into_iter().map(Part::into_input).collect())
            .unwrap_or_default();
        self.finish_with(input)
    }

    /// As `finish`, but all of it is history, what the user says now too: every turn of a fan-out answers it.
    pub(super) fn finish_as_history(self) -> Option<Talk> {
        self.finish_with(Vec::new())
    }

    fn finish_with(mut self, input: Vec<InputItem>) -> Option<Talk> {
        if let Some(last) = self.last.take() {
            self.remember(&last);
        }
        if self.history.is_empty() && input.is_empty() {
            return None;
        }
        Some(Talk {
            instructions: self.instructions,
            history: self.history,
            input,
        })
    }

    fn remember(&mut self, message: &Message<'_>) {
        // An assistant that only called tools, or said nothing at all, leaves nothing to remember.
        let silent = message.parts.iter().all(|part| part.is_empty());
        if !(silent && message.role == Role::Assistant) {
            self.history.push(item(message));
        }
    }
}

/// Appends a text, set off by a blank line.
pub(super) fn push_paragraph(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push_str("\n\n");
    }
    out.push_str(text);
}

/// A message as an item of the Responses API.
fn item(message: &Message<'_>) -> String {
    let (role, kind) = match message.role {
        Role::Developer => ("developer", "input_text"),
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    let length: usize = message
        .parts
        .iter()
        .map(|part| json::text_length(part.text()))
        .sum();
    let mut item = String::with_capacity(length + ITEM_OVERHEAD * (message.parts.len() + 1));
    item.push_str(r#"{"type":"message","role":""#);
    item.push_str(role);
    item.push_str(r#"","content":["#);
    for (index, part) in message.parts.iter().enumerate() {
        if index > 0 {
            item.push(',');
        }
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                item.push_str(r#"{"type":""#);
                item.push_str(kind);
                item.push_str(r#"","text":"#);
                json::push_text(&mut item, text);
                item.push('}');
            }
            Part::Image(number) => {
                item.push_str(r#"{"type":"input_image","image_url":"attachment:"#);
                item.push_str(&number.to_string());
                item.push_str(r#""}"#);
            }
        }
    }
    item.push_str("]}");
    item
}

/// Characters of a message's text.
fn characters(message: &Message<'_>) -> usize {
    message
        .parts
        .iter()
        .map(|part| part.text().chars().count())
        .sum()
}

impl Part<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Refusal(text) => text,
            Self::Image(_) => "",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Refusal(text) => text.is_empty(),
            Self::Image(_) => false,
        }
    }

    fn into_input(self) -> InputItem {
        match self {
            Self::Text(text) | Self::Refusal(text) => InputItem::Text(Cow::into_owned(text)),
            Self::Image(number) => InputItem::Attachment(number),
        }
    }
}

#[cfg(test)]
mod tests;
