//! The items of a request itself, as they are stored for the requests that continue it.

use std::borrow::Cow;

use super::new_items::{is_identifier, prefix};
use crate::bindings::airlock::policy::types::StoredItem;
use crate::json;
use crate::prompt::typed::TypedObject;

/// The number in front of an item's index in its identifier. It distinguishes the items of a request from those of its output.
const INPUT: &str = "ff";

/// An item of a request.
pub(super) struct OwnItem<'de> {
    /// The client's identifier.
    id: Option<Cow<'de, str>>,
    /// The prefix of an identifier of this type of item.
    prefix: &'static str,
    /// JSON as the client sent it, perhaps on several lines.
    text: Cow<'de, str>,
}

impl<'de> OwnItem<'de> {
    pub(super) fn of(object: &TypedObject<'de>) -> Self {
        Self {
            id: object.id.clone(),
            prefix: prefix(object.kind.as_deref().unwrap_or("message")),
            text: Cow::Borrowed(object.raw.get()),
        }
    }

    /// The message of the user for which a string stands.
    pub(super) fn of_text(text: &str) -> Self {
        let mut message = String::from(
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"#,
        );
        json::push_text(&mut message, text);
        message.push_str("}]}");
        Self {
            id: None,
            prefix: prefix("message"),
            text: Cow::Owned(message),
        }
    }

    /// A copy of a stored item.
    pub(super) fn of_stored(item: &'de StoredItem) -> Self {
        Self {
            id: Some(Cow::Borrowed(&item.id)),
            prefix: "item",
            text: Cow::Borrowed(&item.text),
        }
    }

    /// The client's identifier, if it can be one.
    pub(super) fn identifier(&self) -> Option<Cow<'de, str>> {
        self.id.clone().filter(|id| is_identifier(id))
    }

    /// The item to store: with the client's identifier if it can be one and `keeps_id`, as no other item has it, or one that is made of the seed and the item's index.
    pub(super) fn into_stored(self, seed: &str, index: usize, keeps_id: bool) -> StoredItem {
        let id = self.id.filter(|id| keeps_id && is_identifier(id));
        StoredItem {
            id: id.map_or_else(
                || format!("{}_{seed}{INPUT}{index:04x}", self.prefix),
                Cow::into_owned,
            ),
            // A line break in JSON is only whitespace between tokens.
            text: if self.text.contains(['\n', '\r']) {
                self.text.replace(['\n', '\r'], " ")
            } else {
                self.text.into_owned()
            },
        }
    }
}
