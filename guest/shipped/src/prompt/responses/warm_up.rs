//! Requests with `generate: false`: they are answered without a turn, and stored for the requests that continue them.

use super::storage::context;
use crate::bindings::airlock::policy::types::{ImmediateResponse, ObjectChange, Request};
use crate::notes::DialectNotes;
use crate::prompt::request::NeutralRequest;
use crate::stored_response::head;
use crate::translate::warm_up_response;

/// The response to such a request, which `parsed` was made of.
pub(in crate::prompt) fn warm_up(
    parsed: NeutralRequest<'_>,
    request: &Request,
) -> ImmediateResponse {
    let notes = match parsed.dialect {
        DialectNotes::Responses(notes) => notes,
        DialectNotes::Chat | DialectNotes::Messages(_) => Default::default(),
    };
    let response = warm_up_response(&context(request, &parsed.model), &notes);
    let mut changes = Vec::new();
    if let Some(mut object) = parsed.storage.object {
        object.head = head(&response.body);
        changes.push(ObjectChange::Put(object));
    }
    ImmediateResponse {
        body: if parsed.stream {
            String::new()
        } else {
            response.body
        },
        frames: if parsed.stream {
            response.frames
        } else {
            Vec::new()
        },
        changes,
    }
}
