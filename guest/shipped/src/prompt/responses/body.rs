//! The body of a request for a response.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::PATHS;
use super::compact;
use super::echo::RequestEcho;
use super::input::{InputItems, InputShape, stored_param};
use super::options::{CandidateStreamShape, ConversationShape, IncludeShape, MetadataShape};
use super::parameters::RESPONSES_PARAMETERS;
use super::storage::ResolvedStorage;
use super::stored::StoredOptions;
use super::text::{ResponseTextOptions, ResponseTextOptionsShape};
use super::tool_choice::{ClientChoice, ClientChoiceShape};
use super::tools::{ClientTool, ClientTools};
use super::websocket::WebSocketMessage;
use crate::bindings::airlock::policy::types::{ObjectKeys, Problem, Request};
use crate::notes::{CompactionNotes, DialectNotes, ResponsesNotes};
use crate::prompt::body::{RequestBody, TurnRequestBody};
use crate::prompt::fan_out::{ATTEMPTS_AT_MOST, AirlockOptions, AirlockOptionsShape};
use crate::prompt::options::{NonEmptyString, ReasoningOptions, ReasoningOptionsShape, selection};
use crate::prompt::parameters::Parameter;
use crate::prompt::problems::{invalid, missing};
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::request::NeutralRequest;
use crate::prompt::shape::{BooleanShape, IntegerShape, StringShape};
use crate::prompt::token_estimate::input_tokens;
use crate::prompt::tools::{FunctionTool, FunctionTools};

/// The body, parsed and checked field by field.
#[derive(Default)]
pub(in crate::prompt) struct ResponsesBody<'de> {
    pub(super) input: Option<InputItems<'de>>,
    pub(super) model: Option<Cow<'de, str>>,
    instructions: Option<Cow<'de, str>>,
    stream: bool,
    /// Whether the stream has the candidates of a fan-out, if the body has `stream_options`.
    stream_options: Option<bool>,
    reasoning: ReasoningOptions,
    text: ResponseTextOptions,
    tools: ClientTools<'de>,
    tool_choice: ClientChoice<'de>,
    parallel_tool_calls: Option<bool>,
    encrypted_reasoning: bool,
    metadata: Vec<(Cow<'de, str>, Cow<'de, str>)>,
    safety_identifier: Option<Cow<'de, str>>,
    prompt_cache_key: Option<Cow<'de, str>>,
    parallel_calls: Option<u32>,
    airlock: AirlockOptions<'de>,
    stored: StoredOptions<'de>,
    /// What becomes of the answer, if it is to be a summary on a route of its own.
    compaction: Option<CompactionNotes>,
    generate: Option<bool>,
    websocket: WebSocketMessage<'de>,
}

