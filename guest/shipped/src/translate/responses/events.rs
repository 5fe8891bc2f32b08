//! The events of a stream, each with the place for its sequence number at the end.

use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;

/// The JSON after an event's other members. The host inserts the number before the brace.
pub(super) const AFTER: &str = r#","sequence_number":}"#;

/// The most bytes of an event besides its texts.
const EVENT_OVERHEAD: usize = 320;

/// An event of this type, whose members `write` appends: each begins with a comma.
pub(super) fn event(kind: &str, length: usize, write: impl FnOnce(&mut String)) -> Frame {
    let mut data = String::with_capacity(length + EVENT_OVERHEAD);
    data.extend([r#"{"type":""#, kind, "\""]);
    write(&mut data);
    numbered(kind, data)
}

/// An event about a part of an item: `before` is its JSON before the text of `field`.
pub(super) fn delta(kind: &str, before: &str, text: &str) -> Frame {
    let length = before.len() + json::text_length(text) + AFTER.len();
    let mut data = String::with_capacity(length);
    data.push_str(before);
    json::push_text(&mut data, text);
    numbered(kind, data)
}

fn numbered(kind: &str, mut data: String) -> Frame {
    data.push_str(AFTER);
    Frame {
        event: Some(kind.to_owned()),
        number: u32::try_from(data.len() - 1).ok(),
        data,
    }
}

/// The frame that ends every stream. It is no event, and has no number.
pub(super) fn done() -> Frame {
    Frame {
        event: None,
        data: "[DONE]".to_owned(),
        number: None,
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
