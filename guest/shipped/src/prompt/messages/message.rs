//! `messages`: the blocks of each message, as far as its role allows them, and their order.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::block::{ContentBlock, MessageBlock};
use crate::prompt::content::{ContentPart, ElementsShape};
use crate::prompt::conversation::{
    CallMismatch, CallMismatchKind, ConversationBuilder, ConversationMessage, MessageRole,
    OpaqueItem,
};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

const ROLES: &str = "`user`, `assistant` or `system`";

/// `messages`. Each is added to the conversation as soon as it is read, which detects misplaced calls and results at once.
pub(super) struct MessageArrayShape;

impl<'de> JsonShape<'de> for MessageArrayShape {
    type Value = ConversationBuilder<'de>;
    const EXPECTED: &'static str = "an array of messages";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<ConversationBuilder<'de>, A::Error> {
        let mut conversation = ConversationBuilder::default();
        let mut index = 0;
        let mut previous = None;
        let mut reasoning = Vec::new();
        while let Some(message) = reader.member(&mut members, index, InputMessageShape)? {
            let role = message.role;
            if let Err(error) = message.add_to(&mut conversation, &mut reasoning, index, previous) {
                return Err(mismatch(reader, error));
            }
            previous = Some(role);
            index += 1;
        }
        if let Err(error) = conversation.check_answered() {
            return Err(mismatch(reader, error));
        }
        if index == 0 {
            let message = "must not be empty: give at least one message of role `user`";
            return Err(reader.invalid(message));
        }
        Ok(conversation)
    }
}

/// Reports a call or result that matches no other. The reader's path must be `messages`.
fn mismatch<E: de::Error>(reader: &mut Reader<'_>, error: CallMismatch) -> E {
    let (message, block) = error.position;
    let reason = match error.kind {
        CallMismatchKind::DuplicateCall => {
            "another call of this message has this id: each needs one of its own"
        }
        CallMismatchKind::MissingResult => {
            "a call without a result: the next message must begin with a `tool_result` block of this id"
        }
        CallMismatchKind::MissingCall => "no `tool_use` block before it has this id",
        CallMismatchKind::DuplicateResult => "the call of this id already has a result",
        CallMismatchKind::LateResult => "results must directly follow the message with their calls",
    };
    let member = if error.kind.is_of_call() {
        "id"
    } else {
        "tool_use_id"
    };
    let steps = [
        PathSegment::Index(message),
        PathSegment::Key("content"),
        PathSegment::Index(block),
        PathSegment::Key(member),
    ];
    reader.invalid_at(&steps, reason)
}

/// An element of `messages`.
struct InputMessage<'de> {
    role: MessageRole,
    blocks: Vec<ContentBlock<'de>>,
}

struct InputMessageShape;

impl<'de> JsonShape<'de> for InputMessageShape {
    type Value = InputMessage<'de>;
    const EXPECTED: &'static str = "a message object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<InputMessage<'de>, A::Error> {
        let (mut role, mut blocks) = (None, None);
        read_members!(reader, fields, {
            "role" => value(role, InputRoleShape),
            "content" => value(blocks, ElementsShape::<MessageBlock>::default()),
        });
        let Some(role) = role else {
            return Err(reader.invalid_member("role", &format!("required: {ROLES}")));
        };
        let blocks = blocks.unwrap_or_default();
        if blocks.is_empty() && role != MessageRole::Assistant {
            let message = "required: a string, or an array of blocks with something in it";
            return Err(reader.invalid_member("content", message));
        }
        for (index, block) in blocks.iter().enumerate() {
            if let Some(reason) = misplaced(block, role) {
                let steps = [
                    PathSegment::Key("content"),
                    PathSegment::Index(index),
                    PathSegment::Key("type"),
                ];
                return Err(reader.invalid_at(&steps, reason));
            }
        }
        Ok(InputMessage { role, blocks })
    }
}