impl<'de> RequestBody<'de> for ResponsesBody<'de> {
    const PARAMETERS: &'static [Parameter] = RESPONSES_PARAMETERS;

    fn begin(request: &'de Request) -> Self {
        Self {
            stored: StoredOptions::of(request),
            websocket: WebSocketMessage::of(request),
            ..Self::default()
        }
    }

    fn to_load(&self) -> Result<Option<ObjectKeys>, Problem> {
        self.websocket.check()?;
        let input = self.input.as_ref();
        self.stored
            .to_load(input.map_or(&[], |input| &input.references))
    }

    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "input" => self.input = reader.nullable(fields, name, InputShape(&self.stored))?,
            "instructions" => self.instructions = reader.nullable(fields, name, StringShape)?,
            "model" => self.model = reader.nullable(fields, name, NonEmptyString)?,
            "stream" => self.stream = reader.or_default(fields, name, BooleanShape)?,
            "stream_options" => {
                self.stream_options = reader.nullable(fields, name, CandidateStreamShape)?;
            }
            "reasoning" => {
                self.reasoning = reader.or_default(fields, name, ReasoningOptionsShape)?;
            }
            "text" => self.text = reader.or_default(fields, name, ResponseTextOptionsShape)?,
            "tools" => {
                self.tools = ClientTools::default();
                reader.or_default(fields, name, self.tools.shape())?;
            }
            "tool_choice" => {
                self.tool_choice = reader.or_default(fields, name, ClientChoiceShape)?;
            }
            "parallel_tool_calls" => {
                self.parallel_tool_calls = reader.nullable(fields, name, BooleanShape)?;
            }
            "include" => {
                self.encrypted_reasoning = reader.or_default(fields, name, IncludeShape)?;
            }
            "metadata" => self.metadata = reader.or_default(fields, name, MetadataShape)?,
            "safety_identifier" => {
                self.safety_identifier = reader.nullable(fields, name, StringShape)?;
            }
            "prompt_cache_key" => {
                self.prompt_cache_key = reader.nullable(fields, name, StringShape)?;
            }
            "parallel_calls" => {
                let shape = IntegerShape(1, ATTEMPTS_AT_MOST);
                self.parallel_calls = reader.nullable(fields, name, shape)?;
            }
            "airlock" => self.airlock = reader.or_default(fields, name, AirlockOptionsShape)?,
            "store" => self.stored.store = reader.nullable(fields, name, BooleanShape)?,
            "background" => {
                self.stored.background = reader.or_default(fields, name, BooleanShape)?;
            }
            "previous_response_id" => {
                self.stored.previous = reader.nullable(fields, name, NonEmptyString)?;
            }
            "conversation" => {
                self.stored.conversation = reader.nullable(fields, name, ConversationShape)?;
            }
            "generate" => self.generate = reader.nullable(fields, name, BooleanShape)?,
            "type" | "stream_id" => self.websocket.read(name, reader, fields)?,
            _ => reader.unknown(fields, name)?,
        }
        Ok(())
    }
}

impl<'de> TurnRequestBody<'de> for ResponsesBody<'de> {
    fn generates(&self) -> bool {
        self.generate != Some(false)
    }

    fn into_request(self, reader: &mut Reader<'_>) -> Result<NeutralRequest<'de>, Problem> {
        let mut storage = self.stored.resolve()?;
        let echo = self.echo(&storage);
        let stream = self.streams()?;
        let Some(model) = self.model else {
            return Err(missing("model", "name a model of /v1/models, or `default`"));
        };
        let Some(input) = self.input else {
            return Err(missing("input", "give a string, or an array of items"));
        };
        self.stored.check(&input)?;
        let compacts = self.compaction.is_none() && input.is_to_be_compacted;
        self.stored
            .check_conversation(compacts, self.generate != Some(false))?;
        let compaction = match self.compaction {
            None if compacts => {
                storage.detach();
                Some(CompactionNotes::Response)
            }
            requested => requested,
        };
        let mut tools = self.tools.tools;
        tools.extend(input.tools);
        let renamed_tools = tools.iter().filter_map(ClientTool::renamed).collect();
        let tool_choice = self.tool_choice.resolve(&tools)?;
        let (format, verbosity) = self.text.into_answer();
        let alias = reader.settings.aliases.find(&model);
        let runs = alias.map_or(&*model, |alias| &alias.model);
        let notes = ResponsesNotes {
            echo,
            encrypted_reasoning: self.encrypted_reasoning,
            renamed_tools,
            stored: storage.notes(),
            compaction: None,
            websocket: self.websocket.notes(),
        };
        let request = NeutralRequest {
            storage: storage.into_storage(input.own, runs, &notes),
            conversation: input.conversation,
            instructions: self.instructions.unwrap_or_default().into_owned(),
            model,
            stream,
            effort: selection(self.reasoning.effort, "reasoning.effort"),
            summary: self.reasoning.summary,
            verbosity,
            format,
            tools: functions(reader, tools, self.stored.chain_param())?,
            tool_choice,
            single_call: self.parallel_tool_calls == Some(false),
            choices: 1,
            attempts: self.parallel_calls.unwrap_or(1),
            airlock: self.airlock,
            shows_candidates: self.stream_options.unwrap_or(true),
            include_usage: true,
            stop: Vec::new(),
            raw_items: self.encrypted_reasoning,
            dialect: DialectNotes::Responses(notes),
            paths: &PATHS,
        };
        compact::compacted(request, compaction)
    }
}

