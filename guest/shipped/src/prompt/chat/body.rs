//! The body of a chat completion.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::PATHS;
use super::message::MessagesShape;
use super::parameters::PARAMETERS;
use super::response_format::ResponseFormatShape;
use super::stop::StopShape;
use super::stream_options::{StreamOptions, StreamOptionsShape};
use super::tool_choice::ToolChoiceShape;
use super::tools::ToolsShape;
use crate::bindings::airlock::policy::types::Problem;
use crate::notes::DialectNotes;
use crate::prompt::body::{RequestBody, TurnRequestBody};
use crate::prompt::conversation::ConversationBuilder;
use crate::prompt::fan_out::{ATTEMPTS_AT_MOST, AirlockOptions, AirlockOptionsShape};
use crate::prompt::options::{
    EffortShape, NonEmptyString, ReasoningOptions, ReasoningOptionsShape, VerbosityShape, selection,
};
use crate::prompt::parameters::Parameter;
use crate::prompt::problems::{invalid, missing};
use crate::prompt::reader::Reader;
use crate::prompt::request::{AnswerFormat, NeutralRequest, ResponseStorage};
use crate::prompt::shape::{BooleanShape, IntegerShape};
use crate::prompt::tool_choice::ToolChoice;
use crate::prompt::tools::FunctionTool;

/// The most choices of one response.
const CHOICES_AT_MOST: u32 = 20;

/// The body, parsed and checked field by field.
#[derive(Default)]
pub(in crate::prompt) struct ChatBody<'de> {
    conversation: Option<ConversationBuilder<'de>>,
    model: Option<Cow<'de, str>>,
    stream: bool,
    stream_options: Option<StreamOptions>,
    effort: Option<String>,
    reasoning: ReasoningOptions,
    include_reasoning: bool,
    format: AnswerFormat,
    verbosity: Option<&'static str>,
    stop: Vec<String>,
    tools: Vec<FunctionTool<'de>>,
    tool_choice: ToolChoice<'de>,
    /// Whether several calls at once may reach the client, if the body has the field.
    parallel_tool_calls: Option<bool>,
    /// How many choices the response has, if the body has the field.
    n: Option<u32>,
    /// How many attempts to make, if the body has the field.
    parallel_calls: Option<u32>,
    airlock: AirlockOptions<'de>,
}

impl<'de> RequestBody<'de> for ChatBody<'de> {
    const PARAMETERS: &'static [Parameter] = PARAMETERS;

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
            "verbosity" => self.verbosity = reader.nullable(fields, name, VerbosityShape)?,
            "stop" => self.stop = reader.or_default(fields, name, StopShape)?,
            "tools" => {
                self.tools = reader.or_default(fields, name, ToolsShape)?;
            }
            "tool_choice" => {
                self.tool_choice = reader.or_default(fields, name, ToolChoiceShape)?;
            }
            "parallel_tool_calls" => {
                self.parallel_tool_calls = reader.nullable(fields, name, BooleanShape)?;
            }
            "n" => self.n = reader.nullable(fields, name, IntegerShape(1, CHOICES_AT_MOST))?,
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

impl<'de> TurnRequestBody<'de> for ChatBody<'de> {
    fn into_request(self, _reader: &mut Reader<'_>) -> Result<NeutralRequest<'de>, Problem> {
        let Some(model) = self.model else {
            return Err(missing("model", "name a model of /v1/models, or `default`"));
        };
        let Some(conversation) = self.conversation else {
            let advice = "give at least one message of role `user`";
            return Err(missing("messages", advice));
        };
        if self.stream_options.is_some() && !self.stream {
            let message = "only allowed together with `stream: true`";
            return Err(invalid("stream_options", message));
        }
        let options = self.stream_options.unwrap_or_default();
        let effort = selection(self.effort, "reasoning_effort");
        let other = selection(self.reasoning.effort, "reasoning.effort");
        let default_summary = self.include_reasoning.then_some("auto");
        Ok(NeutralRequest {
            conversation,
            instructions: String::new(),
            model,
            stream: self.stream,
            effort: effort.or(other),
            summary: self.reasoning.summary.or(default_summary),
            verbosity: self.verbosity,
            format: self.format,
            tools: self.tools,
            tool_choice: self.tool_choice,
            single_call: self.parallel_tool_calls == Some(false),
            choices: self.n.unwrap_or(1),
            attempts: self.parallel_calls.unwrap_or(1),
            airlock: self.airlock,
            shows_candidates: options.include_candidates,
            include_usage: options.include_usage,
            stop: self.stop,
            raw_items: false,
            storage: ResponseStorage::default(),
            dialect: DialectNotes::Chat,
            paths: &PATHS,
        })
    }
}
