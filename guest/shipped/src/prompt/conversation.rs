//! How a conversation is laid before Codex: instructions, earlier items, and what the user says now.

mod batch;
mod call_ids;
mod chat_message;
mod history;
mod item;
#[cfg(test)]
mod tests;

use super::content::Part;
use crate::bindings::airlock::policy::types::{Attachment, InputItem};

use batch::Batch;
use call_ids::CallIds;
use chat_message::into_input;
use history::History;

pub(super) use batch::Answered;
pub(super) use chat_message::{Entry, Message, Misplaced, Role, push_paragraph};

/// Characters of input that Codex (0.169) takes in one turn. It takes more than that as earlier items.
const INPUT_AT_MOST: usize = 1_048_576;

/// A conversation as it is read, message by message. Texts are the body's own where JSON lets them be.
#[derive(Default)]
pub(super) struct Conversation<'de> {
    /// How many messages there have been.
    messages: usize,
    instructions: String,
    said: Vec<Said<'de>>,
    calls: CallIds<'de>,
}

/// What stands in a conversation after its instructions.
enum Said<'de> {
    Message(Message<'de>),
    /// The assistant's calls and what came of them so far.
    Batch(Batch<'de>),
}

/// A conversation as Codex takes it.
#[derive(Debug, PartialEq)]
pub(super) struct Talk<'de> {
    pub(super) instructions: String,
    pub(super) history: Vec<String>,
    pub(super) input: Vec<InputItem>,
    /// The digest of the history and the input, where functions are offered: nobody else asks for it.
    pub(super) digest: Option<String>,
    /// What it ends with, where that is results.
    pub(super) answered: Option<Answered<'de>>,
}

impl<'de> Conversation<'de> {
    /// Adds the next message.
    ///
    /// # Errors
    ///
    /// Where a result has no call, or a call is left without one.
    pub(super) fn push(&mut self, entry: Entry<'de>) -> Result<(), Misplaced> {
        let index = self.messages;
        self.messages += 1;
        match entry {
            Entry::Result(call, parts) => self.answer(index, &call, parts),
            Entry::Message(message) => {
                self.check_answered()?;
                self.say(index, message)
            }
        }
    }

    /// # Errors
    ///
    /// Where a call is left without a result.
    pub(super) fn check_answered(&self) -> Result<(), Misplaced> {
        match self.said.last() {
            Some(Said::Batch(batch)) => batch.check_answered(),
            Some(Said::Message(_)) | None => Ok(()),
        }
    }

    /// The whole, or None when nobody has said anything that could be answered. All calls have their results.
    /// `attachments` are the request's; `offers` says whether it offers functions.
    pub(super) fn finish(mut self, attachments: &[Attachment], offers: bool) -> Option<Talk<'de>> {
        let question = match self.said.pop() {
            Some(Said::Message(last))
                if last.role == Role::User && last.characters() <= INPUT_AT_MOST =>
            {
                Some(last)
            }
            other => {
                self.said.extend(other);
                None
            }
        };
        self.finish_with(question, attachments, offers)
    }

    /// As `finish`, but all of it is history, what the user says now too: every turn of a fan-out answers it.
    pub(super) fn finish_as_history(
        self,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<Talk<'de>> {
        self.finish_with(None, attachments, offers)
    }

    /// `question` is what becomes the input.
    fn finish_with(
        mut self,
        question: Option<Message<'de>>,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<Talk<'de>> {
        let results = match question {
            Some(_) => None,
            None => self.take_results(),
        };
        let mut history = if offers || results.is_some() {
            History::digested(attachments)
        } else {
            History::default()
        };
        // Each is dropped as soon as its items are written: a long conversation is not held twice.
        for said in self.said {
            match said {
                Said::Message(message) => history.remember(&message),
                Said::Batch(batch) => history.remember_batch(&batch),
            }
        }
        let mut answered = None;
        if let Some(batch) = results {
            let before = history.digest();
            // The results of a request that offers nothing are nobody's to wait for.
            if !offers {
                history.reckoning = None;
            }
            history.remember_batch(&batch);
            answered = before.map(|before| batch.into_answered(before));
        }
        if let Some(message) = &question {
            history.reckon(message);
        }
        let input = question.map_or_else(Vec::new, |message| into_input(message.parts));
        // Instructions alone can be answered: Codex (0.163.0, 0.169.0) sends them as the first message of the input.
        if self.instructions.is_empty() && history.items.is_empty() && input.is_empty() {
            return None;
        }
        Some(Talk {
            instructions: self.instructions,
            digest: history.digest(),
            history: history.items,
            input,
            answered,
        })
    }

    /// The calls and results that it ends with.
    fn take_results(&mut self) -> Option<Batch<'de>> {
        match self.said.pop() {
            Some(Said::Batch(batch)) => Some(batch),
            other => {
                self.said.extend(other);
                None
            }
        }
    }

    fn say(&mut self, index: usize, mut message: Message<'de>) -> Result<(), Misplaced> {
        if self.said.is_empty() && message.role == Role::Developer {
            for part in &message.parts {
                push_paragraph(&mut self.instructions, part.text());
            }
            return Ok(());
        }
        if message.calls.is_empty() {
            self.said.push(Said::Message(message));
            return Ok(());
        }
        let calls = std::mem::take(&mut message.calls);
        let mut upstream_ids = Vec::with_capacity(calls.len());
        for (place, call) in calls.iter().enumerate() {
            let Some(id) = self.calls.assign(&call.id, (index, place)) else {
                let why = "another call of this message has this id: each needs one of its own";
                return Err(Misplaced::Call(index, place, why));
            };
            upstream_ids.push(id);
        }
        self.said
            .push(Said::Batch(Batch::new(index, message, calls, upstream_ids)));
        Ok(())
    }

    fn answer(&mut self, index: usize, call: &str, parts: Vec<Part<'de>>) -> Result<(), Misplaced> {
        let wrong = |why| Err(Misplaced::Result(index, why));
        let Some((message, place)) = self.calls.latest(call) else {
            return wrong("no call before it has this id");
        };
        match self.said.last_mut() {
            Some(Said::Batch(batch)) if batch.message == message => {
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
}
