//! `tools` of the Messages API: custom tools. Tools that Anthropic runs or defines are ignored or refused.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::problem::dotted;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tools::{FunctionNameShape, FunctionTool, FunctionTools, schema_of};

/// The beginnings of the types of tools that are ignored: the model can answer without them.
const IGNORED: [(&str, &str); 2] = [
    ("web_search_", "web_search"),
    ("tool_search_tool_", "tool_search"),
];

/// `tools`.
#[derive(Default)]
pub(super) struct MessagesTools<'de> {
    pub(super) functions: Vec<FunctionTool<'de>>,
    /// The names of the tools that are ignored.
    pub(super) ignored: Vec<Cow<'de, str>>,
}

pub(super) struct MessagesToolsShape;

impl<'de> JsonShape<'de> for MessagesToolsShape {
    type Value = MessagesTools<'de>;
    const EXPECTED: &'static str = "an array of tools";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut functions = FunctionTools::default();
        let mut ignored = Vec::new();
        let mut index = 0;
        while let Some(tool) = reader.member(&mut members, index, MessagesToolShape)? {
            match tool {
                MessagesTool::Custom(function) => {
                    let function = FunctionTool { index, ..function };
                    functions.push(reader, function, &[PathSegment::Key("name")])?;
                }
                MessagesTool::Ignored(name) => ignored.push(name),
            }
            index += 1;
        }
        Ok(MessagesTools {
            functions: functions.into_functions(),
            ignored,
        })
    }
}

enum MessagesTool<'de> {
    Custom(FunctionTool<'de>),
    /// A tool of Anthropic's that is ignored, by its name.
    Ignored(Cow<'de, str>),
}

struct MessagesToolShape;

impl<'de> JsonShape<'de> for MessagesToolShape {
    type Value = MessagesTool<'de>;
    const EXPECTED: &'static str = "a tool object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<MessagesTool<'de>, A::Error> {
        let path = dotted(&reader.path());
        let (mut kind, mut name, mut description) = (None, None, None);
        let (mut schema, mut strict) = (None, None);
        let mut others = Vec::new();
        while let Some(key) = reader.key(&mut fields)? {
            match key.as_ref() {
                "type" => kind = reader.nullable(&mut fields, "type", StringShape)?,
                "name" => name = Some(reader.field(&mut fields, "name", FunctionNameShape)?),
                "description" => {
                    description = reader.nullable(&mut fields, "description", StringShape)?;
                }
                "input_schema" => {
                    let raw = fields.next_value::<&RawValue>()?;
                    schema = reader.at(PathSegment::Key("input_schema"), |reader| {
                        schema_of(reader, raw)
                    })?;
                }
                "strict" => strict = reader.nullable(&mut fields, "strict", BooleanShape)?,
                // Marks for Anthropic's cache, and for when the definition and the input are sent.
                "cache_control" | "defer_loading" | "eager_input_streaming" => {
                    fields.next_value::<de::IgnoredAny>()?;
                }
                // Members of Anthropic's own tools are not named: the tool is.
                other => {
                    let raw = fields.next_value::<&RawValue>()?;
                    if raw.get() != "null" {
                        others.push(other.to_owned());
                    }
                }
            }
        }
        match kind.as_deref() {
            None | Some("custom") => {}
            Some(kind) => return without_schema(reader, kind, name),
        }
        for other in others {
            reader.ignore(&other)?;
        }
        let Some(name) = name else {
            return Err(reader.invalid_member("name", "required: the tool's name"));
        };
        let Some(parameters) = schema else {
            let message = "required: a JSON Schema of `\"type\": \"object\"`";
            return Err(reader.invalid_member("input_schema", message));
        };
        Ok(MessagesTool::Custom(FunctionTool {
            name,
            description: description.unwrap_or_default(),
            parameters,
            strict: strict.unwrap_or_default(),
            index: 0,
            path,
            schema_path: ".input_schema",
        }))
    }
}

/// A tool of Anthropic's, which has a type and no schema.
fn without_schema<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    kind: &str,
    name: Option<Cow<'de, str>>,
) -> Result<MessagesTool<'de>, E> {
    if let Some((_, tool)) = IGNORED.iter().find(|(prefix, _)| kind.starts_with(prefix)) {
        reader.ignore_at(PathSegment::Key("type"), tool)?;
        return Ok(MessagesTool::Ignored(name.unwrap_or(Cow::Borrowed(*tool))));
    }
    let message = format!(
        "tools of type `{}` are not supported; define a custom tool with `name`, `description` and `input_schema`",
        quoted(kind)
    );
    Err(reader.unsupported_member("type", &message))
}
