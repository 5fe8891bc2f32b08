//! The content blocks of a message.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::image::ImageSourceShape;
use super::result::{ResultBlock, noted_parts};
use crate::json;
use crate::prompt::content::{ContentPart, ElementShape, ElementsShape};
use crate::prompt::conversation::OpaqueItem;
use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tools::FunctionNameShape;
use crate::prompt::typed::TypedObject;
use crate::reasoning_signature::ReasoningSignature;
use crate::tools::FunctionCall;

const TYPES: &str = "`text`, `image`, `tool_use`, `tool_result`, `thinking` or `redacted_thinking`";

/// What the content of a message or of a result may be.
pub(super) const BLOCKS: &str = "a string or an array of blocks";

/// The message about a member that a block lacks.
pub(super) const REQUIRED: &str = "required in a block of this type";

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

/// A block of a message.
pub(super) struct MessageBlock;

impl<'de> ElementShape<'de> for MessageBlock {
    type Element = ContentBlock<'de>;
    const EXPECTED: &'static str = BLOCKS;

    fn of_text(text: Cow<'de, str>) -> ContentBlock<'de> {
        ContentBlock::Text(text)
    }

    fn next<A: SeqAccess<'de>>(
        reader: &mut Reader<'_>,
        members: &mut A,
        index: usize,
    ) -> Result<Option<ContentBlock<'de>>, A::Error> {
        TypedObject::next(reader, members, index, "a block object", ContentBlock::read)
    }
}

impl<'de> ContentBlock<'de> {
    /// Reads a block by its type. The reader's path must be the block's.
    fn read<E: de::Error>(reader: &mut Reader<'_>, object: &TypedObject<'de>) -> Result<Self, E> {
        let Some(kind) = object.kind.as_deref() else {
            return Err(reader.invalid_member("type", &format!("required: {TYPES}")));
        };
        let shape = match kind {
            "text" => ContentBlockShape::Text,
            "image" => ContentBlockShape::Image,
            "tool_use" => ContentBlockShape::ToolUse,
            "tool_result" => ContentBlockShape::ToolResult,
            "thinking" => ContentBlockShape::Thinking,
            "redacted_thinking" => ContentBlockShape::RedactedThinking,
            other => return Err(unknown_type(reader, other)),
        };
        object.read(reader, shape)
    }
}

/// The members of a block as they are read.
#[derive(Default)]
struct BlockMembers<'de> {
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

/// A block of this type.
#[derive(Clone, Copy)]
enum ContentBlockShape {
    Text,
    Image,
    ToolUse,
    ToolResult,
    Thinking,
    RedactedThinking,
}

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
            "type" => skip(),
            "text" => value(block.text, StringShape),
            "source" => run {
                block.source = match self {
                    Self::Image => Some(reader.field(&mut fields, "source", ImageSourceShape)?),
                    _ => fields.next_value::<de::IgnoredAny>().map(|_| None)?,
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
                block.content = match self {
                    Self::ToolResult => {
                        let shape = ElementsShape::<ResultBlock>::default();
                        reader.nullable(&mut fields, "content", shape)?
                    },
                    _ => fields.next_value::<de::IgnoredAny>().map(|_| None)?,
                };
            },
            "is_error" => or_default(block.is_error, BooleanShape),
            "thinking" => value(block.thinking, StringShape),
            "signature" => value(block.signature, StringShape),
            "data" => value(block.data, StringShape),
            // Marks for Anthropic's cache, and members of answers that clients send back.
            "cache_control" | "citations" | "caller" | "toolset_name" => skip(),
        });
        block.check(reader, self)
    }
}

/// The input of a call as the model once wrote it, which is without whitespace: clients serialize it again.
fn arguments<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    raw: &'de RawValue,
) -> Result<Cow<'de, str>, E> {
    // Skipped JSON may have halves of surrogate pairs.
    let whole = json::without_lone_surrogates(Cow::Borrowed(raw.get()));
    match json::object_to_line(&whole) {
        Some(line) => Ok(Cow::Owned(line)),
        None => Err(reader.invalid("expected an object")),
    }
}

impl<'de> BlockMembers<'de> {
    /// The block, if it has the members that its type requires.
    fn check<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        shape: ContentBlockShape,
    ) -> Result<ContentBlock<'de>, E> {
        let mut required = |name: &'static str, value: Option<Cow<'de, str>>| {
            value.ok_or_else(|| reader.invalid_member(name, REQUIRED))
        };
        Ok(match shape {
            ContentBlockShape::Text => ContentBlock::Text(required("text", self.text)?),
            ContentBlockShape::Image => match self.source {
                Some(number) => ContentBlock::Image(number),
                None => return Err(reader.invalid_member("source", REQUIRED)),
            },
            ContentBlockShape::ToolUse => ContentBlock::ToolUse(FunctionCall {
                id: required("id", self.id)?,
                name: required("name", self.name)?,
                arguments: required("input", self.input)?,
            }),
            ContentBlockShape::ToolResult => {
                let parts = noted_parts(self.content.unwrap_or_default(), self.is_error);
                ContentBlock::ToolResult(required("tool_use_id", self.tool_use_id)?, parts)
            }
            ContentBlockShape::Thinking => {
                let thinking = required("thinking", self.thinking)?;
                let signature = required("signature", self.signature)?;
                ContentBlock::Reasoning(reasoning(&signature, &thinking))
            }
            ContentBlockShape::RedactedThinking => {
                ContentBlock::Reasoning(reasoning(&required("data", self.data)?, ""))
            }
        })
    }
}

fn unknown_type<E: de::Error>(reader: &mut Reader<'_>, kind: &str) -> E {
    let message = format!(
        "blocks of type `{}` are not supported; send {TYPES}",
        quoted(kind)
    );
    reader.unsupported_member("type", &message)
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