/// The reason why a message of this role may not have the block.
fn misplaced(block: &ContentBlock<'_>, role: MessageRole) -> Option<&'static str> {
    match (block, role) {
        (ContentBlock::Image(_) | ContentBlock::ToolResult(..), MessageRole::User)
        | (ContentBlock::ToolUse(_) | ContentBlock::Reasoning(_), MessageRole::Assistant)
        | (ContentBlock::Text(_), _) => None,
        (ContentBlock::Image(_), _) => {
            Some("only messages of role `user`, and results, may contain images")
        }
        (ContentBlock::ToolResult(..), _) => {
            Some("only messages of role `user` may contain results")
        }
        (ContentBlock::ToolUse(_), _) => {
            Some("only messages of role `assistant` may contain calls")
        }
        (ContentBlock::Reasoning(_), _) => {
            Some("only messages of role `assistant` may contain thinking")
        }
    }
}

impl<'de> InputMessage<'de> {
    /// `index` is the message's index in the request, `previous` the role of the message before it. Messages of one role that
    /// follow each other are one, so that `reasoning` is kept from one to the next.
    fn add_to(
        self,
        conversation: &mut ConversationBuilder<'de>,
        reasoning: &mut Vec<OpaqueItem<'de>>,
        index: usize,
        previous: Option<MessageRole>,
    ) -> Result<(), CallMismatch> {
        let continues = previous == Some(self.role);
        if !continues {
            reasoning.clear();
        }
        if self.role == MessageRole::Assistant && !continues {
            conversation.check_answered()?;
            conversation.start_reply();
        }
        let mut message = PendingMessage {
            role: self.role,
            parts: Vec::new(),
            reasoning,
        };
        for (number, block) in self.blocks.into_iter().enumerate() {
            let position = (index, number);
            match block {
                ContentBlock::Text(text) => message.parts.push(ContentPart::Text(text)),
                ContentBlock::Image(number) => message.parts.push(ContentPart::Image(number)),
                ContentBlock::ToolResult(call, parts) => {
                    message.flush(conversation)?;
                    conversation.add_result(&call, parts, position)?;
                }
                ContentBlock::ToolUse(call) => {
                    message.flush(conversation)?;
                    message.flush_reasoning(conversation);
                    conversation.add_call(call, position)?;
                }
                ContentBlock::Reasoning(item) => {
                    message.flush(conversation)?;
                    message.reasoning.extend(item);
                }
            }
        }
        message.flush(conversation)
    }
}

/// The text and images of a message that have not reached the conversation.
struct PendingMessage<'r, 'de> {
    role: MessageRole,
    parts: Vec<ContentPart<'de>>,
    /// Reasoning that nothing has followed yet. The Responses API refuses reasoning without the item to which it led.
    reasoning: &'r mut Vec<OpaqueItem<'de>>,
}

impl<'de> PendingMessage<'_, 'de> {
    /// # Errors
    ///
    /// If it is a message to the model, and a call before it has no result.
    fn flush(&mut self, conversation: &mut ConversationBuilder<'de>) -> Result<(), CallMismatch> {
        let parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            return Ok(());
        }
        if self.role != MessageRole::Assistant {
            conversation.check_answered()?;
        } else if !parts.iter().all(ContentPart::is_empty) {
            self.flush_reasoning(conversation);
        }
        conversation.add_message(ConversationMessage::new(self.role, parts));
        Ok(())
    }

    fn flush_reasoning(&mut self, conversation: &mut ConversationBuilder<'de>) {
        for item in self.reasoning.drain(..) {
            conversation.add_opaque(item);
        }
    }
}

/// `role`. Messages of role `system` within the conversation are the developer's.
struct InputRoleShape;

impl<'de> JsonShape<'de> for InputRoleShape {
    type Value = MessageRole;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<MessageRole, E> {
        let role: Cow<'de, str> = StringShape.scalar(reader, scalar)?;
        match role.as_ref() {
            "user" => Ok(MessageRole::User),
            "assistant" => Ok(MessageRole::Assistant),
            "system" => Ok(MessageRole::Developer),
            other => Err(reader.invalid(&format!("expected {ROLES}, found `{}`", quoted(other)))),
        }
    }
}
