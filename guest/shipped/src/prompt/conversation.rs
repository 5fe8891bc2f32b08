//! Divides a conversation of any dialect for Codex: instructions, history items, and the input of the turn.

mod answered_calls;
mod call_ids;
mod history;
mod item;
mod message;
mod placed_call;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::content::ContentPart;
use super::token_estimate::TokenEstimate;
use crate::bindings::airlock::policy::types::{Attachment, InputItem};
use crate::tools::FunctionCall;

use answered_calls::{AnsweredReply, ends_with_results};
use call_ids::CallIds;
use history::History;
use message::into_input;
use placed_call::PlacedCall;

pub(super) use answered_calls::AnsweredCalls;
pub(super) use message::{ConversationMessage, MessageRole, push_paragraph};
pub(super) use placed_call::{CallMismatch, CallMismatchKind, ItemPosition};

/// The most characters of a turn's input that Codex (0.169) accepts. History items may be longer.
const INPUT_AT_MOST: usize = 1_048_576;

/// A conversation while it is read, item by item. Texts borrow from the body where their JSON has no escapes.
///
/// A dialect in which results must directly follow their calls checks [`check_answered`](Self::check_answered) before
/// each other item; one in which other items may come between checks it at the end.
#[derive(Default)]
pub(super) struct ConversationBuilder<'de> {
    instructions: String,
    items: Vec<ConversationItem<'de>>,
    calls: Vec<PlacedCall<'de>>,
    ids: CallIds<'de>,
    /// The number of calls whose results have not come.
    unanswered: usize,
    /// The last reply's first item, and the number of its first call.
    reply: (usize, usize),
}

