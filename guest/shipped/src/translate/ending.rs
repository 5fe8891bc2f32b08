//! How a response ends: OpenAI's `finish_reason`, or a problem.

use crate::bindings::airlock::policy::types::{Ending, Problem, Shortfall};
use crate::problem::upstream;

/// The `finish_reason`, or the problem of a failed turn.
pub(super) fn finish_reason(ending: &Ending) -> Result<&'static str, Problem> {
    match ending {
        Ending::Completed => Ok("stop"),
        Ending::HandedOff => Ok("tool_calls"),
        Ending::Incomplete(Shortfall::MaxOutputTokens) => Ok("length"),
        Ending::Incomplete(Shortfall::ContentFilter) => Ok("content_filter"),
        Ending::Interrupted => Err(interrupted()),
        Ending::Failed(problem) => Err(problem.clone()),
    }
}

pub(super) fn interrupted() -> Problem {
    upstream(
        "turn_interrupted",
        "the turn was interrupted before the answer was complete; send the request again",
    )
}
