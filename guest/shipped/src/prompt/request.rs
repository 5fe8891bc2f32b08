//! A request of any dialect, parsed: what `plan` makes a plan of.

use std::borrow::Cow;

use super::conversation::ConversationBuilder;
use super::fan_out::AirlockOptions;
use super::model_aliases::ModelAliases;
use super::options::selection;
use super::tool_choice::ToolChoice;
use super::tools::FunctionTool;
use crate::bindings::airlock::policy::types::{NewObject, ObjectLock, Selection};
use crate::notes::DialectNotes;

/// A request, parsed and checked field by field. What depends on several fields is checked by `plan`.
pub(super) struct NeutralRequest<'de> {
    pub(super) conversation: ConversationBuilder<'de>,
    /// Instructions beside the conversation. They come before those in it.
    pub(super) instructions: String,
    pub(super) model: Cow<'de, str>,
    /// Whether the response is a stream of server-sent events.
    pub(super) stream: bool,
    pub(super) effort: Option<Selection>,
    /// The requested reasoning summary: `auto`, `concise` or `detailed`.
    pub(super) summary: Option<&'static str>,
    /// How long the answer should be: `low`, `medium` or `high`.
    pub(super) verbosity: Option<&'static str>,
    pub(super) format: AnswerFormat,
    pub(super) tools: Vec<FunctionTool<'de>>,
    pub(super) tool_choice: ToolChoice<'de>,
    /// Whether only the first of several calls reaches the client.
    pub(super) single_call: bool,
    /// How many answers the response has, from 1. Each is a turn of its own.
    pub(super) choices: u32,
    /// How many attempts to make, from 1.
    pub(super) attempts: u32,
    pub(super) airlock: AirlockOptions<'de>,
    /// Whether the stream has the candidates of a fan-out.
    pub(super) shows_candidates: bool,
    /// Whether the stream ends with the usage, where that is the client's choice.
    pub(super) include_usage: bool,
    /// Sequences that end the answer.
    pub(super) stop: Vec<String>,
    /// Whether the reply needs each item of the model's output as the model made it.
    pub(super) raw_items: bool,
    /// How the response is stored.
    pub(super) storage: ResponseStorage,
    /// What only this dialect's reply needs.
    pub(super) dialect: DialectNotes,
    pub(super) paths: &'static FieldPaths,
}

impl NeutralRequest<'_> {
    /// Replaces the aliases of models by what they stand for.
    pub(super) fn resolve_models(&mut self, aliases: &ModelAliases) {
        if let Some(alias) = aliases.find(&self.model) {
            self.model = alias.model.clone().into();
            if self.effort.is_none() {
                self.effort = selection(alias.effort.clone(), "model");
            }
        }
        self.airlock.resolve_models(aliases);
    }
}

/// How a response is stored. The default is that it is not.
#[derive(Default)]
pub(super) struct ResponseStorage {
    pub(super) object: Option<NewObject>,
    /// The body that the client of a background response receives at once.
    pub(super) background: Option<String>,
    pub(super) lock: Option<ObjectLock>,
}

/// The form of the answer.
#[derive(Default)]
pub(super) enum AnswerFormat {
    #[default]
    Text,
    JsonObject,
    /// JSON that satisfies this schema, which is one line of JSON.
    JsonSchema(String),
}

/// A dialect's paths of fields that errors after parsing name.
pub(super) struct FieldPaths {
    /// The conversation: `messages`.
    pub(super) conversation: &'static str,
    /// The name of the only function that the model may call: `tool_choice.function.name`.
    pub(super) chosen_function: &'static str,
    /// The array of functions that the model may call, and the path of the name within an element.
    pub(super) allowed_function: (&'static str, &'static str),
}
