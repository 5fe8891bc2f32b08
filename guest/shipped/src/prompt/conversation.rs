//! How a conversation is laid before Codex: instructions, earlier items, and what the user says now.

mod batch;
mod item;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::content::Part;
use crate::bindings::airlock::policy::types::{Attachment, InputItem};
use crate::bindings::exports::airlock::policy::prompt::ToolResult;
use crate::tools::{Call, Digest, Meanings};

use batch::Batch;

/// Characters of input that Codex (0.169) takes in one turn. It takes more than that as earlier items.
const INPUT_AT_MOST: usize = 1_048_576;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `system` and `developer`. Codex drops items of role `system`, so they are one to us.
    Developer,
    User,
    Assistant,
}

/// One member of `messages`.
pub(super) enum Entry<'de> {
    Message(Message<'de>),
    /// A message of role `tool`: what came of the call of this id.
    Result(Cow<'de, str>, Vec<Part<'de>>),
}

/// One message.
pub(super) struct Message<'de> {
    pub(super) role: Role,
    pub(super) parts: Vec<Part<'de>>,
    /// What the assistant called, having said this.
    pub(super) calls: Vec<Call<'de>>,
}

/// A conversation as it is read, message by message.
#[derive(Default)]
pub(super) struct Conversation<'de> {
    /// How many messages there have been.
    messages: usize,
    instructions: String,
    history: Vec<String>,
    /// The digest of the history, in which attachments count by their own.
    digest: Digest,
    meanings: Meanings,
    /// The last message, until it is known whether another follows.
    last: Option<Message<'de>>,
    /// In its place: the assistant's calls and what came of them so far.
    batch: Option<Batch<'de>>,
    /// Where each call stands: its message and its place in it.
    calls: BTreeMap<Cow<'de, str>, (usize, usize)>,
}

/// What is wrong with calls and results: where it stands, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// The result that a message brings.
    Result(usize, &'static str),
    /// The call of a message.
    Call(usize, usize, &'static str),
}

/// A conversation as Codex takes it.
#[derive(Debug, PartialEq)]
pub(super) struct Talk<'de> {
    pub(super) instructions: String,
    pub(super) history: Vec<String>,
    pub(super) input: Vec<InputItem>,
    /// The digest of the history and the input.
    pub(super) digest: String,
    /// What it ends with, where that is results.
    pub(super) answered: Option<Answered<'de>>,
}

/// Calls that have all their results.
#[derive(Debug, PartialEq)]
pub(super) struct Answered<'de> {
    /// The digest of what was before.
    pub(super) before: String,
    /// The digest of what the assistant said besides.
    pub(super) text: String,
    pub(super) calls: Vec<Call<'de>>,
    /// In the order of the calls.
    pub(super) results: Vec<ToolResult>,
}

impl<'de> Conversation<'de> {
    /// Adds the next message. `attachments` are the request's.
    ///
    /// # Errors
    ///
    /// Where a result has no call, or a call is left without one.
    pub(super) fn push(
        &mut self,
        entry: Entry<'de>,
        attachments: &[Attachment],
    ) -> Result<(), Misplaced> {
        let index = self.messages;
        self.messages += 1;
        match entry {
            Entry::Result(call, parts) => self.answer(index, &call, parts),
            Entry::Message(message) => {
                self.check_answered()?;
                self.say(index, message, attachments)
            }
        }
    }

    /// # Errors
    ///
    /// Where a call is left without a result.
    pub(super) fn check_answered(&self) -> Result<(), Misplaced> {
        match &self.batch {
            Some(batch) => batch.check_answered(),
            None => Ok(()),
        }
    }

