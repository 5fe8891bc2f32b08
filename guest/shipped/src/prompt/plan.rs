//! The plan of a request: what depends on several fields of its body.

use std::borrow::Cow;

use super::body::RequestBody;
use super::continuation::TurnInputs;
use super::conversation::{self, CodexConversation};
use super::format::ResponseFormat;
use super::options::DEFAULT_MODEL;
use super::problems::{invalid, missing, nested_fan_out};
use super::reader::Reader;
use super::tool_choice::ToolOffer;
use super::tools::FunctionTool;
use crate::bindings::airlock::policy::types::{Brief, InputItem, Problem, Selection};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{DialectNotes, FanOutTerms, PlanNotes, Structure};
use crate::panel::Strategy;

/// Requests no reasoning summary.
const NO_SUMMARY: &str = "none";

/// The instructions for `response_format: {"type": "json_object"}`, for which Codex has no field.
const JSON_OBJECT_INSTRUCTIONS: &str = "Answer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

/// Makes the plan of a request. `nested` as in the request; `strategy` is the default strategy of a fan-out.
///
/// # Errors
///
/// `invalid-request` and `unsupported`, with the path of the field at fault.
pub(super) fn plan(
    mut body: RequestBody<'_>,
    mut reader: Reader<'_>,
    nested: bool,
    strategy: Option<&dyn Strategy>,
) -> Result<Plan, Problem> {
    let CheckedFields {
        model,
        mut conversation,
        offer,
        terms,
    } = check(&mut body, &mut reader, nested, strategy)?;
    let (structure, output_schema) = structure(&mut body, &mut conversation.instructions);
    if let Some(call_instructions) = &offer.call_instructions {
        conversation::push_paragraph(&mut conversation.instructions, call_instructions);
    }
    let tools = !offer.functions.is_empty();
    let answer = answer(&mut body, conversation.input, output_schema, tools);
    let turns = turns(&body, model, answer, terms)?;

    let mut notes = PlanNotes {
        streaming: body.stream,
        include_usage: body.stream_options.unwrap_or_default().include_usage,
        reasoning: body.summary().is_some(),
        structure,
        effort: None,
        fan_out: turns.fan_out,
        tools: None,
        stop: Vec::new(),
        dialect: DialectNotes::Chat,
    };
    let mut resume = None;
    if let ([brief], None) = (turns.briefs.as_slice(), &notes.fan_out) {
        let terms = TurnInputs {
            model: turns.model.as_ref(),
            instructions: &conversation.instructions,
            brief,
            offer: &offer,
        };
        let single = body.parallel_tool_calls == Some(false);
        notes.effort = brief.effort.as_ref().map(|effort| effort.param.clone());
        notes.tools = conversation
            .digest
            .map(|digest| terms.tools(&digest, single));
        // The host looks up by the key whether a turn waits for these results.
        resume = conversation.answered.map(|answered| terms.resume(answered));
    }
    let functions = offer.functions.into_iter();
    Ok(Plan {
        streaming: body.stream,
        model: turns.model,
        instructions: conversation.instructions,
        history: conversation.history,
        tools: functions.map(FunctionTool::into_tool).collect(),
        resume,
        briefs: turns.briefs,
        notes: notes.to_text(),
        ignored: reader.into_ignored(),
        raw_items: false,
    })
}

/// The fields of a body that depend on one another, once they are checked.
struct CheckedFields<'de> {
    model: Cow<'de, str>,
    conversation: CodexConversation<'de>,
    offer: ToolOffer<'de>,
    /// None unless the request is a fan-out.
    terms: Option<FanOutTerms>,
}

