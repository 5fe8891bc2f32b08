//! What is stored of a response: its head while it runs, and its end.

use super::object::{ResponseStatus, ResponseTemplate};
use crate::bindings::airlock::policy::types::{Context, Problem};
use crate::bindings::exports::airlock::policy::translate::ObjectEnd;
use crate::notes::ResponsesNotes;
use crate::stored_response::{head, output_items};
use crate::translate::heading::Heading;

/// The Response object of a background response whose turn has not begun.
pub(crate) fn queued_response(context: &Context, notes: &ResponsesNotes) -> String {
    response(&Heading::of(context), notes, &ResponseStatus::queued())
}

/// Whether the response runs in the background.
pub(super) fn is_in_background(notes: &ResponsesNotes) -> bool {
    let stored = notes.stored.as_ref();
    stored.is_some_and(|stored| stored.background)
}

/// The head of a background response that has begun. None for any other.
pub(in crate::translate) fn begun_head(
    heading: &Heading,
    notes: &ResponsesNotes,
) -> Option<String> {
    let begun = || head(&response(heading, notes, &ResponseStatus::in_progress()));
    is_in_background(notes).then(begun)
}

/// The end of a response that is not streamed and has failed with this problem.
pub(in crate::translate) fn failed_whole(
    heading: &Heading,
    notes: &ResponsesNotes,
    problem: &Problem,
) -> Option<ObjectEnd> {
    if !is_in_background(notes) {
        return None;
    }
    let status = ResponseStatus::failed(problem, true);
    failed(notes, &response(heading, notes, &status))
}

/// The end of a response with this Response object, which has succeeded.
pub(in crate::translate) fn succeeded(notes: &ResponsesNotes, response: &str) -> Option<ObjectEnd> {
    notes.stored.as_ref().map(|stored| ObjectEnd {
        head: head(response),
        items: output_items(response),
        append_to: stored.conversation.clone(),
    })
}

/// The end of a response that has failed with this Response object. None unless it ran in the background: the client of any
/// other has received the failure.
pub(super) fn failed(notes: &ResponsesNotes, response: &str) -> Option<ObjectEnd> {
    is_in_background(notes).then(|| ObjectEnd {
        head: head(response),
        items: Vec::new(),
        append_to: None,
    })
}

/// The Response object without output.
fn response(heading: &Heading, notes: &ResponsesNotes, status: &ResponseStatus<'_>) -> String {
    let mut out = String::new();
    ResponseTemplate::new(heading, notes).push(&mut out, status, |_| {});
    out
}
