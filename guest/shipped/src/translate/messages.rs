//! The Messages API: the stream of events, and the whole message.

mod body;
mod stream;
mod usage;

use super::ending::{FinishReason, ReplyEnd};
use super::heading::Heading;
use crate::json;

pub(super) use body::body;
pub(super) use stream::MessagesStream;

/// The message's id.
fn message_id(heading: &Heading) -> String {
    ["msg_", &heading.seed].concat()
}

/// Anthropic's `stop_reason`.
fn stop_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Completed => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Calls => "tool_use",
        FinishReason::MaxOutputTokens => "max_tokens",
        FinishReason::ContentFilter => "refusal",
    }
}

/// Appends the members about why the message ended.
fn push_stop(out: &mut String, end: &ReplyEnd<'_>) {
    out.push_str(r#""stop_reason":"#);
    json::push_text(out, stop_reason(end.reason));
    out.push_str(r#","stop_sequence":"#);
    out.push_str(&json::to_line(&end.stop_sequence));
}

/// The `input` of a call, which must be an object, as one line of JSON. Other arguments are wrapped as Anthropic
/// recommends for a call whose JSON is invalid.
fn input(arguments: &str) -> String {
    if arguments.is_empty() {
        return "{}".to_owned();
    }
    json::object_to_line(arguments).unwrap_or_else(|| {
        let mut wrapped = String::from(r#"{"INVALID_JSON":"#);
        json::push_text(&mut wrapped, arguments);
        wrapped.push('}');
        wrapped
    })
}
