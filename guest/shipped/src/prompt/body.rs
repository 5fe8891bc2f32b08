//! The top of the body: each field to who reads it.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::conversation::Conversation;
use super::fan_out::{ATTEMPTS_AT_MOST, Airlock, AirlockShape};
use super::format::{Format, FormatShape};
use super::message::MessagesShape;
use super::options::{Effort, Name, Reasoning, ReasoningShape, StreamOptions, StreamOptionsShape};
use super::parameters::{Parameter, Treatment, Verdict};
use super::reader::{Reader, Step};
use super::shape::{Boolean, Optional, Reading, Seen, Shape, Whole};
use super::tool_choice::{ToolChoice, ToolChoiceShape};
use super::tools::{Function, ToolsShape};

/// What a body says, read and checked field by field. What depends on several fields is checked by who uses it.
#[derive(Default)]
pub(super) struct Body<'de> {
    pub(super) conversation: Option<Conversation<'de>>,
    pub(super) model: Option<Cow<'de, str>>,
    pub(super) stream: bool,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) effort: Option<String>,
    pub(super) reasoning: Reasoning,
    pub(super) include_reasoning: bool,
    pub(super) format: Format,
    pub(super) tools: Vec<Function<'de>>,
    pub(super) tool_choice: ToolChoice<'de>,
    /// Whether several calls at once may reach the client, where the body says so.
    pub(super) parallel_tool_calls: Option<bool>,
    /// How many attempts to make, where the body says so.
    pub(super) parallel_calls: Option<u32>,
    pub(super) airlock: Airlock<'de>,
}

/// The whole body. Of a field given twice the last one counts, as JSON parsers have it.
pub(super) struct BodyShape;

impl<'de> Shape<'de> for BodyShape {
    type Value = Body<'de>;
    const EXPECTED: &'static str = "a JSON object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(key) = reader.key(&mut fields)? {
            let Some(parameter) = Parameter::named(&key) else {
                reader.unknown(&mut fields, &key)?;
                continue;
            };
            match parameter.treatment {
                Treatment::Honoured => body.honour(parameter.name, reader, &mut fields)?,
                Treatment::Accepted | Treatment::Ignored | Treatment::Refused(_) => {
                    let verdict = reader.at(Step::Key(parameter.name), |reader| {
                        let value = fields.next_value_seed(Reading {
                            reader,
                            shape: Seen,
                        })?;
                        parameter.judge(reader, &value)
                    })?;
                    if matches!(verdict, Verdict::Ignore) {
                        reader.ignore(parameter.name)?;
                    }
                }
            }
        }
        Ok(body)
    }
}

impl<'de> Body<'de> {
    /// How many attempts to make.
    pub(super) fn attempts(&self) -> u32 {
        self.parallel_calls.unwrap_or(1)
    }

    /// The reasoning summary that is asked for. None for none.
    pub(super) fn summary(&self) -> Option<&'static str> {
        let default = self.include_reasoning.then_some("auto");
        self.reasoning.summary.or(default)
    }

    /// Reads the value of a parameter that does something.
    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "messages" => self.conversation = Some(reader.field(fields, name, MessagesShape)?),
            "model" => self.model = Some(reader.field(fields, name, Name)?),
            "stream" => {
                self.stream = reader
                    .field(fields, name, Optional(Boolean))?
                    .unwrap_or_default();
            }
            "stream_options" => {
                self.stream_options = reader.field(fields, name, Optional(StreamOptionsShape))?;
            }
            "reasoning_effort" => self.effort = reader.field(fields, name, Optional(Effort))?,
            "reasoning" => {
                self.reasoning = reader
                    .field(fields, name, Optional(ReasoningShape))?
                    .unwrap_or_default();
            }
            "include_reasoning" => {
                self.include_reasoning = reader
                    .field(fields, name, Optional(Boolean))?
                    .unwrap_or_default();
            }
            "response_format" => {
                self.format = reader
                    .field(fields, name, Optional(FormatShape))?
                    .unwrap_or_default();
            }
            "tools" => {
                self.tools = reader
                    .field(fields, name, Optional(ToolsShape))?
                    .unwrap_or_default();
            }
            "tool_choice" => {
                self.tool_choice = reader
                    .field(fields, name, Optional(ToolChoiceShape))?
                    .unwrap_or_default();
            }
            "parallel_tool_calls" => {
                self.parallel_tool_calls = reader.field(fields, name, Optional(Boolean))?;
            }
            "parallel_calls" => {
                let shape = Optional(Whole(1, ATTEMPTS_AT_MOST));
                self.parallel_calls = reader.field(fields, name, shape)?;
            }
            "airlock" => {
                self.airlock = reader
                    .field(fields, name, Optional(AirlockShape))?
                    .unwrap_or_default();
            }
            _ => reader.unknown(fields, name)?,
        }
        Ok(())
    }
}
