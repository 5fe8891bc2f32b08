//! Parses requests of Anthropic's Messages API.

mod block;
mod body;
mod image;
mod message;
mod options;
mod parameters;
mod result;
mod system;
#[cfg(test)]
mod tests;
mod thinking;
mod tool_choice;
mod tools;

use super::body::Dialect;
use super::request::FieldPaths;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::problem::dotted;

use body::MessagesBody;

pub use parameters::MESSAGES_PARAMETERS;

const PATHS: FieldPaths = FieldPaths {
    conversation: "messages",
    chosen_function: "tool_choice.name",
    // The API has no choice among several.
    allowed_function: ("tool_choice", ""),
};

/// The code of a refusal of `thread`. The loops of tools in Anthropic's packages ask for a thread first, and know by this code
/// that they must send the whole conversation instead.
const NO_THREADS: &str = "thread_unsupported_request";

/// The Messages API.
pub(super) struct MessagesDialect;

impl Dialect for MessagesDialect {
    type Body<'de> = MessagesBody<'de>;
}

/// Writes the path of the field at fault as Anthropic does: `messages.1.content.0` for `messages[1].content[0]`. The refusal
/// of `thread` has its code.
pub(super) fn with_dotted_path(mut problem: Problem) -> Problem {
    if problem.kind == ProblemKind::Unsupported && problem.param.as_deref() == Some("thread") {
        problem.code = Some(NO_THREADS.to_owned());
    }
    if let Some(path) = &problem.param {
        let dotted = dotted(path);
        if let Some(rest) = problem.message.strip_prefix(path.as_str()) {
            problem.message = [&dotted, rest].concat();
        }
        problem.param = Some(dotted);
    }
    problem
}

/// As [`with_dotted_path`], for the refusals that the host makes of a plan.
pub(super) fn with_dotted_params(mut action: Action) -> Action {
    if let Action::Run(plan) = &mut action {
        for brief in &mut plan.briefs {
            for selection in brief.model.iter_mut().chain(&mut brief.effort) {
                selection.param = dotted(&selection.param);
            }
        }
    }
    action
}
