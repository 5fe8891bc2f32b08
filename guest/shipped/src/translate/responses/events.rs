//! The events of a stream, each with the place for its sequence number at the end.

use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;
use crate::notes::WebSocketNotes;

/// The member at the end of every event. The host inserts the number before the brace.
const SEQUENCE_NUMBER: &str = r#","sequence_number":}"#;

/// The most bytes of an event besides its texts.
const EVENT_OVERHEAD: usize = 320;

/// Writes the events of one stream.
#[derive(Debug)]
pub(super) struct EventWriter {
    /// The JSON after an event's other members.
    after: String,
    is_websocket: bool,
}

impl EventWriter {
    /// The writer of a stream over HTTP, or over a WebSocket if there are notes.
    pub(super) fn new(websocket: Option<&WebSocketNotes>) -> Self {
        let mut after = String::new();
        if let Some(id) = websocket.and_then(|notes| notes.stream_id.as_deref()) {
            after.push_str(r#","stream_id":"#);
            json::push_text(&mut after, id);
        }
        after.push_str(SEQUENCE_NUMBER);
        Self {
            after,
            is_websocket: websocket.is_some(),
        }
    }

    /// The JSON after an event's other members, and the offset in it at which the host inserts the number.
    pub(super) fn after(&self) -> (&str, Option<u32>) {
        (&self.after, u32::try_from(self.after.len() - 1).ok())
    }

    /// An event of this type, whose members `write` appends: each begins with a comma.
    pub(super) fn event(
        &self,
        kind: &str,
        length: usize,
        write: impl FnOnce(&mut String),
    ) -> Frame {
        let mut data = String::with_capacity(length + EVENT_OVERHEAD);
        data.extend([r#"{"type":""#, kind, "\""]);
        write(&mut data);
        self.numbered(kind, data)
    }

    /// An event about a part of an item: `before` is its JSON before the text of `field`.
    pub(super) fn delta(&self, kind: &str, before: &str, text: &str) -> Frame {
        let length = before.len() + json::text_length(text) + self.after.len();
        let mut data = String::with_capacity(length);
        data.push_str(before);
        json::push_text(&mut data, text);
        self.numbered(kind, data)
    }

    /// The Response object in an event.
    pub(super) fn response_of<'a>(&self, event: &'a Frame) -> &'a str {
        let members = event.data.strip_suffix(&self.after).unwrap_or_default();
        let response = members.split_once(r#","response":"#);
        response.map_or("", |(_, response)| response)
    }

    fn numbered(&self, kind: &str, mut data: String) -> Frame {
        data.push_str(&self.after);
        Frame {
            event: Some(kind.to_owned()),
            number: u32::try_from(data.len() - 1).ok(),
            data,
        }
    }

    /// The frame that ends a stream over HTTP. It is no event, and has no number.
    pub(super) fn done(&self) -> Option<Frame> {
        let done = || Frame {
            event: None,
            data: "[DONE]".to_owned(),
            number: None,
        };
        (!self.is_websocket).then(done)
    }
}

/// The members that address an item.
pub(super) fn push_address(out: &mut String, id: &str, index: usize) {
    out.push_str(r#","item_id":"#);
    json::push_text(out, id);
    push_index(out, "output_index", index);
}

/// A member with an index.
pub(super) fn push_index(out: &mut String, name: &str, index: usize) {
    out.extend([",\"", name, "\":", &index.to_string()]);
}