/// Checks the fields that depend on one another, and moves them out of the body.
fn check<'de>(
    body: &mut RequestBody<'de>,
    reader: &mut Reader<'_>,
    nested: bool,
    strategy: Option<&dyn Strategy>,
) -> Result<CheckedFields<'de>, Problem> {
    let Some(model) = body.model.take() else {
        return Err(missing("model", "name a model of /v1/models, or `default`"));
    };
    let Some(conversation) = body.conversation.take() else {
        let advice = "give at least one message of role `user`";
        return Err(missing("messages", advice));
    };
    if body.stream_options.is_some() && !body.stream {
        let message = "only allowed together with `stream: true`";
        return Err(invalid("stream_options", message));
    }
    if nested && body.attempts() > 1 {
        return Err(nested_fan_out());
    }
    let terms = body.airlock.terms(body.attempts(), strategy, reader)?;
    let choice = std::mem::take(&mut body.tool_choice);
    let mut offer = choice.offer(std::mem::take(&mut body.tools))?;
    if terms.is_some() {
        offer.withdraw(reader)?;
    }
    let offers = !offer.functions.is_empty();
    let conversation = match terms {
        None => conversation.finish(reader.attachments, offers),
        Some(_) => conversation.finish_as_history(reader.attachments, offers),
    };
    let Some(conversation) = conversation else {
        let message = "there is nothing to answer: add a message with content";
        return Err(invalid("messages", message));
    };
    Ok(CheckedFields {
        model,
        conversation,
        offer,
        terms,
    })
}

/// The form of the answer, and its schema. A form for which Codex has no field is appended to the instructions.
fn structure(body: &mut RequestBody<'_>, instructions: &mut String) -> (Structure, Option<String>) {
    match std::mem::take(&mut body.format) {
        ResponseFormat::Text => (Structure::Free, None),
        ResponseFormat::JsonObject => {
            conversation::push_paragraph(instructions, JSON_OBJECT_INSTRUCTIONS);
            (Structure::Object, None)
        }
        ResponseFormat::JsonSchema(schema) => (Structure::Schema, Some(schema)),
    }
}

/// The brief of the turn whose text is the answer: the only turn, or the synthesis.
fn answer(
    body: &mut RequestBody<'_>,
    input: Vec<InputItem>,
    output_schema: Option<String>,
    tools: bool,
) -> Brief {
    let effort = selection(body.effort.take(), "reasoning_effort");
    let other = selection(body.reasoning.effort.take(), "reasoning.effort");
    Brief {
        model: None,
        effort: effort.or(other),
        // Explicit even if it is `none`: a home that requests summaries by default would pay for unused text.
        summary: Some(body.summary().unwrap_or(NO_SUMMARY).to_owned()),
        instructions: String::new(),
        input,
        output_schema,
        tools,
        verbosity: None,
    }
}

/// The turns of a plan.
struct PlannedTurns {
    model: Option<Selection>,
    briefs: Vec<Brief>,
    fan_out: Option<FanOutTerms>,
}

/// Plans the turns. `answer` is the brief of the answer's turn, `terms` are those of a fan-out.
fn turns(
    body: &RequestBody<'_>,
    model: Cow<'_, str>,
    answer: Brief,
    terms: Option<FanOutTerms>,
) -> Result<PlannedTurns, Problem> {
    let model = Some(model.into_owned()).filter(|model| model != DEFAULT_MODEL);
    let model = selection(model, "model");
    let briefs = |brief| body.airlock.briefs(body.attempts(), model.as_ref(), brief);
    let Some(terms) = terms else {
        let mut briefs = briefs(answer)?;
        // The response names the model of the only turn.
        let own = briefs.iter_mut().find_map(|brief| brief.model.take());
        return Ok(PlannedTurns {
            model: own.or(model),
            briefs,
            fan_out: None,
        });
    };
    let candidate = Brief {
        // A candidate's reasoning is not shown.
        summary: Some(NO_SUMMARY.to_owned()),
        ..answer.clone()
    };
    let briefs = briefs(candidate)?;
    let terms = FanOutTerms {
        shown: body.stream_options.unwrap_or_default().include_candidates,
        effort: answer.effort.map(|effort| (effort.name, effort.param)),
        summary: answer.summary,
        schema: answer.output_schema,
        ..terms
    };
    Ok(PlannedTurns {
        model,
        briefs,
        fan_out: Some(terms),
    })
}

fn selection(name: Option<String>, param: &str) -> Option<Selection> {
    let param = param.to_owned();
    name.map(|name| Selection { name, param })
}