/// An element of a conversation after its instructions.
enum ConversationItem<'de> {
    Message(ConversationMessage<'de>),
    /// The call of this number.
    Call(usize),
    /// The result of the call of this number.
    Result(usize, Vec<ContentPart<'de>>),
    Opaque(OpaqueItem<'de>),
}

/// An item that reaches the model as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpaqueItem<'de> {
    /// The item: one line of JSON.
    pub(super) json: Cow<'de, str>,
    /// Whether it counts when a turn that waits for results is looked up. Clients may leave out reasoning, which
    /// therefore must not count.
    pub(super) is_digested: bool,
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
    /// Puts these instructions before those of the conversation.
    pub(super) fn prepend_instructions(&mut self, mut instructions: String) {
        if !instructions.is_empty() {
            push_paragraph(&mut instructions, &self.instructions);
            self.instructions = instructions;
        }
    }

    /// Adds a message. Leading messages of the developer are instructions.
    pub(super) fn add_message(&mut self, message: ConversationMessage<'de>) {
        if self.items.is_empty() && message.role == MessageRole::Developer {
            for part in &message.parts {
                push_paragraph(&mut self.instructions, part.text());
            }
            return;
        }
        self.items.push(ConversationItem::Message(message));
    }

    /// Adds an item that reaches the model as it is.
    pub(super) fn add_opaque(&mut self, item: OpaqueItem<'de>) {
        self.items.push(ConversationItem::Opaque(item));
    }

    /// Begins a reply: the items that one response of the model consists of, as this dialect returns them. Results at
    /// the end of the conversation resume the turn that has written the last reply.
    pub(super) fn start_reply(&mut self) {
        self.reply = (self.items.len(), self.calls.len());
    }

    /// Adds a call of the current reply.
    ///
    /// # Errors
    ///
    /// If another call with this id waits for its result.
    pub(super) fn add_call(
        &mut self,
        call: FunctionCall<'de>,
        position: ItemPosition,
    ) -> Result<(), CallMismatch> {
        let latest = self.ids.latest(&call.id);
        if latest.is_some_and(|latest| self.calls.get(latest).is_some_and(|it| !it.answered)) {
            let kind = CallMismatchKind::DuplicateCall;
            return Err(CallMismatch { position, kind });
        }
        let number = self.calls.len();
        self.items.push(ConversationItem::Call(number));
        self.unanswered += 1;
        self.calls.push(PlacedCall {
            upstream: self.ids.assign(&call.id, number),
            call,
            position,
            answered: false,
        });
        Ok(())
    }

    /// Adds the result of the last call with this id.
    ///
    /// # Errors
    ///
    /// If there is no such call, or it has a result.
    pub(super) fn add_result(
        &mut self,
        id: &str,
        parts: Vec<ContentPart<'de>>,
        position: ItemPosition,
    ) -> Result<(), CallMismatch> {
        let error = |kind| Err(CallMismatch { position, kind });
        let Some(number) = self.ids.latest(id) else {
            return error(CallMismatchKind::MissingCall);
        };
        let follows = matches!(
            self.items.last(),
            Some(ConversationItem::Call(_) | ConversationItem::Result(..))
        );
        match self.calls.get_mut(number) {
            Some(placed) if !placed.answered => placed.answered = true,
            _ if follows && number >= self.reply.1 => {
                return error(CallMismatchKind::DuplicateResult);
            }
            _ => return error(CallMismatchKind::LateResult),
        }
        self.unanswered -= 1;
        self.items.push(ConversationItem::Result(number, parts));
        Ok(())
    }

    /// # Errors
    ///
    /// If a call has no result.
    pub(super) fn check_answered(&self) -> Result<(), CallMismatch> {
        if self.unanswered == 0 {
            return Ok(());
        }
        match self.calls.iter().find(|placed| !placed.answered) {
            None => Ok(()),
            Some(placed) => Err(CallMismatch {
                position: placed.position,
                kind: CallMismatchKind::MissingResult,
            }),
        }
    }

    /// Adds all that reaches the model to an estimate.
    pub(super) fn estimate(&self, estimate: &mut TokenEstimate) {
        estimate.add_text(&self.instructions);
        for item in &self.items {
            estimate.add_item();
            match item {
                ConversationItem::Message(message) => estimate.add_parts(&message.parts),
                ConversationItem::Opaque(opaque) => estimate.add_text(&opaque.json),
                ConversationItem::Result(_, parts) => estimate.add_parts(parts),
                ConversationItem::Call(call) => {
                    if let Some(placed) = self.calls.get(*call) {
                        estimate.add_text(&placed.call.name);
                        estimate.add_text(&placed.call.arguments);
                    }
                }
            }
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
        question: Option<ConversationMessage<'de>>,
        attachments: &[Attachment],
        offers: bool,
    ) -> Option<CodexConversation<'de>> {
        let answered = match question {
            Some(_) => None,
            None => Some(self.reply.0).filter(|reply| ends_with_results(*reply, &self.items)),
        };
        let mut history = if offers || answered.is_some() {
            History::digested(attachments)
        } else {
            History::default()
        };
        let answered = self.write_items(&mut history, answered, offers);
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
            answered: answered.and_then(|reply| reply.finish(self.calls)),
        })
    }

    /// Writes the items. `answered` is the first item of the last reply, if the conversation ends with its results.
    fn write_items(
        &mut self,
        history: &mut History<'_>,
        answered: Option<usize>,
        offers: bool,
    ) -> Option<AnsweredReply> {
        sort_results(&mut self.items);
        let mut reply = None;
        // Each message is dropped once its item is written, so that a long conversation is not held twice.
        for (index, item) in std::mem::take(&mut self.items).into_iter().enumerate() {
            if answered == Some(index) {
                reply = history.digest().map(AnsweredReply::new);
                // Without functions, no turn waits for the results.
                if !offers {
                    history.running_digest = None;
                }
            }
            history.add(&item, &self.calls);
            if let Some(reply) = &mut reply {
                reply.push(item);
            }
        }
        reply
    }
}

/// Puts results that follow each other in the order of their calls.
fn sort_results(items: &mut [ConversationItem<'_>]) {
    let call = |item: &ConversationItem<'_>| match item {
        ConversationItem::Result(call, _) => Some(*call),
        _ => None,
    };
    for run in items.chunk_by_mut(|one, next| call(one).is_some() && call(next).is_some()) {
        run.sort_by_key(call);
    }
}
