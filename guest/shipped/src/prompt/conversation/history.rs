//! The earlier messages as items, and their digest if one is needed.

use super::item;
use super::message::{ConversationMessage, MessageRole};
use super::{ConversationItem, OpaqueItem, PlacedCall};
use crate::bindings::airlock::policy::types::Attachment;
use crate::prompt::content::ContentPart;
use crate::tools::{ArgumentNormalizer, Digest, FunctionCall};

/// The items so far.
#[derive(Default)]
pub(super) struct History<'a> {
    pub(super) items: Vec<String>,
    /// None if no digest is needed: it takes longer than all the rest.
    pub(super) running_digest: Option<HistoryDigest<'a>>,
}

/// Computes the digest of a conversation.
pub(super) struct HistoryDigest<'a> {
    digest: Digest,
    normalizer: ArgumentNormalizer,
    /// The request's. An attachment counts by its own digest.
    attachments: &'a [Attachment],
}

impl<'a> History<'a> {
    /// A history with a digest.
    pub(super) fn digested(attachments: &'a [Attachment]) -> Self {
        Self {
            items: Vec::new(),
            running_digest: Some(HistoryDigest {
                digest: Digest::default(),
                normalizer: ArgumentNormalizer::default(),
                attachments,
            }),
        }
    }

    /// The digest of all messages so far, if there is one.
    pub(super) fn digest(&self) -> Option<String> {
        let running_digest = self.running_digest.as_ref()?;
        Some(running_digest.digest.clone().finish())
    }

    /// Adds a message that becomes no item to the digest.
    pub(super) fn add_to_digest(&mut self, message: &ConversationMessage<'_>) {
        if let Some(running_digest) = &mut self.running_digest {
            running_digest.push_message(message);
        }
    }

    /// Adds an item. `calls` are the conversation's.
    pub(super) fn add(&mut self, item: &ConversationItem<'_>, calls: &[PlacedCall<'_>]) {
        match item {
            ConversationItem::Message(message) => self.add_message(message),
            ConversationItem::Opaque(opaque) => self.add_opaque(opaque),
            ConversationItem::Call(call) => {
                if let Some(placed) = calls.get(*call) {
                    if let Some(running_digest) = &mut self.running_digest {
                        running_digest.push_call(&placed.call);
                    }
                    self.items
                        .push(item::call(placed.upstream_id(), &placed.call));
                }
            }
            ConversationItem::Result(call, parts) => {
                if let Some(placed) = calls.get(*call) {
                    if let Some(running_digest) = &mut self.running_digest {
                        running_digest.push_result(&placed.call.id, parts);
                    }
                    self.items.push(item::result(placed.upstream_id(), parts));
                }
            }
        }
    }

    fn add_message(&mut self, message: &ConversationMessage<'_>) {
        // An assistant's message without content becomes no item.
        let is_empty = message.parts.iter().all(ContentPart::is_empty);
        if !(is_empty && message.role == MessageRole::Assistant) {
            self.add_to_digest(message);
            self.items.push(item::message(message));
        }
    }

    fn add_opaque(&mut self, opaque: &OpaqueItem<'_>) {
        if let Some(running_digest) = &mut self.running_digest
            && opaque.is_digested
        {
            running_digest.digest.push("opaque");
            running_digest.digest.push(&opaque.json);
        }
        self.items.push(opaque.json.clone().into_owned());
    }
}

impl HistoryDigest<'_> {
    fn push_message(&mut self, message: &ConversationMessage<'_>) {
        self.digest.push(match message.role {
            MessageRole::Developer => "developer",
            MessageRole::User => "user",
            MessageRole::Assistant => "assistant",
        });
        self.push_parts(&message.parts);
    }

    fn push_call(&mut self, call: &FunctionCall<'_>) {
        let arguments = self.normalizer.normalize(&call.arguments);
        for part in ["call", &call.id, &call.name, &arguments] {
            self.digest.push(part);
        }
    }

    /// `id` is the client's id of the call.
    fn push_result(&mut self, id: &str, parts: &[ContentPart<'_>]) {
        self.digest.push("result");
        self.digest.push(id);
        self.push_parts(parts);
    }

    fn push_parts(&mut self, parts: &[ContentPart<'_>]) {
        self.digest.push(&parts.len().to_string());
        for part in parts {
            match part {
                ContentPart::Text(text) | ContentPart::Refusal(text) => {
                    self.digest.push("text");
                    self.digest.push(text);
                }
                ContentPart::Image(number) => {
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
