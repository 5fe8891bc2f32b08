//! The messages of a conversation as they are read, before they become items.

use std::borrow::Cow;

use crate::bindings::airlock::policy::types::InputItem;
use crate::prompt::content::Part;
use crate::tools::Call;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prompt) enum Role {
    /// `system` and `developer`. Codex drops items of role `system`, so they are one to us.
    Developer,
    User,
    Assistant,
}

/// One member of `messages`.
pub(in crate::prompt) enum Entry<'de> {
    Message(Message<'de>),
    /// A message of role `tool`: what came of the call of this id.
    Result(Cow<'de, str>, Vec<Part<'de>>),
}

/// One message.
pub(in crate::prompt) struct Message<'de> {
    pub(in crate::prompt) role: Role,
    pub(in crate::prompt) parts: Vec<Part<'de>>,
    /// What the assistant called, having said this.
    pub(in crate::prompt) calls: Vec<Call<'de>>,
}

/// What is wrong with calls and results: where it stands, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::prompt) enum Misplaced {
    /// The result that a message brings.
    Result(usize, &'static str),
    /// The call of a message.
    Call(usize, usize, &'static str),
}

impl Message<'_> {
    /// Characters of its text.
    pub(super) fn characters(&self) -> usize {
        let texts = self.parts.iter().map(Part::text);
        texts.map(|text| text.chars().count()).sum()
    }
}

pub(super) fn into_input(parts: Vec<Part<'_>>) -> Vec<InputItem> {
    parts.into_iter().map(Part::into_input).collect()
}

/// Appends a text, set off by a blank line.
pub(in crate::prompt) fn push_paragraph(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push_str("\n\n");
    }
    out.push_str(text);
}
