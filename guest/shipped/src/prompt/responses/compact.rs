//! Compaction: a turn that summarises a conversation, requested with `POST /v1/responses/compact` or by a `compaction_trigger` at
//! the end of `input`.

use serde::de::MapAccess;

use super::body::ResponsesBody;
use super::listed_item::push_user_message;
use crate::bindings::airlock::policy::types::{ObjectKeys, Problem, Request, StoredItem};
use crate::notes::{CompactionNotes, DialectNotes, ResponsesNotes};
use crate::prompt::body::{Dialect, RequestBody, TurnRequestBody};
use crate::prompt::content::ContentPart;
use crate::prompt::conversation::{ConversationMessage, MessageRole};
use crate::prompt::parameters::Treatment::{Accepted, Honoured, Ignored};
use crate::prompt::parameters::{Parameter, Values};
use crate::prompt::problems::invalid;
use crate::prompt::reader::Reader;
use crate::prompt::request::{AnswerFormat, NeutralRequest};
use crate::prompt::tool_choice::ToolChoice;

/// The parameters of `POST /v1/responses/compact`.
#[rustfmt::skip] // A table reads by its rows.
const PARAMETERS: &[Parameter] = &[
    Parameter::row("model", Values::Text, Honoured, "required; `default` is the home's default model"),
    Parameter::row("input", Values::TextOrArray, Honoured, "as in a request for a response"),
    Parameter::row("instructions", Values::Text, Honoured, "as in a request for a response; the output does not have them"),
    Parameter::row("previous_response_id", Values::Text, Honoured, "the stored response that `input` continues"),
    Parameter::row("reasoning", Values::Object, Honoured, "`effort`"),
    Parameter::row("prompt_cache_key", Values::Text, Accepted, "Codex chooses its own"),
    Parameter::row("prompt_cache_retention", Values::Text, Accepted, "Codex chooses its own"),
    Parameter::row("prompt_cache_options", Values::Object, Accepted, "Codex chooses its own"),
    Parameter::row("image", Values::Object, Accepted, "images reach the model as they are"),
    Parameter::row("service_tier", Values::Text, Ignored, "the account decides"),
];

/// Asks for the summary. Earlier items keep their places before it, so that the model's cache applies to them.
const PROMPT: &str = "The conversation above is about to be cleared to make room, and will be continued from a summary. Write that summary now, and nothing else: do not answer the last message, do not continue the work, and call no tools.

The summary replaces the conversation for the one who continues it, who sees only the summary and, perhaps, the user's own messages. Write, in the language of the conversation:

- what the user wants, with every requirement, preference and correction that still applies, in the user's own words where the wording matters;
- what was done, found and decided, and why, with the exact names, paths, commands, numbers, quotations and code that will be needed again;
- what images and documents show, as far as it matters: they cannot be seen again;
- what failed, so that it is not tried again;
- the present state, what is open, and the next step.

Carry over what an earlier summary in the conversation says and is still true. Leave out pleasantries and what no longer matters.";

/// Requests to compact a conversation.
pub(in crate::prompt) struct CompactRequest;

impl Dialect for CompactRequest {
    type Body<'de> = CompactBody<'de>;
}

/// The body of a request to compact a conversation.
#[derive(Default)]
pub(in crate::prompt) struct CompactBody<'de>(ResponsesBody<'de>);

impl<'de> RequestBody<'de> for CompactBody<'de> {
    const PARAMETERS: &'static [Parameter] = PARAMETERS;

    fn begin(request: &'de Request) -> Self {
        Self(ResponsesBody::begin(request))
    }

    fn to_load(&self) -> Result<Option<ObjectKeys>, Problem> {
        self.0.to_load()
    }

    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        self.0.honour(name, reader, fields)
    }
}

impl<'de> TurnRequestBody<'de> for CompactBody<'de> {
    fn into_request(self, reader: &mut Reader<'_>) -> Result<NeutralRequest<'de>, Problem> {
        self.0.into_compaction(reader)
    }
}

/// Turns a request into one for the summary of its conversation, if it is to be compacted.
///
/// # Errors
///
/// `invalid-request` for a fan-out: of several summaries none could be chosen.
pub(super) fn compacted<'de>(
    mut request: NeutralRequest<'de>,
    compaction: Option<CompactionNotes>,
) -> Result<NeutralRequest<'de>, Problem> {
    let Some(compaction) = compaction else {
        return Ok(request);
    };
    if request.attempts > 1 {
        return Err(invalid(
            "parallel_calls",
            "must be 1 with a `compaction_trigger`",
        ));
    }
    let prompt = vec![ContentPart::Text(PROMPT.into())];
    let prompt = ConversationMessage::new(MessageRole::User, prompt);
    request.conversation.add_message(prompt);
    if let DialectNotes::Responses(notes) = &mut request.dialect {
        if matches!(compaction, CompactionNotes::Object { .. }) {
            // The object does not repeat the request.
            *notes = ResponsesNotes::default();
        }
        notes.compaction = Some(compaction);
    }
    Ok(NeutralRequest {
        // The answer is a summary, whatever the request says of answers.
        summary: None,
        verbosity: None,
        format: AnswerFormat::Text,
        tools: Vec::new(),
        tool_choice: ToolChoice::default(),
        raw_items: false,
        ..request
    })
}

/// What becomes of the summary of these items if it is an object of its own: the messages of the user come before it, without
/// their images, which stay with the host.
///
/// # Errors
///
/// `invalid-request` if there are no items.
pub(super) fn object<'a>(
    items: impl Iterator<Item = &'a StoredItem>,
) -> Result<CompactionNotes, Problem> {
    let mut messages = String::new();
    let mut is_empty = true;
    for item in items {
        is_empty = false;
        let end = messages.len();
        if end > 0 {
            messages.push(',');
        }
        if !push_user_message(&mut messages, item) {
            messages.truncate(end);
        }
    }
    if is_empty {
        return Err(invalid(
            "input",
            "there is nothing to compact: give at least one item",
        ));
    }
    Ok(CompactionNotes::Object { messages })
}
