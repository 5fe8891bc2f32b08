//! The content blocks of a message.

use std::borrow::Cow;

use serde::de::{self, MapAccess};
use serde_json::value::RawValue;

use super::image::ImageSourceShape;
use super::result::{ResultContentShape, noted_parts};
use crate::json;
use crate::prompt::content::ContentPart;
use crate::prompt::conversation::OpaqueItem;
use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tools::FunctionNameShape;
use crate::reasoning_signature::ReasoningSignature;
use crate::tools::FunctionCall;

const TYPES: &str = "`text`, `image`, `tool_use`, `tool_result`, `thinking` or `redacted_thinking`";

/// A content block.
pub(super) enum ContentBlock<'de> {
    Text(Cow<'de, str>),
    /// The number of an attachment.
    Image(u32),
    ToolUse(FunctionCall<'de>),
    /// The result of the call with this id.
    ToolResult(Cow<'de, str>, Vec<ContentPart<'de>>),
    /// The model's reasoning. None if another API's model wrote it.
    Reasoning(Option<OpaqueItem<'de>>),
}

/// The members of a block as they are read: their order is the client's, and the type may come last.
#[derive(Default)]
struct BlockMembers<'de> {
    kind: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    source: Option<u32>,
    id: Option<Cow<'de, str>>,
    name: Option<Cow<'de, str>>,
    input: Option<Cow<'de, str>>,
    tool_use_id: Option<Cow<'de, str>>,
    content: Option<Vec<ContentPart<'de>>>,
    is_error: bool,
    thinking: Option<Cow<'de, str>>,
    signature: Option<Cow<'de, str>>,
    data: Option<Cow<'de, str>>,
}

pub(super) struct ContentBlockShape;

impl<'de> JsonShape<'de> for ContentBlockShape {
    type Value = ContentBlock<'de>;
    const EXPECTED: &'static str = "a block object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ContentBlock<'de>, A::Error> {
        let mut block = BlockMembers::default();
        read_members!(reader, fields, {
            "type" => value(block.kind, StringShape),
            "text" => value(block.text, StringShape),
            "source" => run {
                block.source = if block.may_be("image") {
                    Some(reader.field(&mut fields, "source", ImageSourceShape)?)
                } else {
                    fields.next_value::<de::IgnoredAny>().map(|_| None)?
                };
            },
            "id" => value(block.id, NonEmptyString),
            "name" => value(block.name, FunctionNameShape),
            "input" => run {
                let raw = fields.next_value::<&RawValue>()?;
                block.input = Some(reader.at(PathSegment::Key("input"), |reader| {
                    arguments(reader, raw)
                })?);
            },
            "tool_use_id" => value(block.tool_use_id, NonEmptyString),
            "content" => run {
                block.content = if block.may_be("tool_result") {
                    reader.nullable(&mut fields, "content", ResultContentShape)?
                } else {
                    fields.next_value::<de::IgnoredAny>().map(|_| None)?
                };
            },
            "is_error" => or_default(block.is_error, BooleanShape),
            "thinking" => value(block.thinking, StringShape),
            "signature" => value(block.signature, StringShape),
            "data" => value(block.data, StringShape),
            // Marks for Anthropic's cache, and members of answers that clients send back.
            "cache_control" | "citations" | "caller" | "toolset_name" => skip(),
        });
        block.check(reader)
    }
}

/// The input of a call as the model once wrote it, which is without whitespace: clients serialize it again.
fn arguments<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    raw: &'de RawValue,
) -> Result<Cow<'de, str>, E> {
    // Skipped JSON may have halves of surrogate pairs.
    let whole = json::replace_lone_surrogates(raw.get());
    match json::object_to_line(whole.as_deref().unwrap_or(raw.get())) {
        Some(line) => Ok(Cow::Owned(line)),
        None => Err(reader.invalid("expected an object")),
    }
}

impl<'de> BlockMembers<'de> {
    /// Whether the block is of this type, as far as is known.
    fn may_be(&self, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|known| known == kind)
    }

    /// The block, if it has the members that its type requires.
    fn check<E: de::Error>(self, reader: &mut Reader<'_>) -> Result<ContentBlock<'de>, E> {
        let Some(kind) = self.kind else {
            return Err(reader.invalid_member("type", &format!("required: {TYPES}")));
        };
        let mut required = |name: &'static str, value: Option<Cow<'de, str>>| {
            let message = || format!("required in a block of type `{kind}`");
            value.ok_or_else(|| reader.invalid_member(name, &message()))
        };
        Ok(match kind.as_ref() {
            "text" => ContentBlock::Text(required("text", self.text)?),
            "image" => match self.source {
                Some(number) => ContentBlock::Image(number),
                None => {
                    let message = "required in a block of type `image`";
                    return Err(reader.invalid_member("source", message));
                }
            },
            "tool_use" => ContentBlock::ToolUse(FunctionCall {
                id: required("id", self.id)?,
                name: required("name", self.name)?,
                arguments: required("input", self.input)?,
            }),
            "tool_result" => {
                let parts = noted_parts(self.content.unwrap_or_default(), self.is_error);
                ContentBlock::ToolResult(required("tool_use_id", self.tool_use_id)?, parts)
            }
            "thinking" => {
                let thinking = required("thinking", self.thinking)?;
                let signature = required("signature", self.signature)?;
                ContentBlock::Reasoning(reasoning(&signature, &thinking))
            }
            "redacted_thinking" => {
                ContentBlock::Reasoning(reasoning(&required("data", self.data)?, ""))
            }
            other => return Err(unknown_type(reader, other)),
        })
    }
}

fn unknown_type<E: de::Error>(reader: &mut Reader<'_>, kind: &str) -> E {
    reader.enter("type");
    reader.unsupported(&format!(
        "blocks of type `{}` are not supported; send {TYPES}",
        quoted(kind)
    ))
}

/// The item of the reasoning from which a block was made. None for a signature that is not this gateway's, or that has no
/// content: the model could not read the item.
fn reasoning<'de>(signature: &str, summary: &str) -> Option<OpaqueItem<'de>> {
    let ReasoningSignature {
        id,
        encrypted_content,
    } = ReasoningSignature::decode(signature)?;
    let encrypted_content = encrypted_content.filter(|content| !content.is_empty())?;
    let mut item = String::from(r#"{"type":"reasoning","id":"#);
    json::push_text(&mut item, &id);
    item.push_str(r#","summary":["#);
    if !summary.is_empty() {
        item.push_str(r#"{"type":"summary_text","text":"#);
        json::push_text(&mut item, summary);
        item.push('}');
    }
    item.push_str(r#"],"encrypted_content":"#);
    json::push_text(&mut item, &encrypted_content);
    item.push('}');
    Some(OpaqueItem {
        json: item.into(),
        is_digested: false,
    })
}