    /// The whole, or None when nobody has said anything that could be answered. All calls have their results.
    pub(super) fn finish(mut self, attachments: &[Attachment]) -> Option<Talk<'de>> {
        let asked = self
            .last
            .take_if(|last| last.role == Role::User && characters(last) <= INPUT_AT_MOST);
        let input = match asked {
            Some(message) => {
                push_message(&mut self.digest, &message, attachments);
                into_input(message.parts)
            }
            None => Vec::new(),
        };
        self.finish_with(input, attachments)
    }

    /// As `finish`, but all of it is history, what the user says now too: every turn of a fan-out answers it.
    pub(super) fn finish_as_history(self, attachments: &[Attachment]) -> Option<Talk<'de>> {
        self.finish_with(Vec::new(), attachments)
    }

    fn finish_with(
        mut self,
        input: Vec<InputItem>,
        attachments: &[Attachment],
    ) -> Option<Talk<'de>> {
        let answered = self.batch.take().map(|batch| {
            let before = self.digest.clone().finish();
            self.remember_batch(&batch, attachments);
            batch.into_answered(before)
        });
        self.settle(attachments);
        if self.history.is_empty() && input.is_empty() {
            return None;
        }
        Some(Talk {
            instructions: self.instructions,
            history: self.history,
            input,
            digest: self.digest.finish(),
            answered,
        })
    }

    fn say(
        &mut self,
        index: usize,
        mut message: Message<'de>,
        attachments: &[Attachment],
    ) -> Result<(), Misplaced> {
        let first = self.last.is_none() && self.batch.is_none() && self.history.is_empty();
        if first && message.role == Role::Developer {
            for part in &message.parts {
                push_paragraph(&mut self.instructions, part.text());
            }
            return Ok(());
        }
        self.settle(attachments);
        if message.calls.is_empty() {
            self.last = Some(message);
            return Ok(());
        }
        for (place, call) in message.calls.iter().enumerate() {
            if self.calls.insert(call.id.clone(), (index, place)).is_some() {
                let why = "another call has this id: each needs one of its own";
                return Err(Misplaced::Call(index, place, why));
            }
        }
        let calls = std::mem::take(&mut message.calls);
        self.batch = Some(Batch::new(index, message, calls));
        Ok(())
    }

    fn answer(&mut self, index: usize, call: &str, parts: Vec<Part<'de>>) -> Result<(), Misplaced> {
        let wrong = |why| Err(Misplaced::Result(index, why));
        let Some(&(message, place)) = self.calls.get(call) else {
            return wrong("no call before it has this id");
        };
        match &mut self.batch {
            Some(batch) if batch.message == message => {
                if batch.answer(place, parts) {
                    Ok(())
                } else {
                    wrong("the call of this id has its result already")
                }
            }
            Some(_) | None => wrong(
                "the call of this id is further up: results follow directly on the message with their calls",
            ),
        }
    }

    /// Remembers what was last.
    fn settle(&mut self, attachments: &[Attachment]) {
        if let Some(last) = self.last.take() {
            self.remember(&last, attachments);
        }
        if let Some(batch) = self.batch.take() {
            self.remember_batch(&batch, attachments);
        }
    }

    fn remember(&mut self, message: &Message<'_>, attachments: &[Attachment]) {
        // An assistant that only called tools, or said nothing at all, has left no message.
        let silent = message.parts.iter().all(|part| part.is_empty());
        if !(silent && message.role == Role::Assistant) {
            push_message(&mut self.digest, message, attachments);
            self.history.push(item::message(message));
        }
    }

    fn remember_batch(&mut self, batch: &Batch<'_>, attachments: &[Attachment]) {
        self.remember(&batch.said, attachments);
        for call in &batch.calls {
            let meaning = self.meanings.of(&call.arguments);
            for part in ["call", &call.id, &call.name, &meaning] {
                self.digest.push(part);
            }
            self.history.push(item::call(call));
        }
        for (id, parts) in batch.results() {
            self.digest.push("result");
            self.digest.push(id);
            push_parts(&mut self.digest, parts, attachments);
            self.history.push(item::result(id, parts));
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

fn push_message(digest: &mut Digest, message: &Message<'_>, attachments: &[Attachment]) {
    digest.push(match message.role {
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    });
    push_parts(digest, &message.parts, attachments);
}

fn push_parts(digest: &mut Digest, parts: &[Part<'_>], attachments: &[Attachment]) {
    digest.push(&parts.len().to_string());
    for part in parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                digest.push("text");
                digest.push(text);
            }
            Part::Image(number) => {
                let attachment = usize::try_from(*number)
                    .ok()
                    .and_then(|index| attachments.get(index));
                digest.push("image");
                digest.push(attachment.map_or("", |attachment| &attachment.digest));
            }
        }
    }
}

fn into_input(parts: Vec<Part<'_>>) -> Vec<InputItem> {
    parts.into_iter().map(Part::into_input).collect()
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
