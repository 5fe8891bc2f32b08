//! Chat completions: the stream of chunks, and the whole completion.

mod body;
mod choices;
mod stream;

use serde::Serialize;

use super::ending::FinishReason;
use super::heading::Heading;
use crate::bindings::airlock::policy::types::Problem;
use crate::problem::ErrorObject;

pub(super) use body::body;
pub(super) use choices::Choices;
pub(super) use stream::ChatStream;

/// The `finish_reason` of a choice that failed while others succeeded: OpenAI has none for it, and clients know only
/// OpenAI's. This one says that the content is not a whole answer.
const FAILED: &str = "length";

/// The member `airlock` of a choice that failed.
#[derive(Debug, Serialize)]
struct ChoiceFailure<'a> {
    error: ErrorObject<'a>,
}

impl<'a> ChoiceFailure<'a> {
    fn of(problem: &'a Problem) -> Self {
        Self {
            error: ErrorObject::of(problem),
        }
    }
}

/// The completion's id.
fn completion_id(heading: &Heading) -> String {
    ["chatcmpl-", heading.request_name()].concat()
}

/// OpenAI's `finish_reason`.
fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Completed | FinishReason::StopSequence => "stop",
        FinishReason::Calls => "tool_calls",
        FinishReason::MaxOutputTokens => "length",
        FinishReason::ContentFilter => "content_filter",
    }
}
