//! The body of a request to the Messages API, and of one that only counts its tokens.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::PATHS;
use super::message::MessageArrayShape;
use super::options::{OutputConfig, OutputConfigShape};
use super::parameters::MESSAGES_PARAMETERS;
use super::system::SystemShape;
use super::thinking::{Thinking, ThinkingShape};
use super::tool_choice::{MessagesToolChoice, MessagesToolChoiceShape};
use super::tools::{MessagesTools, MessagesToolsShape};
use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::notes::{DialectNotes, MessagesNotes, ThinkingDisplay};
use crate::prompt::body::{RequestBody, TurnRequestBody};
use crate::prompt::conversation::ConversationBuilder;
use crate::prompt::fan_out::{ATTEMPTS_AT_MOST, AirlockOptions, AirlockOptionsShape};
use crate::prompt::options::{NonEmptyString, selection};
use crate::prompt::parameters::Parameter;
use crate::prompt::problems::{missing, problem};
use crate::prompt::reader::Reader;
use crate::prompt::request::{NeutralRequest, ResponseStorage};
use crate::prompt::shape::{BooleanShape, IntegerShape};
use crate::prompt::stop_sequences::StopSequences;
use crate::prompt::token_estimate::input_tokens;
use crate::prompt::tool_choice::ToolChoice;

/// The most stop sequences. Each costs time in every piece of the answer.
const SEQUENCES_AT_MOST: usize = 64;

/// The body, parsed and checked field by field.
#[derive(Default)]
pub(in crate::prompt) struct MessagesBody<'de> {
    conversation: Option<ConversationBuilder<'de>>,
    system: String,
    model: Option<Cow<'de, str>>,
    /// Whether `max_tokens` was given.
    is_bounded: bool,
    stream: bool,
    stop: Vec<String>,
    thinking: Thinking,
    output: OutputConfig,
    tools: MessagesTools<'de>,
    tool_choice: MessagesToolChoice<'de>,
    /// How many attempts to make, if the body has the field.
    parallel_calls: Option<u32>,
    airlock: AirlockOptions<'de>,
}

impl<'de> RequestBody<'de> for MessagesBody<'de> {
    const PARAMETERS: &'static [Parameter] = MESSAGES_PARAMETERS;

    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "messages" => {
                self.conversation = Some(reader.field(fields, name, MessageArrayShape)?);
            }
            "system" => self.system = reader.or_default(fields, name, SystemShape)?,
            "model" => self.model = Some(reader.field(fields, name, NonEmptyString)?),
            "stream" => self.stream = reader.or_default(fields, name, BooleanShape)?,
            "stop_sequences" => {
                let shape = StopSequences(SEQUENCES_AT_MOST);
                self.stop = reader.or_default(fields, name, shape)?;
            }
            "thinking" => self.thinking = reader.or_default(fields, name, ThinkingShape)?,
            "output_config" => self.output = reader.or_default(fields, name, OutputConfigShape)?,
            "tools" => self.tools = reader.or_default(fields, name, MessagesToolsShape)?,
            "tool_choice" => {
                self.tool_choice = reader.or_default(fields, name, MessagesToolChoiceShape)?;
            }
            "parallel_calls" => {
                let shape = IntegerShape(1, ATTEMPTS_AT_MOST);
                self.parallel_calls = reader.nullable(fields, name, shape)?;
            }
            "airlock" => self.airlock = reader.or_default(fields, name, AirlockOptionsShape)?,
            _ => reader.unknown(fields, name)?,
        }
        Ok(())
    }

    fn note_required(&mut self, _name: &'static str) {
        self.is_bounded = true;
    }
}

impl<'de> TurnRequestBody<'de> for MessagesBody<'de> {
    fn into_request(self, _reader: &mut Reader<'_>) -> Result<NeutralRequest<'de>, Problem> {
        let input_tokens = self.input_tokens()?;
        if !self.is_bounded {
            let advice = "the most tokens of the answer; it has no effect here";
            return Err(missing("max_tokens", advice));
        }
        if let ToolChoice::Function(name) = &self.tool_choice.choice
            && self.tools.ignored.contains(name)
        {
            let message = "the gateway does not run this tool, so that a call of it cannot be required; leave it out, or define a custom tool";
            let path = PATHS.chosen_function.to_owned();
            return Err(problem(ProblemKind::Unsupported, path, message));
        }
        let effort = selection(self.output.effort, "output_config.effort");
        let budget = self.thinking.effort.map(str::to_owned);
        let display = self.thinking.display;
        Ok(NeutralRequest {
            conversation: self.conversation.unwrap_or_default(),
            instructions: self.system,
            model: self.model.unwrap_or_default(),
            stream: self.stream,
            effort: effort.or_else(|| selection(budget, "thinking.budget_tokens")),
            summary: self.thinking.summary(),
            verbosity: None,
            format: self.output.format,
            tools: self.tools.functions,
            tool_choice: self.tool_choice.choice,
            single_call: self.tool_choice.single_call,
            choices: 1,
            attempts: self.parallel_calls.unwrap_or(1),
            airlock: self.airlock,
            shows_candidates: true,
            include_usage: false,
            stop: self.stop,
            // A signature needs the encrypted reasoning, which Codex passes out there alone.
            raw_items: display != ThinkingDisplay::Disabled,
            storage: ResponseStorage::default(),
            dialect: DialectNotes::Messages(MessagesNotes {
                input_tokens,
                thinking: display,
            }),
            paths: &PATHS,
        })
    }
}

impl MessagesBody<'_> {
    /// The estimated tokens of the input.
    ///
    /// # Errors
    ///
    /// `invalid-request` without a model or messages.
    pub(in crate::prompt) fn input_tokens(&self) -> Result<u64, Problem> {
        if self.model.is_none() {
            return Err(missing("model", "name a model of /v1/models, or `default`"));
        }
        let Some(conversation) = &self.conversation else {
            let advice = "give at least one message of role `user`";
            return Err(missing("messages", advice));
        };
        let tools = &self.tools.functions;
        Ok(input_tokens(
            conversation,
            &self.system,
            tools,
            &self.output.format,
        ))
    }
}
