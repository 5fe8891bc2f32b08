//! What a chat completion becomes: a brief for Codex, or several of a fan-out.

mod body;
mod calls;
mod content;
mod continuation;
mod conversation;
mod fan_out;
mod format;
mod message;
mod options;
mod parameters;
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
use crate::bindings::airlock::policy::types::{Brief, Problem, ProblemKind, Request, Selection};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::json;
use crate::notes::{FanOut, Notes, Structure};
use crate::panel::{self, Strategy};

use body::Body;
use continuation::Terms;
use fan_out::Airlock;
use format::Format;
use reader::Reader;
use settings::Settings;
use shape::Reading;
use tools::Function;

pub use parameters::{Harmless, PARAMETERS, Parameter, Treatment, Values};

/// The model's name that stands for the default of Codex's home.
const DEFAULT_MODEL: &str = "default";

/// No summary of the model's reasoning.
const NO_SUMMARY: &str = "none";

/// How the model is told of `response_format: {"type": "json_object"}`, which Codex has no field for.
const JSON_OBJECT_INSTRUCTIONS: &str = "Answer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

/// Turns a client's request into a plan, with the shipped policy's strategies for a fan-out.
///
/// # Errors
///
/// As `render_with`.
pub fn render(request: &Request) -> Result<Plan, Problem> {
    render_with(request, &panel::strategies())
}

/// Turns a client's request into a plan, for a policy whose panel has these strategies. The first is the default of
/// a request and of settings that name none. Without any there is no fan-out.
///
/// # Errors
///
/// `not-found` for another dialect; `invalid-request` where the body is wrong and `unsupported` where it asks for
/// what this gateway does not do, both with the path of the field at fault; `internal` for unreadable settings.
pub fn render_with(request: &Request, strategies: &[Box<dyn Strategy>]) -> Result<Plan, Problem> {
    if request.dialect != DIALECT {
        return Err(unknown_dialect(&request.dialect));
    }
    let settings = Settings::read(&request.settings, strategies)?;
    let external = settings.external();
    let strategies = external.as_deref().unwrap_or(strategies);
    let reader = || Reader::new(&request.attachments, strategies, settings.strict);
    let whole;
    let (body, reader) = match read(&request.body, reader()) {
        Ok(read) => read,
        Err(problem) => {
            // Looked for only in what could not be read: nearly every body has none.
            whole = json::with_whole_escapes(&request.body).ok_or(problem)?;
            read(&whole, reader())?
        }
    };
    let default = match &settings.synthesis {
        Some(name) => fan_out::named(strategies, name),
        None => strategies.first().map(AsRef::as_ref),
    };
    plan(body, reader, request.nested, default)
}

/// Reads the body in one pass.
fn read<'de, 'r>(
    body: &'de str,
    mut reader: Reader<'r>,
) -> Result<(Body<'de>, Reader<'r>), Problem> {
    let mut source = serde_json::Deserializer::from_str(body);
    let result = Reading {
        reader: &mut reader,
        shape: body::BodyShape,
    }
    .deserialize(&mut source)
    .and_then(|body| source.end().map(|()| body));
    match result {
        Ok(body) => Ok((body, reader)),
        Err(error) => Err(reader.take_problem().unwrap_or_else(|| malformed(&error))),
    }
}

