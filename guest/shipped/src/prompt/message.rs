//! One message of the conversation: which roles may say what.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::content::{Content, ContentShape, Part};
use super::conversation::{Conversation, Message, Role};
use super::reader::{Reader, Step, quoted};
use super::shape::{Optional, Reading, Seen, Shape, Text};

const NO_TOOLS: &str = "function tools are not supported yet: send the conversation as messages of roles `system`, `developer`, `user` and `assistant`";

/// `messages`. Each goes into the conversation as soon as it is read, so that a long one is held once.
pub(super) struct MessagesShape;

impl<'de> Shape<'de> for MessagesShape {
    type Value = Conversation<'de>;
    const EXPECTED: &'static str = "an array of messages";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Conversation<'de>, A::Error> {
        let mut conversation = Conversation::default();
        let mut index = 0;
        while let Some(message) = reader.member(&mut members, index, MessageShape)? {
            conversation.push(message);
            index += 1;
        }
        if index == 0 {
            return Err(
                reader.invalid("must not be empty: give at least one message of role `user`")
            );
        }
        Ok(conversation)
    }
}

struct MessageShape;

impl<'de> Shape<'de> for MessageShape {
    type Value = Message<'de>;
    const EXPECTED: &'static str = "a message object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Message<'de>, A::Error> {
        let mut role = None;
        let mut content = Content::Nothing;
        let mut refusal = None;
        while let Some(key) = reader.key(&mut fields)? {
            match key.as_ref() {
                "role" => role = Some(reader.field(&mut fields, "role", RoleShape)?),
                "content" => {
                    content = reader
                        .field(&mut fields, "content", Optional(ContentShape))?
                        .unwrap_or_default();
                }
                "refusal" => refusal = reader.field(&mut fields, "refusal", Optional(Text))?,
                "tool_calls" => nothing_in(reader, &mut fields, "tool_calls", NO_TOOLS)?,
                "function_call" => nothing_in(reader, &mut fields, "function_call", NO_TOOLS)?,
                "audio" => nothing_in(reader, &mut fields, "audio", "audio is not supported")?,
                "name" => {
                    if reader.field(&mut fields, "name", Optional(Text))?.is_some() {
                        reader.ignore("name")?;
                    }
                }
                // What an answer of ours carries and clients send back. Codex keeps reasoning to itself.
                "annotations" | "reasoning_content" => {
                    fields.next_value::<de::IgnoredAny>()?;
                }
                other => reader.unknown(&mut fields, other)?,
            }
        }
        let Some(role) = role else {
            return reader.at(Step::Key("role"), |reader| {
                Err(reader.invalid("required: `system`, `developer`, `user` or `assistant`"))
            });
        };
        let parts = check(reader, role, content, refusal)?;
        Ok(Message { role, parts })
    }
}

/// A field of OpenAI's messages that we take only when there is nothing in it.
fn nothing_in<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    fields: &mut A,
    name: &'static str,
    reason: &'static str,
) -> Result<(), A::Error> {
    reader.at(Step::Key(name), |reader| {
        let value = fields.next_value_seed(Reading {
            reader: &mut *reader,
            shape: Seen,
        })?;
        if value.is_empty() {
            Ok(())
        } else {
            Err(reader.unsupported(reason))
        }
    })
}

/// What a message of this role may hold.
fn check<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    role: Role,
    content: Content<'de>,
    refusal: Option<Cow<'de, str>>,
) -> Result<Vec<Part<'de>>, E> {
    let mut parts = reader.at(Step::Key("content"), |reader| {
        let parts = match content {
            Content::Text(text) => return Ok(vec![Part::Text(text)]),
            Content::Parts(parts) => parts,
            Content::Nothing => Vec::new(),
        };
        if parts.is_empty() && role != Role::Assistant {
            return Err(
                reader.invalid("required: a string, or an array of parts with something in it")
            );
        }
        for (index, part) in parts.iter().enumerate() {
            reader.at(Step::Index(index), |reader| match part {
                Part::Image(_) if role != Role::User => {
                    Err(reader.invalid("only messages of role `user` may hold images"))
                }
                Part::Refusal(_) if role != Role::Assistant => {
                    Err(reader.invalid("only messages of role `assistant` may hold a refusal"))
                }
                Part::Text(_) | Part::Image(_) | Part::Refusal(_) => Ok(()),
            })?;
        }
        Ok(parts)
    })?;
    match refusal {
        Some(refusal) if role == Role::Assistant => parts.push(Part::Refusal(refusal)),
        Some(refusal) if !refusal.is_empty() => {
            return reader.at(Step::Key("refusal"), |reader| {
                Err(reader.invalid("only messages of role `assistant` may hold a refusal"))
            });
        }
        Some(_) | None => {}
    }
    Ok(parts)
}

struct RoleShape;

impl<'de> Shape<'de> for RoleShape {
    type Value = Role;
    const EXPECTED: &'static str = "a string";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: super::shape::Scalar<'de>,
    ) -> Result<Role, E> {
        let role = Text.scalar(reader, scalar)?;
        match role.as_ref() {
            "system" | "developer" => Ok(Role::Developer),
            "user" => Ok(Role::User),
            "assistant" => Ok(Role::Assistant),
            "tool" | "function" => Err(reader.unsupported(NO_TOOLS)),
            other => Err(reader.invalid(&format!(
                "expected `system`, `developer`, `user` or `assistant`, found `{}`",
                quoted(other)
            ))),
        }
    }
}
