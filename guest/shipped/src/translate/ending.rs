//! How a response ends: the reason for which it is complete, or a problem.

use super::airlock_object::AirlockObject;
use crate::bindings::airlock::policy::types::{Ending, Problem, Shortfall, Usage};
use crate::problem::{turn_interrupted, upstream};

/// Why a response that succeeded ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinishReason {
    /// The model completed its answer.
    Completed,
    /// The answer reached one of the client's stop sequences.
    StopSequence,
    /// The model called functions of the client.
    Calls,
    MaxOutputTokens,
    ContentFilter,
}

/// The end of a response that succeeded.
#[derive(Debug)]
pub(super) struct ReplyEnd<'a> {
    pub(super) reason: FinishReason,
    /// The stop sequence that the answer reached.
    pub(super) stop_sequence: Option<&'a str>,
    /// The usage of all turns. None if Codex reported none.
    pub(super) usage: Option<Usage>,
    /// Only for a fan-out.
    pub(super) airlock: Option<AirlockObject<'a>>,
    /// The latest time of an event, in Unix seconds.
    pub(super) at: u64,
}

/// The reason, or the problem of a failed turn.
pub(super) fn finish_reason(ending: &Ending) -> Result<FinishReason, Problem> {
    match ending {
        Ending::Completed => Ok(FinishReason::Completed),
        Ending::HandedOff => Ok(FinishReason::Calls),
        Ending::Incomplete(Shortfall::MaxOutputTokens) => Ok(FinishReason::MaxOutputTokens),
        Ending::Incomplete(Shortfall::ContentFilter) => Ok(FinishReason::ContentFilter),
        Ending::Interrupted => Err(turn_interrupted()),
        Ending::Failed(problem) => Err(problem.clone()),
    }
}

/// Whether the problem is that the turn was interrupted.
pub(super) fn is_interruption(problem: &Problem) -> bool {
    *problem == turn_interrupted()
}

/// Text that was sent on a stream is void.
pub(super) fn stream_restarted() -> Problem {
    upstream(
        "stream_restarted",
        "part of the text that was sent is invalid: the model's stream broke and the retry differs, or Codex had \
         removed some of the text; send the request again, without `stream` if this happens twice",
    )
}
