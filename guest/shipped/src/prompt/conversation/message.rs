//! The messages of a conversation as they are read, before they become items.

use crate::bindings::airlock::policy::types::{InputItem, Phase};
use crate::prompt::content::ContentPart;

/// The role of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prompt) enum MessageRole {
    /// `system` or `developer`, which are equivalent here: Codex drops items of role `system`.
    Developer,
    User,
    Assistant,
}

/// One message, without calls and results.
pub(in crate::prompt) struct ConversationMessage<'de> {
    pub(in crate::prompt) role: MessageRole,
    pub(in crate::prompt) parts: Vec<ContentPart<'de>>,
    /// The purpose of an assistant's message, if the model stated it.
    pub(in crate::prompt) phase: Option<Phase>,
}

impl<'de> ConversationMessage<'de> {
    pub(in crate::prompt) fn new(role: MessageRole, parts: Vec<ContentPart<'de>>) -> Self {
        Self {
            role,
            parts,
            phase: None,
        }
    }
}

impl ConversationMessage<'_> {
    /// The number of characters of its text.
    pub(super) fn characters(&self) -> usize {
        let texts = self.parts.iter().map(ContentPart::text);
        texts.map(|text| text.chars().count()).sum()
    }
}

pub(super) fn into_input(parts: Vec<ContentPart<'_>>) -> Vec<InputItem> {
    parts.into_iter().map(ContentPart::into_input).collect()
}

/// Appends a text after a blank line.
pub(in crate::prompt) fn push_paragraph(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push_str("\n\n");
    }
    out.push_str(text);
}
