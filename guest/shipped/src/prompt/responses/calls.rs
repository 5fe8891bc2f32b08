//! Calls of functions and custom tools, and their outputs.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::content::{MessagePart, check_parts};
use super::names::flat_name;
use crate::json;
use crate::prompt::content::{ContentPart, ElementsShape};
use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, StringShape};
use crate::prompt::tools::FunctionNameShape;
use crate::tools::FunctionCall;

/// A `function_call` or `custom_tool_call` item. The text of a custom tool is the argument `input` of the function that the model
/// knows.
pub(super) struct CallItem {
    pub(super) is_custom: bool,
}

impl<'de> JsonShape<'de> for CallItem {
    type Value = FunctionCall<'de>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        fields: A,
    ) -> Result<Self::Value, A::Error> {
        let text = if self.is_custom { "input" } else { "arguments" };
        let (call, text) = read_call(reader, fields, text)?;
        let arguments = if self.is_custom {
            let mut arguments = String::with_capacity(json::text_length(&text) + 12);
            arguments.push_str(r#"{"input":"#);
            json::push_text(&mut arguments, &text);
            arguments.push('}');
            Cow::Owned(arguments)
        } else {
            // The string contains JSON, which has escapes of its own.
            json::without_lone_surrogates(text)
        };
        Ok(FunctionCall { arguments, ..call })
    }
}

/// Reads a call, whose text is the member `text`.
fn read_call<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    mut fields: A,
    text: &'static str,
) -> Result<(FunctionCall<'de>, Cow<'de, str>), A::Error> {
    let (mut id, mut name, mut namespace, mut written) = (None, None, None, None);
    while let Some(key) = reader.key(&mut fields)? {
        match key.as_ref() {
            "call_id" => id = Some(reader.field(&mut fields, "call_id", NonEmptyString)?),
            "name" => name = Some(reader.field(&mut fields, "name", FunctionNameShape)?),
            "namespace" => {
                namespace = reader.nullable(&mut fields, "namespace", FunctionNameShape)?;
            }
            // OpenAI's client library leaves `parsed_arguments` in parsed calls.
            "type" | "id" | "status" | "caller" | "async" | "parsed_arguments" => {
                fields.next_value::<serde::de::IgnoredAny>()?;
            }
            key if key == text => written = Some(reader.field(&mut fields, text, StringShape)?),
            other => reader.unknown(&mut fields, other)?,
        }
    }
    let Some(id) = id else {
        return Err(reader.invalid_member("call_id", "required: the call's id"));
    };
    let Some(name) = name else {
        return Err(reader.invalid_member("name", "required: the tool's name"));
    };
    let Some(written) = written else {
        return Err(reader.invalid_member(text, "required: a string, as the model wrote it"));
    };
    let name = flat_name(namespace.as_deref(), name);
    let arguments = Cow::Borrowed("");
    let call = FunctionCall {
        id,
        name,
        arguments,
    };
    Ok((call, written))
}

/// A `function_call_output` or `custom_tool_call_output` item.
pub(super) struct CallOutputItem;

/// The output of a call.
pub(super) struct CallOutput<'de> {
    pub(super) call: Cow<'de, str>,
    pub(super) parts: Vec<ContentPart<'de>>,
}

impl<'de> JsonShape<'de> for CallOutputItem {
    type Value = CallOutput<'de>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut call, mut parts) = (None, None);
        read_members!(reader, fields, {
            "call_id" => value(call, NonEmptyString),
            "output" => value(parts, ElementsShape::<MessagePart>::default()),
            // The call has the name.
            "type" | "id" | "status" | "caller" | "name" | "namespace" => skip(),
        });
        let Some(call) = call else {
            let message = "required: the id of the call whose output this is";
            return Err(reader.invalid_member("call_id", message));
        };
        let Some(parts) = parts else {
            let message = "required: a string, or an array of parts";
            return Err(reader.invalid_member("output", message));
        };
        reader.at(PathSegment::Key("output"), |reader| {
            check_parts(reader, None, &parts)
        })?;
        Ok(CallOutput { call, parts })
    }
}
