//! Chat completions: the stream of chunks, and the whole completion.

mod body;
mod stream;

use super::ending::FinishReason;
use super::heading::Heading;

pub(super) use body::body;
pub(super) use stream::ChatStream;

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
