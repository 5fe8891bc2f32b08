//! The plan of a request: what depends on several of its fields, in every dialect.

use super::continuation::TurnInputs;
use super::conversation::{self, CodexConversation};
use super::options::{DEFAULT_MODEL, selection};
use super::problems::{invalid, nested_fan_out, unsupported_choices};
use super::reader::Reader;
use super::request::{AnswerFormat, NeutralRequest};
use super::tool_choice::ToolOffer;
use super::tools::FunctionTool;
use crate::bindings::airlock::policy::types::{Brief, InputItem, Problem, Selection};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{FanOutTerms, PlanNotes, Structure};
use crate::panel::Strategy;

/// Requests no reasoning summary.
const NO_SUMMARY: &str = "none";

/// The instructions for an answer that is any JSON object, for which Codex has no field.
const JSON_OBJECT_INSTRUCTIONS: &str = "Answer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

/// Makes the plan of a request. `nested` as in the request; `strategy` is the default strategy of a fan-out.
///
/// # Errors
///
/// `invalid-request` and `unsupported`, with the path of the field at fault.
pub(super) fn plan(
    mut request: NeutralRequest<'_>,
    mut reader: Reader<'_>,
    nested: bool,
    strategy: Option<&dyn Strategy>,
) -> Result<Plan, Problem> {
    request.resolve_models(&reader.settings.aliases);
    let CheckedFields {
        mut conversation,
        offer,
        terms,
    } = check(&mut request, &mut reader, nested, strategy)?;
    let (structure, output_schema) = structure(&mut request, &mut conversation.instructions);
    if let Some(call_instructions) = &offer.call_instructions {
        conversation::push_paragraph(&mut conversation.instructions, call_instructions);
    }
    let tools = !offer.functions.is_empty();
    let answer = answer(&mut request, conversation.input, output_schema, tools);
    let turns = turns(&mut request, answer, terms)?;

    let mut notes = PlanNotes {
        streaming: request.stream,
        include_usage: request.include_usage,
        reasoning: request.summary.is_some(),
        structure,
        effort: None,
        fan_out: turns.fan_out,
        choices: Some(request.choices).filter(|choices| *choices > 1),
        tools: None,
        stop: request.stop,
        dialect: request.dialect,
    };
    let mut resume = None;
    if let ([brief, ..], None) = (turns.briefs.as_slice(), &notes.fan_out) {
        notes.effort = brief.effort.as_ref().map(|effort| effort.param.clone());
    }
    if let ([brief], None) = (turns.briefs.as_slice(), &notes.fan_out) {
        let terms = TurnInputs {
            model: turns.model.as_ref(),
            instructions: &conversation.instructions,
            brief,
            offer: &offer,
            raw_items: request.raw_items,
        };
        notes.tools = conversation
            .digest
            .map(|digest| terms.tools(&digest, request.single_call));
        // The host looks up by the key whether a turn waits for these results.
        resume = conversation.answered.map(|answered| terms.resume(answered));
    }
    let functions = offer.functions.into_iter();
    Ok(Plan {
        streaming: request.stream,
        model: turns.model,
        instructions: conversation.instructions,
        history: conversation.history,
        tools: functions.map(FunctionTool::into_tool).collect(),
        resume,
        briefs: turns.briefs,
        notes: notes.to_text(),
        ignored: reader.into_ignored(),
        raw_items: request.raw_items,
        object: request.storage.object,
        background: request.storage.background,
        lock: request.storage.lock,
    })
}

/// The fields of a request that depend on one another, once they are checked.
struct CheckedFields<'de> {
    conversation: CodexConversation<'de>,
    offer: ToolOffer<'de>,
    /// None unless the request is a fan-out.
    terms: Option<FanOutTerms>,
}

