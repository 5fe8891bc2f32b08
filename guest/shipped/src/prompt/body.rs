//! The top level of the request's body.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::any_value::AnyShape;
use super::conversation::ConversationBuilder;
use super::fan_out::{ATTEMPTS_AT_MOST, AirlockOptions, AirlockOptionsShape};
use super::format::{ResponseFormat, ResponseFormatShape};
use super::message::MessagesShape;
use super::options::{
    EffortShape, NonEmptyString, ReasoningOptions, ReasoningOptionsShape, StreamOptions,
    StreamOptionsShape,
};
use super::parameters::{Parameter, ParameterAction, Treatment};
use super::reader::{PathSegment, Reader};
use super::shape::{BooleanShape, IntegerShape, JsonShape, ShapeSeed};
use super::tool_choice::{ToolChoice, ToolChoiceShape};
use super::tools::{FunctionTool, ToolsShape};

/// The body, parsed and checked field by field. What depends on several fields is checked by `plan`.
#[derive(Default)]
pub(super) struct RequestBody<'de> {
    pub(super) conversation: Option<ConversationBuilder<'de>>,
    pub(super) model: Option<Cow<'de, str>>,
    pub(super) stream: bool,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) effort: Option<String>,
    pub(super) reasoning: ReasoningOptions,
    pub(super) include_reasoning: bool,
    pub(super) format: ResponseFormat,
    pub(super) tools: Vec<FunctionTool<'de>>,
    pub(super) tool_choice: ToolChoice<'de>,
    /// Whether several calls at once may reach the client, if the body has the field.
    pub(super) parallel_tool_calls: Option<bool>,
    /// How many attempts to make, if the body has the field.
    pub(super) parallel_calls: Option<u32>,
    pub(super) airlock: AirlockOptions<'de>,
}

/// The shape of the body. Of a duplicate field the last one counts, as in other JSON parsers.
pub(super) struct RequestBodyShape;

impl<'de> JsonShape<'de> for RequestBodyShape {
    type Value = RequestBody<'de>;
    const EXPECTED: &'static str = "a JSON object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<RequestBody<'de>, A::Error> {
        let mut body = RequestBody::default();
        while let Some(key) = reader.key(&mut fields)? {
            let Some(parameter) = Parameter::named(&key) else {
                reader.unknown(&mut fields, &key)?;
                continue;
            };
            match parameter.treatment {
                Treatment::Honoured => body.honour(parameter.name, reader, &mut fields)?,
                Treatment::Accepted | Treatment::Ignored | Treatment::Refused(_) => {
                    let verdict = reader.at(PathSegment::Key(parameter.name), |reader| {
                        let value = fields.next_value_seed(ShapeSeed {
                            reader,
                            shape: AnyShape,
                        })?;
                        parameter.apply(reader, &value)
                    })?;
                    if matches!(verdict, ParameterAction::Ignore) {
                        reader.ignore(parameter.name)?;
                    }
                }
            }
        }
        Ok(body)
    }
}

impl<'de> RequestBody<'de> {
    /// How many attempts to make.
    pub(super) fn attempts(&self) -> u32 {
        self.parallel_calls.unwrap_or(1)
    }

    /// The requested reasoning summary.
    pub(super) fn summary(&self) -> Option<&'static str> {
        let default = self.include_reasoning.then_some("auto");
        self.reasoning.summary.or(default)
    }

    /// Reads the value of a parameter that is honoured.
    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "messages" => self.conversation = Some(reader.field(fields, name, MessagesShape)?),
            "model" => self.model = Some(reader.field(fields, name, NonEmptyString)?),
            "stream" => {
                self.stream = reader.or_default(fields, name, BooleanShape)?;
            }
            "stream_options" => {
                self.stream_options = reader.nullable(fields, name, StreamOptionsShape)?;
            }
            "reasoning_effort" => {
                self.effort = reader.nullable(fields, name, EffortShape)?;
            }
            "reasoning" => {
                self.reasoning = reader.or_default(fields, name, ReasoningOptionsShape)?;
            }
            "include_reasoning" => {
                self.include_reasoning = reader.or_default(fields, name, BooleanShape)?;
            }
            "response_format" => {
                self.format = reader.or_default(fields, name, ResponseFormatShape)?;
            }
            "tools" => {
                self.tools = reader.or_default(fields, name, ToolsShape)?;
            }
            "tool_choice" => {
                self.tool_choice = reader.or_default(fields, name, ToolChoiceShape)?;
            }
            "parallel_tool_calls" => {
                self.parallel_tool_calls = reader.nullable(fields, name, BooleanShape)?;
            }
            "parallel_calls" => {
                let shape = IntegerShape(1, ATTEMPTS_AT_MOST);
                self.parallel_calls = reader.nullable(fields, name, shape)?;
            }
            "airlock" => {
                self.airlock = reader.or_default(fields, name, AirlockOptionsShape)?;
            }
            _ => reader.unknown(fields, name)?,
        }
        Ok(())
    }
}
