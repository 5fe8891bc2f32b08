//! The plan of a request: what depends on several fields of its body.

use super::body::Body;
use super::continuation::Terms;
use super::conversation;
use super::fan_out::Airlock;
use super::format::Format;
use super::options::DEFAULT_MODEL;
use super::problems::{invalid, missing, nested_fan_out};
use super::reader::Reader;
use super::tools::Function;
use crate::bindings::airlock::policy::types::{Brief, Problem, Selection};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{FanOut, Notes, Structure};
use crate::panel::Strategy;

/// No summary of the model's reasoning.
const NO_SUMMARY: &str = "none";

/// How the model is told of `response_format: {"type": "json_object"}`, which Codex has no field for.
const JSON_OBJECT_INSTRUCTIONS: &str = "Answer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

/// What depends on several fields. `nested` as in the request; `strategy` is that of a fan-out which names none.
pub(super) fn plan(
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
