//! What a chat completion becomes: one brief for Codex.

mod body;
mod content;
mod conversation;
mod format;
mod message;
mod options;
mod parameters;
mod reader;
mod schema;
mod shape;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde::de::DeserializeSeed;

use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Brief, Effort, Problem, ProblemKind, Request};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{Notes, Structure};

use body::Body;
use format::Format;
use reader::Reader;
use shape::Reading;

pub use parameters::{Harmless, PARAMETERS, Parameter, Treatment, Values};

/// The model's name that stands for the default of Codex's home.
const DEFAULT_MODEL: &str = "default";

/// How the model is told of `response_format: {"type": "json_object"}`, which Codex has no field for.
const JSON_OBJECT_INSTRUCTIONS: &str = "Answer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

/// Turns a client's request into a plan.
///
/// # Errors
///
/// `not-found` for another dialect; `invalid-request` where the body is wrong and `unsupported` where it asks for
/// what this gateway does not do, both with the path of the field at fault; `internal` for unreadable settings.
pub fn render(request: &Request) -> Result<Plan, Problem> {
    if request.dialect != DIALECT {
        return Err(unknown_dialect(&request.dialect));
    }
    let settings = settings(&request.settings)?;
    let mut reader = Reader::new(&request.attachments, settings.strict);
    let body = read(&request.body, &mut reader)?;
    plan(body, reader)
}

/// Reads the body in one pass.
fn read<'de>(body: &'de str, reader: &mut Reader<'_>) -> Result<Body<'de>, Problem> {
    let mut source = serde_json::Deserializer::from_str(body);
    let result = Reading {
        reader: &mut *reader,
        shape: body::BodyShape,
    }
    .deserialize(&mut source)
    .and_then(|body| source.end().map(|()| body));
    result.map_err(|error| reader.take_problem().unwrap_or_else(|| malformed(&error)))
}

fn plan(body: Body<'_>, reader: Reader<'_>) -> Result<Plan, Problem> {
    let Some(model) = body.model else {
        return Err(missing("model", "name a model of /v1/models, or `default`"));
    };
    let Some(conversation) = body.conversation else {
        return Err(missing(
            "messages",
            "give at least one message of role `user`",
        ));
    };
    if body.stream_options.is_some() && !body.stream {
        return Err(invalid(
            "stream_options",
            "only allowed together with `stream: true`",
        ));
    }
    let Some(mut talk) = conversation.finish() else {
        return Err(invalid(
            "messages",
            "there is nothing to answer: add a message of role `user`",
        ));
    };

    let (structure, output_schema) = match body.format {
        Format::Text => (Structure::Free, None),
        Format::JsonObject => {
            conversation::push_paragraph(&mut talk.instructions, JSON_OBJECT_INSTRUCTIONS);
            (Structure::Object, None)
        }
        Format::JsonSchema(schema) => (Structure::Schema, Some(schema)),
    };
    let summary = body
        .reasoning
        .summary
        .or(body.include_reasoning.then_some("auto"));
    let notes = Notes {
        streaming: body.stream,
        include_usage: body
            .stream_options
            .is_some_and(|options| options.include_usage),
        reasoning: summary.is_some(),
        structure,
    };
    Ok(Plan {
        streaming: body.stream,
        brief: Brief {
            model: (model != DEFAULT_MODEL).then(|| model.into_owned()),
            effort: effort(body.effort, "reasoning_effort")
                .or(effort(body.reasoning.effort, "reasoning.effort")),
            // Said outright: a home that asks for summaries by itself would pay for words that nobody sees.
            summary: Some(summary.unwrap_or("none").to_owned()),
            instructions: talk.instructions,
            history: talk.history,
            input: talk.input,
            output_schema,
        },
        notes: notes.to_text(),
        ignored: reader.into_ignored(),
    })
}

fn effort(name: Option<String>, param: &str) -> Option<Effort> {
    let param = param.to_owned();
    name.map(|name| Effort { name, param })
}

/// What the host may set.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    /// Refuse what would be ignored.
    strict: bool,
}

fn settings(text: &str) -> Result<Settings, Problem> {
    if text.trim().is_empty() {
        return Ok(Settings::default());
    }
    // Fails closed: a gateway that was meant to be strict must not turn lenient by a slip.
    serde_json::from_str(text).map_err(|_| Problem {
        kind: ProblemKind::Internal,
        code: Some("invalid_settings".to_owned()),
        message:
            "the policy cannot read its settings: they must be an object like {\"strict\": true}"
                .to_owned(),
        param: None,
        retry_after_seconds: None,
    })
}

fn unknown_dialect(dialect: &str) -> Problem {
    Problem {
        kind: ProblemKind::NotFound,
        code: Some("unknown_dialect".to_owned()),
        message: format!(
            "the policy does not speak `{}`; it speaks `{DIALECT}`",
            reader::quoted(dialect)
        ),
        param: None,
        retry_after_seconds: None,
    }
}

/// The body is not JSON, or nests too deeply to be read.
fn malformed(error: &serde_json::Error) -> Problem {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let what = text.strip_suffix(&position).unwrap_or(&text);
    Problem {
        kind: ProblemKind::InvalidRequest,
        code: Some("invalid_json".to_owned()),
        message: format!(
            "the body is not valid JSON: {what}, at line {}, column {}",
            error.line(),
            error.column()
        ),
        param: None,
        retry_after_seconds: None,
    }
}

fn missing(param: &str, way_out: &str) -> Problem {
    invalid(param, &format!("required: {way_out}"))
}

fn invalid(param: &str, message: &str) -> Problem {
    Problem {
        kind: ProblemKind::InvalidRequest,
        code: None,
        message: format!("{param}: {message}"),
        param: Some(param.to_owned()),
        retry_after_seconds: None,
    }
}
