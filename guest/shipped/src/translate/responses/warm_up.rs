//! The response to a request with `generate: false`, which has no output.

use super::events::EventWriter;
use super::object::{ResponseStatus, ResponseTemplate};
use crate::bindings::airlock::policy::types::Context;
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::notes::ResponsesNotes;
use crate::translate::heading::Heading;

/// A response without output, in both of its forms.
pub(crate) struct WarmUpResponse {
    /// The Response object, as one line of JSON.
    pub(crate) body: String,
    /// The stream.
    pub(crate) frames: Vec<Frame>,
}

/// The response to a request with `generate: false`.
pub(crate) fn warm_up_response(context: &Context, notes: &ResponsesNotes) -> WarmUpResponse {
    let heading = Heading::of(context);
    let template = ResponseTemplate::new(&heading, notes);
    let events = EventWriter::new(notes.websocket.as_ref());
    let event = |kind: &str, status: &ResponseStatus<'_>| {
        events.event(kind, template.length(status), |data| {
            data.push_str(r#","response":"#);
            template.push(data, status, |_| {});
        })
    };
    let begun = event("response.created", &ResponseStatus::in_progress());
    let completed = event(
        "response.completed",
        &ResponseStatus::without_output(heading.created),
    );
    let body = events.response_of(&completed).to_owned();
    let mut frames = vec![begun, completed];
    frames.extend(events.done());
    WarmUpResponse { body, frames }
}
