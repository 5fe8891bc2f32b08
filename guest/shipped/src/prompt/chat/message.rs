//! `messages`: the shape of each message, and the content that its role allows.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::calls::CallsShape;
use super::content::{Content, ContentShape};
use crate::prompt::any_value::AnyShape;
use crate::prompt::content::{ContentPart, result_parts};
use crate::prompt::conversation::{
    CallMismatch, CallMismatchKind, ConversationBuilder, ConversationMessage, MessageRole,
};
use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, ShapeSeed, StringShape};
use crate::tools::FunctionCall;

const OLD_FORM: &str = "the old form of function calls is not supported: use `tools`, with `tool_calls` and messages of role `tool`";
const ROLES: &str = "`system`, `developer`, `user`, `assistant` or `tool`";

/// `messages`. Each is added to the conversation as soon as it is read, which detects misplaced calls and results at
/// once.
pub(super) struct MessagesShape;

impl<'de> JsonShape<'de> for MessagesShape {
    type Value = ConversationBuilder<'de>;
    const EXPECTED: &'static str = "an array of messages";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<ConversationBuilder<'de>, A::Error> {
        let mut conversation = ConversationBuilder::default();
        let mut index = 0;
        while let Some(message) = reader.member(&mut members, index, MessageShape)? {
            if let Err(error) = message.add_to(&mut conversation, index) {
                return Err(mismatch(reader, error));
            }
            index += 1;
        }
        if let Err(error) = conversation.check_answered() {
            return Err(mismatch(reader, error));
        }
        if index == 0 {
            return Err(
                reader.invalid("must not be empty: give at least one message of role `user`")
            );
        }
        Ok(conversation)
    }
}

/// Reports a call or result that matches no other. The reader's path must be `messages`.
fn mismatch<E: de::Error>(reader: &mut Reader<'_>, error: CallMismatch) -> E {
    let (message, call) = error.position;
    let reason = match error.kind {
        CallMismatchKind::DuplicateCall => {
            "another call of this message has this id: each needs one of its own"
        }
        CallMismatchKind::MissingResult => {
            "a call without a result: a message of role `tool` with this `tool_call_id` must follow, before any other message"
        }
        CallMismatchKind::MissingCall => "no call before it has this id",
        CallMismatchKind::DuplicateResult => "the call of this id already has a result",
        CallMismatchKind::LateResult => "results must directly follow the message with their calls",
    };
    let of_call = [
        PathSegment::Index(message),
        PathSegment::Key("tool_calls"),
        PathSegment::Index(call),
        PathSegment::Key("id"),
    ];
    let of_result = [
        PathSegment::Index(message),
        PathSegment::Key("tool_call_id"),
    ];
    if error.kind.is_of_call() {
        reader.invalid_at(&of_call, reason)
    } else {
        reader.invalid_at(&of_result, reason)
    }
}

/// An element of `messages`.
enum ChatMessage<'de> {
    Message(ConversationMessage<'de>, Vec<FunctionCall<'de>>),
    /// A message of role `tool`: the result of the call with this id.
    Result(Cow<'de, str>, Vec<ContentPart<'de>>),
}

impl<'de> ChatMessage<'de> {
    /// `index` is the message's index in the request.
    fn add_to(
        self,
        conversation: &mut ConversationBuilder<'de>,
        index: usize,
    ) -> Result<(), CallMismatch> {
        let (message, calls) = match self {
            Self::Result(call, parts) => return conversation.add_result(&call, parts, (index, 0)),
            Self::Message(message, calls) => (message, calls),
        };
        conversation.check_answered()?;
        if message.role == MessageRole::Assistant {
            conversation.start_reply();
        }
        conversation.add_message(message);
        let mut calls = calls.into_iter().enumerate();
        calls.try_for_each(|(number, call)| conversation.add_call(call, (index, number)))
    }
}

struct MessageShape;