/// What depends on several fields. `nested` as in the request; `strategy` is that of a fan-out which names none.
fn plan(
    body: Body<'_>,
    mut reader: Reader<'_>,
    nested: bool,
    strategy: Option<&dyn Strategy>,
) -> Result<Plan, Problem> {
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
    let attempts = body.parallel_calls.unwrap_or(1);
    if nested && attempts > 1 {
        return Err(nested_fan_out());
    }
    let terms = body.airlock.terms(attempts, strategy, &mut reader)?;
    let mut offer = body.tool_choice.offer(body.tools)?;
    if terms.is_some() {
        offer.withdraw(&mut reader)?;
    }
    let offers = !offer.functions.is_empty();
    let talk = match terms {
        None => conversation.finish(reader.attachments, offers),
        Some(_) => conversation.finish_as_history(reader.attachments, offers),
    };
    let Some(mut talk) = talk else {
        return Err(invalid(
            "messages",
            "there is nothing to answer: add a message with something in it",
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
    if let Some(demand) = &offer.demand {
        conversation::push_paragraph(&mut talk.instructions, demand);
    }
    let summary = body
        .reasoning
        .summary
        .or(body.include_reasoning.then_some("auto"));
    let options = body.stream_options.unwrap_or_default();
    // What the answer's turn gets: the only one, or the synthesis.
    let answer = Brief {
        model: None,
        effort: selection(body.effort, "reasoning_effort")
            .or(selection(body.reasoning.effort, "reasoning.effort")),
        // Said outright: a home that asks for summaries by itself would pay for words that nobody sees.
        summary: Some(summary.unwrap_or(NO_SUMMARY).to_owned()),
        instructions: String::new(),
        input: talk.input,
        output_schema,
        tools: offers,
    };
    let model = (model != DEFAULT_MODEL)
        .then_some(model.into_owned())
        .and_then(|name| selection(Some(name), "model"));
    let mut turns = turns(&body.airlock, attempts, model, answer, terms)?;
    if let Some(terms) = &mut turns.fan_out {
        terms.shown = options.include_candidates;
    }

    let mut notes = Notes {
        streaming: body.stream,
        include_usage: options.include_usage,
        reasoning: summary.is_some(),
        structure,
        effort: None,
        fan_out: turns.fan_out,
        tools: None,
    };
    let mut resume = None;
    if let ([brief], None) = (turns.briefs.as_slice(), &notes.fan_out) {
        let terms = Terms {
            model: turns.model.as_ref(),
            instructions: &talk.instructions,
            brief,
            offer: &offer,
        };
        notes.effort = brief.effort.as_ref().map(|effort| effort.param.clone());
        let single = body.parallel_tool_calls == Some(false);
        let digest = talk.digest.as_deref();
        notes.tools = digest.map(|digest| terms.tools(digest, single));
        // Whether a turn waits for these results, its key will tell.
        resume = talk.answered.map(|answered| terms.resume(answered));
    }
    Ok(Plan {
        streaming: body.stream,
        model: turns.model,
        instructions: talk.instructions,
        history: talk.history,
        tools: offer
            .functions
            .into_iter()
            .map(Function::into_tool)
            .collect(),
        resume,
        briefs: turns.briefs,
        notes: notes.to_text(),
        ignored: reader.into_ignored(),
    })
}

/// The turns of a plan.
struct Turns {
    model: Option<Selection>,
    briefs: Vec<Brief>,
    fan_out: Option<FanOut>,
}

/// What each turn gets, where the answer's gets `answer`. `terms` are those of a fan-out; `model` is what the request
/// names, where that is not the home's default.
fn turns(
    airlock: &Airlock<'_>,
    attempts: u32,
    model: Option<Selection>,
    answer: Brief,
    terms: Option<FanOut>,
) -> Result<Turns, Problem> {
    let Some(terms) = terms else {
        let mut briefs = airlock.briefs(attempts, model.as_ref(), answer)?;
        // The only turn's model is the one that the answer is said to come from.
        let own = briefs.iter_mut().find_map(|brief| brief.model.take());
        return Ok(Turns {
            model: own.or(model),
            briefs,
            fan_out: None,
        });
    };
    let candidate = Brief {
        // Nobody sees the reasoning of a candidate.
        summary: Some(NO_SUMMARY.to_owned()),
        ..answer.clone()
    };
    let briefs = airlock.briefs(attempts, model.as_ref(), candidate)?;
    let terms = FanOut {
        effort: answer.effort.map(|effort| (effort.name, effort.param)),
        summary: answer.summary,
        schema: answer.output_schema,
        ..terms
    };
    Ok(Turns {
        model,
        briefs,
        fan_out: Some(terms),
    })
}

fn selection(name: Option<String>, param: &str) -> Option<Selection> {
    let param = param.to_owned();
    name.map(|name| Selection { name, param })
}

fn nested_fan_out() -> Problem {
    let message = "this request comes from a turn of a gateway like this one, which may not fan out again: leave it out, or give `1`";
    Problem {
        code: Some("nested_fan_out".to_owned()),
        ..invalid("parallel_calls", message)
    }
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
    reader::problem(ProblemKind::InvalidRequest, param.to_owned(), message)
}