impl<'de> ResponsesBody<'de> {
    /// As `into_request`, for a summary that becomes an object of its own and is not stored.
    pub(super) fn into_compaction(
        mut self,
        reader: &mut Reader<'_>,
    ) -> Result<NeutralRequest<'de>, Problem> {
        self.stored.store = Some(false);
        if self.input.is_none() && self.stored.previous.is_some() {
            self.input = Some(InputItems::of_stored(reader, &self.stored)?);
        }
        if let Some(input) = &mut self.input {
            self.stored.check(input)?;
            let own = self.stored.own_items(std::mem::take(&mut input.own));
            let items = self.stored.chain().iter().chain(&own);
            self.compaction = Some(compact::object(items)?);
        }
        self.into_request(reader)
    }
}

impl ResponsesBody<'_> {
    /// The estimated tokens of the input, as the API returns them.
    ///
    /// # Errors
    ///
    /// If what the request continues cannot be continued.
    pub(in crate::prompt) fn input_tokens(self) -> Result<String, Problem> {
        let input = self.input.unwrap_or_default();
        self.stored.check(&input)?;
        let tools = self.tools.tools.into_iter().chain(input.tools);
        let functions: Vec<FunctionTool<'_>> = tools.map(|it| it.function).collect();
        let (format, _) = self.text.into_answer();
        let instructions = self.instructions.unwrap_or_default();
        let tokens = input_tokens(&input.conversation, &instructions, &functions, &format);
        Ok(format!(
            r#"{{"object":"response.input_tokens","input_tokens":{tokens}}}"#
        ))
    }

    /// Whether the response is a stream.
    fn streams(&self) -> Result<bool, Problem> {
        let streams = self.stream || self.websocket.is_message;
        if self.stream_options.is_some() && !streams {
            let message = "only allowed together with `stream: true`";
            return Err(invalid("stream_options", message));
        }
        Ok(streams)
    }

    /// The members of the response that repeat the request, as JSON.
    fn echo(&self, storage: &ResolvedStorage<'_>) -> String {
        RequestEcho {
            instructions: self.instructions.as_deref(),
            tools: &self.tools.echo,
            tool_choice: &self.tool_choice,
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            text: &self.text,
            effort: self.reasoning.effort.as_deref(),
            summary: self.reasoning.summary,
            metadata: &self.metadata,
            safety_identifier: self.safety_identifier.as_deref(),
            prompt_cache_key: self.prompt_cache_key.as_deref(),
            storage,
        }
        .to_text()
    }
}

/// The functions that stand for the tools. `chain` is the member that names what the request continues.
fn functions<'de>(
    reader: &mut Reader<'_>,
    tools: Vec<ClientTool<'de>>,
    chain: &'static str,
) -> Result<Vec<FunctionTool<'de>>, Problem> {
    let mut functions = FunctionTools::default();
    for tool in tools {
        let [
            PathSegment::Key(array),
            PathSegment::Index(index),
            within @ ..,
        ] = tool.steps.as_slice()
        else {
            continue;
        };
        let name = [within, &[PathSegment::Key("name")]].concat();
        let function = FunctionTool {
            index: *index,
            ..tool.function
        };
        let added: Result<(), serde::de::value::Error> = reader
            .at(PathSegment::Key(array), |reader| {
                functions.push(reader, function, &name)
            });
        if added.is_err() {
            let problem = reader.take_problem();
            let problem = problem.unwrap_or_else(|| invalid(array, "cannot be read"));
            return Err(match stored_param(array, chain) {
                Some(param) => invalid(param, &unoffered(&problem)),
                None => problem,
            });
        }
    }
    let mut functions = functions.into_functions();
    for function in &mut functions {
        if let Some(param) = stored_param(&function.path, chain) {
            function.path = param.to_owned();
            function.schema_path = "";
        }
    }
    Ok(functions)
}

/// The message about a tool of the stored items that cannot be offered.
fn unoffered(found: &Problem) -> String {
    let param = found.param.as_deref().unwrap_or_default();
    let reason = found.message.strip_prefix(param).unwrap_or_default();
    format!("a tool of the stored items cannot be offered{reason}")
}
