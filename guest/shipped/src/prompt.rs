//! Renders a chat completion request into a plan: one brief for Codex, or those of a fan-out.

mod any_value;
mod body;
mod calls;
mod content;
mod continuation;
mod conversation;
mod fan_out;
mod format;
mod members;
mod message;
mod options;
mod parameters;
mod plan;
mod problems;
mod reader;
mod schema;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod tool_choice;
mod tools;

use serde::de::DeserializeSeed;

use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Problem, Request};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::json;
use crate::panel::{self, Strategy};

use body::RequestBody;
use problems::{malformed, unknown_dialect};
use reader::Reader;
use settings::PolicySettings;
use shape::ShapeSeed;

pub use parameters::{Harmless, PARAMETERS, Parameter, Treatment, Values};

/// Renders a request into a plan, with the shipped strategies.
///
/// # Errors
///
/// As [`render_with`].
pub fn render(request: &Request) -> Result<Plan, Problem> {
    render_with(request, &panel::strategies())
}

/// Renders a request into a plan, for a policy whose panel has these strategies. The first is the default. Without
/// any, fan-outs are refused.
///
/// # Errors
///
/// `not-found` for an unknown dialect; `invalid-request` for a wrong field and `unsupported` for one that this gateway does
/// not support, both with the field's path; `internal` for settings that cannot be read.
pub fn render_with(request: &Request, strategies: &[Box<dyn Strategy>]) -> Result<Plan, Problem> {
    if request.dialect != DIALECT {
        return Err(unknown_dialect(&request.dialect));
    }
    let settings = PolicySettings::parse(&request.settings, strategies)?;
    let external = settings.external();
    let strategies = external.as_deref().unwrap_or(strategies);
    let reader = || Reader::new(&request.attachments, strategies, settings.strict);
    let replaced;
    let (body, reader) = match parse(&request.body, reader()) {
        Ok(parsed) => parsed,
        Err(problem) => {
            // Searched only in a body that could not be parsed: nearly every body has no such escape.
            replaced = json::replace_lone_surrogates(&request.body).ok_or(problem)?;
            parse(&replaced, reader())?
        }
    };
    let default = match &settings.synthesis {
        Some(name) => fan_out::strategy_named(strategies, name),
        None => strategies.first().map(AsRef::as_ref),
    };
    plan::plan(body, reader, request.nested, default)
}

/// Parses the body in one pass.
fn parse<'de, 'r>(
    body: &'de str,
    mut reader: Reader<'r>,
) -> Result<(RequestBody<'de>, Reader<'r>), Problem> {
    let mut source = serde_json::Deserializer::from_str(body);
    let result = ShapeSeed {
        reader: &mut reader,
        shape: body::RequestBodyShape,
    }
    .deserialize(&mut source)
    .and_then(|body| source.end().map(|()| body));
    match result {
        Ok(body) => Ok((body, reader)),
        Err(error) => Err(reader.take_problem().unwrap_or_else(|| malformed(&error))),
    }
}