impl<'de> JsonShape<'de> for MessageShape {
    type Value = ChatMessage<'de>;
    const EXPECTED: &'static str = "a message object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ChatMessage<'de>, A::Error> {
        let mut role = None;
        let mut content = Content::Nothing;
        let (mut refusal, mut calls, mut call_id) = (None, None, None);
        let mut has_name = false;
        read_members!(reader, fields, {
            "role" => value(role, MessageRoleShape),
            "content" => or_default(content, ContentShape),
            "refusal" => nullable(refusal, StringShape),
            "tool_calls" => nullable(calls, CallsShape),
            "tool_call_id" => nullable(call_id, NonEmptyString),
            "function_call" => run { read_empty(reader, &mut fields, "function_call", OLD_FORM)? },
            "audio" => run { read_empty(reader, &mut fields, "audio", "audio is not supported")? },
            "name" => run {
                has_name = reader.nullable(&mut fields, "name", StringShape)?.is_some();
            },
            // Fields of Airlock's responses that clients send back. Codex keeps the reasoning itself.
            "annotations" | "parsed" | "reasoning_content" => skip(),
        });
        let Some(role) = role else {
            let message = format!("required: {ROLES}");
            return Err(reader.invalid_member("role", &message));
        };
        // The name of a result is its call's.
        if has_name && role.is_some() {
            reader.ignore("name")?;
        }
        let calls = calls.unwrap_or_default();
        if !calls.is_empty() && role != Some(MessageRole::Assistant) {
            let message = "only messages of role `assistant` may contain calls";
            return Err(reader.invalid_member("tool_calls", message));
        }
        let parts = check_content(reader, role, content, refusal)?;
        match (role, call_id) {
            (Some(role), None) => Ok(ChatMessage::Message(
                ConversationMessage::new(role, parts),
                calls,
            )),
            (None, Some(call)) => Ok(ChatMessage::Result(call, result_parts(parts))),
            (wrong, _) => {
                let message = match wrong {
                    Some(_) => "only messages of role `tool` may have a `tool_call_id`",
                    None => "required: the id of the call whose result this is",
                };
                Err(reader.invalid_member("tool_call_id", message))
            }
        }
    }
}

/// Reads a field of OpenAI's messages that is supported only without content.
fn read_empty<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    fields: &mut A,
    name: &'static str,
    reason: &'static str,
) -> Result<(), A::Error> {
    reader.at(PathSegment::Key(name), |reader| {
        let value = fields.next_value_seed(ShapeSeed {
            reader: &mut *reader,
            shape: AnyShape,
        })?;
        if value.is_empty() {
            Ok(())
        } else {
            Err(reader.unsupported(reason))
        }
    })
}

/// Checks the content of a message by its role. None is the role `tool`.
fn check_content<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    role: Option<MessageRole>,
    content: Content<'de>,
    refusal: Option<Cow<'de, str>>,
) -> Result<Vec<ContentPart<'de>>, E> {
    let mut parts = reader.at(PathSegment::Key("content"), |reader| {
        let parts = match content {
            Content::Text(text) => return Ok(vec![ContentPart::Text(text)]),
            Content::Parts(parts) => parts,
            Content::Nothing => Vec::new(),
        };
        if parts.is_empty() && role != Some(MessageRole::Assistant) {
            return Err(
                reader.invalid("required: a string, or an array of parts with something in it")
            );
        }
        for (index, part) in parts.iter().enumerate() {
            reader.at(PathSegment::Index(index), |reader| match part {
                ContentPart::Image(_) if !matches!(role, Some(MessageRole::User) | None) => {
                    Err(reader.invalid("only messages of role `user` or `tool` may contain images"))
                }
                ContentPart::Refusal(_) if role != Some(MessageRole::Assistant) => {
                    Err(reader.invalid("only messages of role `assistant` may contain a refusal"))
                }
                ContentPart::Text(_) | ContentPart::Image(_) | ContentPart::Refusal(_) => Ok(()),
            })?;
        }
        Ok(parts)
    })?;
    match refusal {
        Some(refusal) if role == Some(MessageRole::Assistant) => {
            parts.push(ContentPart::Refusal(refusal));
        }
        Some(refusal) if !refusal.is_empty() => {
            return Err(reader.invalid_member(
                "refusal",
                "only messages of role `assistant` may contain a refusal",
            ));
        }
        Some(_) | None => {}
    }
    Ok(parts)
}

/// `role`. None for `tool`.
struct MessageRoleShape;

impl<'de> JsonShape<'de> for MessageRoleShape {
    type Value = Option<MessageRole>;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Option<MessageRole>, E> {
        let role = StringShape.scalar(reader, scalar)?;
        match role.as_ref() {
            "system" | "developer" => Ok(Some(MessageRole::Developer)),
            "user" => Ok(Some(MessageRole::User)),
            "assistant" => Ok(Some(MessageRole::Assistant)),
            "tool" => Ok(None),
            "function" => Err(reader.unsupported(OLD_FORM)),
            other => Err(reader.invalid(&format!("expected {ROLES}, found `{}`", quoted(other)))),
        }
    }
}