/// Checks the fields that depend on one another, and moves them out of the request.
fn check<'de>(
    request: &mut NeutralRequest<'de>,
    reader: &mut Reader<'_>,
    nested: bool,
    strategy: Option<&dyn Strategy>,
) -> Result<CheckedFields<'de>, Problem> {
    if request.choices > 1 && request.attempts > 1 {
        let message = "not together with `parallel_calls`, which makes one answer of several attempts: leave one of them out, or give `1`";
        return Err(invalid("n", message));
    }
    if nested && request.choices > 1 {
        return Err(nested_fan_out("n"));
    }
    if nested && request.attempts > 1 {
        return Err(nested_fan_out("parallel_calls"));
    }
    let terms = request.airlock.terms(request.attempts, strategy, reader)?;
    let choice = std::mem::take(&mut request.tool_choice);
    let mut offer = choice.offer(std::mem::take(&mut request.tools), request.paths)?;
    if terms.is_some() {
        offer.withdraw(reader)?;
    }
    if request.choices > 1 && !offer.functions.is_empty() {
        return Err(unsupported_choices(
            "several answers cannot call the functions of `tools`. Leave it out, give `1`, or offer no function with `tool_choice: \"none\"`",
        ));
    }
    let offers = !offer.functions.is_empty();
    let mut conversation = std::mem::take(&mut request.conversation);
    conversation.prepend_instructions(std::mem::take(&mut request.instructions));
    // Several turns share the history, and each has its own input.
    let conversation = if terms.is_some() || request.choices > 1 {
        conversation.finish_as_history(reader.attachments, offers)
    } else {
        conversation.finish(reader.attachments, offers)
    };
    let Some(conversation) = conversation else {
        let message = "there is nothing to answer: add a message with content";
        return Err(invalid(request.paths.conversation, message));
    };
    Ok(CheckedFields {
        conversation,
        offer,
        terms,
    })
}

/// The form of the answer, and its schema. A form for which Codex has no field is appended to the instructions.
fn structure(
    request: &mut NeutralRequest<'_>,
    instructions: &mut String,
) -> (Structure, Option<String>) {
    match std::mem::take(&mut request.format) {
        AnswerFormat::Text => (Structure::Free, None),
        AnswerFormat::JsonObject => {
            conversation::push_paragraph(instructions, JSON_OBJECT_INSTRUCTIONS);
            (Structure::Object, None)
        }
        AnswerFormat::JsonSchema(schema) => (Structure::Schema, Some(schema)),
    }
}

/// The brief of the turn whose text is the answer: the only turn, or the synthesis.
fn answer(
    request: &mut NeutralRequest<'_>,
    input: Vec<InputItem>,
    output_schema: Option<String>,
    tools: bool,
) -> Brief {
    Brief {
        model: None,
        effort: request.effort.take(),
        // Explicit even if it is `none`: a home that requests summaries by default would pay for unused text.
        summary: Some(request.summary.unwrap_or(NO_SUMMARY).to_owned()),
        instructions: String::new(),
        input,
        output_schema,
        tools,
        verbosity: request.verbosity.map(str::to_owned),
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
    request: &mut NeutralRequest<'_>,
    answer: Brief,
    terms: Option<FanOutTerms>,
) -> Result<PlannedTurns, Problem> {
    let model = Some(std::mem::take(&mut request.model).into_owned())
        .filter(|model| model != DEFAULT_MODEL);
    let model = selection(model, "model");
    let briefs = |brief| {
        request
            .airlock
            .briefs(request.attempts, model.as_ref(), brief)
    };
    let Some(terms) = terms else {
        let mut briefs = briefs(answer)?;
        // The response names the model of the only turn.
        let own = briefs.iter_mut().find_map(|brief| brief.model.take());
        let choices = usize::try_from(request.choices).unwrap_or_default();
        // The last is not a copy.
        let briefs = briefs.into_iter();
        let briefs = briefs.flat_map(|brief| std::iter::repeat_n(brief, choices));
        return Ok(PlannedTurns {
            model: own.or(model),
            briefs: briefs.collect(),
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
        shown: request.shows_candidates,
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
