//! The messages of `input`.

use serde::de::{self, MapAccess};

use super::content::{MessagePart, check_parts};
use crate::bindings::airlock::policy::types::Phase;
use crate::prompt::content::{ContentPart, ElementsShape};
use crate::prompt::conversation::{ConversationMessage, MessageRole};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

const ROLES: &str = "`system`, `developer`, `user` or `assistant`";

/// A `message` item.
pub(super) struct MessageItem;

impl<'de> JsonShape<'de> for MessageItem {
    type Value = ConversationMessage<'de>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut role, mut parts, mut phase) = (None, None, None);
        read_members!(reader, fields, {
            "role" => value(role, RoleShape),
            "content" => nullable(parts, ElementsShape::<MessagePart>::default()),
            "phase" => run {
                let stated = reader.nullable(&mut fields, "phase", StringShape)?;
                match stated.as_deref() {
                    Some("commentary") => phase = Some(Phase::Commentary),
                    Some("final_answer") => phase = Some(Phase::FinalAnswer),
                    Some(_) => reader.ignore("phase")?,
                    None => {}
                }
            },
            "type" | "id" | "status" => skip(),
        });
        let Some(role) = role else {
            return Err(reader.invalid_member("role", &format!("required: {ROLES}")));
        };
        let parts = parts.unwrap_or_default();
        reader.at(PathSegment::Key("content"), |reader| {
            check_content(reader, role, &parts)
        })?;
        let phase = phase.filter(|_| role == MessageRole::Assistant);
        Ok(ConversationMessage { role, parts, phase })
    }
}

/// Checks the content of a message by its role.
fn check_content<E: de::Error>(
    reader: &mut Reader<'_>,
    role: MessageRole,
    parts: &[ContentPart<'_>],
) -> Result<(), E> {
    if parts.is_empty() && role != MessageRole::Assistant {
        return Err(reader.invalid("required: a string, or an array of parts with something in it"));
    }
    check_parts(reader, Some(role), parts)
}

/// `role`.
struct RoleShape;

impl<'de> JsonShape<'de> for RoleShape {
    type Value = MessageRole;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<MessageRole, E> {
        let role = StringShape.scalar(reader, scalar)?;
        match role.as_ref() {
            "system" | "developer" => Ok(MessageRole::Developer),
            "user" => Ok(MessageRole::User),
            "assistant" => Ok(MessageRole::Assistant),
            "tool" => Err(reader.invalid(
                "messages have no role `tool` here: send an item of type `function_call_output` with `call_id` and `output`",
            )),
            other => Err(reader.invalid(&format!("expected {ROLES}, found `{}`", quoted(other)))),
        }
    }
}
