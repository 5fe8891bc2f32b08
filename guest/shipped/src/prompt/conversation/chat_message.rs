//! The messages of a conversation as they are read, before they become items.

use std::borrow::Cow;

use crate::bindings::airlock::policy::types::InputItem;
use crate::prompt::content::ContentPart;
use crate::tools::FunctionCall;

/// The role of a message, except for `tool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prompt) enum MessageRole {
    /// `system` or `developer`, which are equivalent here: Codex drops items of role `system`.
    Developer,
    User,
    Assistant,
}

/// An element of `messages`.
pub(in crate::prompt) enum MessageEntry<'de> {
    Message(ChatMessage<'de>),
    /// A message of role `tool`: the result of the call with this id.
    ToolResult(Cow<'de, str>, Vec<ContentPart<'de>>),
}

/// One message.
pub(in crate::prompt) struct ChatMessage<'de> {
    pub(in crate::prompt) role: MessageRole,
    pub(in crate::prompt) parts: Vec<ContentPart<'de>>,
    /// The calls of an assistant's message.
    pub(in crate::prompt) calls: Vec<FunctionCall<'de>>,
}

/// A call without a result, or a result without a call: its position, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::prompt) enum ToolMessageError {
    /// In the message of this index, which is a result.
    Result(usize, &'static str),
    /// In the message of this index, the call of this index.
    Call(usize, usize, &'static str),
}

impl ChatMessage<'_> {
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
