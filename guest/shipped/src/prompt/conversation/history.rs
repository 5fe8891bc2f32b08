//! What was said earlier, as items, and its digest for those who ask for one.

use super::batch::Batch;
use super::chat_message::{Message, Role};
use super::item;
use crate::bindings::airlock::policy::types::Attachment;
use crate::prompt::content::Part;
use crate::tools::{Digest, Meanings};

/// The items so far.
#[derive(Default)]
pub(super) struct History<'a> {
    pub(super) items: Vec<String>,
    /// None where nobody asks for a digest, which takes longer than all the rest.
    pub(super) reckoning: Option<Reckoning<'a>>,
}

/// What makes the digest of a conversation.
pub(super) struct Reckoning<'a> {
    digest: Digest,
    meanings: Meanings,
    /// The request's: an attachment counts by its own digest.
    attachments: &'a [Attachment],
}

impl<'a> History<'a> {
    /// One with a digest.
    pub(super) fn digested(attachments: &'a [Attachment]) -> Self {
        Self {
            items: Vec::new(),
            reckoning: Some(Reckoning {
                digest: Digest::default(),
                meanings: Meanings::default(),
                attachments,
            }),
        }
    }

    /// The digest of all that was added, where it is kept.
    pub(super) fn digest(&self) -> Option<String> {
        let reckoning = self.reckoning.as_ref()?;
        Some(reckoning.digest.clone().finish())
    }

    /// Counts a message that becomes no item.
    pub(super) fn reckon(&mut self, message: &Message<'_>) {
        if let Some(reckoning) = &mut self.reckoning {
            reckoning.push_message(message);
        }
    }

    pub(super) fn remember(&mut self, message: &Message<'_>) {
        // An assistant that only called tools, or said nothing at all, has left no message.
        let silent = message.parts.iter().all(Part::is_empty);
        if !(silent && message.role == Role::Assistant) {
            self.reckon(message);
            self.items.push(item::message(message));
        }
    }

    pub(super) fn remember_batch(&mut self, batch: &Batch<'_>) {
        self.remember(&batch.said);
        if let Some(reckoning) = &mut self.reckoning {
            reckoning.push_batch(batch);
        }
        let calls = batch.calls_upstream();
        self.items
            .extend(calls.map(|(id, call)| item::call(id, call)));
        let results = batch.results();
        self.items
            .extend(results.map(|([id, _], parts)| item::result(id, parts)));
    }
}

impl Reckoning<'_> {
    fn push_message(&mut self, message: &Message<'_>) {
        self.digest.push(match message.role {
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        self.push_parts(&message.parts);
    }

    fn push_batch(&mut self, batch: &Batch<'_>) {
        for call in &batch.calls {
            let meaning = self.meanings.of(&call.arguments);
            for part in ["call", &call.id, &call.name, &meaning] {
                self.digest.push(part);
            }
        }
        for ([_, id], parts) in batch.results() {
            self.digest.push("result");
            self.digest.push(id);
            self.push_parts(parts);
        }
    }

    fn push_parts(&mut self, parts: &[Part<'_>]) {
        self.digest.push(&parts.len().to_string());
        for part in parts {
            match part {
                Part::Text(text) | Part::Refusal(text) => {
                    self.digest.push("text");
                    self.digest.push(text);
                }
                Part::Image(number) => {
                    let attachment = usize::try_from(*number)
                        .ok()
                        .and_then(|index| self.attachments.get(index));
                    self.digest.push("image");
                    self.digest
                        .push(attachment.map_or("", |attachment| &attachment.digest));
                }
            }
        }
    }
}
