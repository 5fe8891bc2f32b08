//! Divides a conversation for Codex: instructions, history items, and the input of the turn.

mod call_batch;
mod call_ids;
mod chat_message;
mod history;
mod item;
#[cfg(test)]
mod tests;

use super::content::ContentPart;
use crate::bindings::airlock::policy::types::{Attachment, InputItem};

use call_batch::CallBatch;
use call_ids::CallIds;
use chat_message::into_input;
use history::History;

pub(super) use call_batch::AnsweredCalls;
pub(super) use chat_message::{
    ChatMessage, MessageEntry, MessageRole, ToolMessageError, push_paragraph,
};

/// The most characters of a turn's input that Codex (0.169) accepts. History items may be longer.
const INPUT_AT_MOST: usize = 1_048_576;

/// A conversation while it is read, message by message. Texts borrow from the body where their JSON has no escapes.
#[derive(Default)]
pub(super) struct ConversationBuilder<'de> {
    /// How many messages were added.
    messages: usize,
    instructions: String,
    items: Vec<ConversationItem<'de>>,
    calls: CallIds<'de>,
}

/// An element of a conversation after its instructions.
enum ConversationItem<'de> {
    Message(ChatMessage<'de>),
    /// The assistant's calls and their results so far.
    Batch(CallBatch<'de>),
}

/// A conversation in the form that Codex takes.
#[derive(Debug, PartialEq)]
pub(super) struct CodexConversation<'de> {
    pub(super) instructions: String,
    pub(super) history: Vec<String>,
    pub(super) input: Vec<InputItem>,
    /// The digest of the history and the input. None unless functions are offered.
    pub(super) digest: Option<String>,
    /// The calls whose results the conversation ends with, if it does.
    pub(super) answered: Option<AnsweredCalls<'de>>,
}

impl<'de> ConversationBuilder<'de> {
    /// Adds the next message.
    ///
    /// # Errors
    ///
    /// If a result has no call, or a call has no result.
    pub(super) fn push(&mut self, entry: MessageEntry<'de>) -> Result<(), ToolMessageError> {
        let index = self.messages;
        self.messages += 1;
        match entry {
            MessageEntry::ToolResult(call, parts) => self.add_result(index, &call, parts),
            MessageEntry::Message(message) => {
                self.check_answered()?;
                self.add_message(index, message)
            }
        }
    }

    /// # Errors
    ///
    /// If a call has no result.
    pub(super) fn check_answered(&self) -> Result<(), ToolMessageError> {
        match self.items.last() {
            Some(ConversationItem::Batch(batch)) => batch.check_answered(),
            Some(ConversationItem::Message(_)) | None => Ok(()),
        }
    }

    /// Ends the conversation. None if there is nothing to answer. All calls must have results. `attachments` are the
    /// request's; `offers` is whether the request offers functions.
    pub(super) fn finish(
        mut self,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<CodexConversation<'de>> {
        let question = match self.items.pop() {
            Some(ConversationItem::Message(last))
                if last.role == MessageRole::User && last.characters() <= INPUT_AT_MOST =>
            {
                Some(last)
            }
            other => {
                self.items.extend(other);
                None
            }
        };
        self.finish_with(question, attachments, offers)
    }

    /// As `finish`, with the last message of the user in the history too: every turn of a fan-out answers it.
    pub(super) fn finish_as_history(
        self,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<CodexConversation<'de>> {
        self.finish_with(None, attachments, offers)
    }

    /// `question` becomes the input.
    fn finish_with(
        mut self,
        question: Option<ChatMessage<'de>>,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<CodexConversation<'de>> {
        let results = match question {
            Some(_) => None,
            None => self.take_results(),
        };
        let mut history = if offers || results.is_some() {
            History::digested(attachments)
        } else {
            History::default()
        };
        // Each message is dropped once its item is written, so that a long conversation is not held twice.
        for item in self.items {
            match item {
                ConversationItem::Message(message) => history.add_message(&message),
                ConversationItem::Batch(batch) => history.add_batch(&batch),
            }
        }
        let mut answered = None;
        if let Some(batch) = results {
            let before = history.digest();
            // Without functions, no turn waits for the results.
            if !offers {
                history.running_digest = None;
            }
            history.add_batch(&batch);
            answered = before.map(|before| batch.into_answered(before));
        }
        if let Some(message) = &question {
            history.add_to_digest(message);
        }
        let input = question.map_or_else(Vec::new, |message| into_input(message.parts));
        // Instructions alone can be answered: Codex (0.163.0, 0.169.0) sends them as the first message of the input.
        if self.instructions.is_empty() && history.items.is_empty() && input.is_empty() {
            return None;
        }
        Some(CodexConversation {
            instructions: self.instructions,
            digest: history.digest(),
            history: history.items,
            input,
            answered,
        })
    }

    /// Removes the calls and results that the conversation ends with.
    fn take_results(&mut self) -> Option<CallBatch<'de>> {
        match self.items.pop() {
            Some(ConversationItem::Batch(batch)) => Some(batch),
            other => {
                self.items.extend(other);
                None
            }
        }
    }

    fn add_message(
        &mut self,
        index: usize,
        mut message: ChatMessage<'de>,
    ) -> Result<(), ToolMessageError> {
        if self.items.is_empty() && message.role == MessageRole::Developer {
            for part in &message.parts {
                push_paragraph(&mut self.instructions, part.text());
            }
            return Ok(());
        }
        if message.calls.is_empty() {
            self.items.push(ConversationItem::Message(message));
            return Ok(());
        }
        let calls = std::mem::take(&mut message.calls);
        let mut upstream_ids = Vec::with_capacity(calls.len());
        for (call_index, call) in calls.iter().enumerate() {
            let Some(id) = self.calls.assign(&call.id, (index, call_index)) else {
                let why = "another call of this message has this id: each needs one of its own";
                return Err(ToolMessageError::Call(index, call_index, why));
            };
            upstream_ids.push(id);
        }
        self.items.push(ConversationItem::Batch(CallBatch::new(
            index,
            message,
            calls,
            upstream_ids,
        )));
        Ok(())
    }

    fn add_result(
        &mut self,
        index: usize,
        call: &str,
        parts: Vec<ContentPart<'de>>,
    ) -> Result<(), ToolMessageError> {
        let wrong = |why| Err(ToolMessageError::Result(index, why));
        let Some((message, call_index)) = self.calls.latest(call) else {
            return wrong("no call before it has this id");
        };
        match self.items.last_mut() {
            Some(ConversationItem::Batch(batch)) if batch.index == message => {
                if batch.add_result(call_index, parts) {
                    Ok(())
                } else {
                    wrong("the call of this id already has a result")
                }
            }
            Some(_) | None => wrong("results must directly follow the message with their calls"),
        }
    }
}
