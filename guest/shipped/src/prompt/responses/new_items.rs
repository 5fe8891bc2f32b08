//! The items that a client adds to a conversation: checked as those of `input` are, and stored as the client wrote them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{self, SeqAccess};
use serde_json::value::RawValue;

use super::calls::CallOutputItem;
use super::input::InputItems;
use super::item_members::ItemMembers;
use crate::bindings::airlock::policy::types::StoredItem;
use crate::json;
use crate::prompt::reader::Reader;
use crate::prompt::shape::JsonShape;
use crate::prompt::typed::TypedObject;

/// The most items of a request, as in OpenAI's API.
const ITEMS_AT_MOST: usize = 20;

/// The most bytes of an item's identifier. The host takes more, but a path has it too.
const NEW_ID_AT_MOST: usize = 128;

/// `items`: at most 20.
pub(super) struct NewItemsShape;

/// An item that a client adds.
pub(super) struct NewItem<'de> {
    /// The client's identifier, if it can be one.
    id: Option<Cow<'de, str>>,
    /// The prefix of the identifier that it gets otherwise.
    prefix: &'static str,
    raw: &'de RawValue,
}

impl<'de> JsonShape<'de> for NewItemsShape {
    type Value = Vec<NewItem<'de>>;
    const EXPECTED: &'static str = "an array of items";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = TypedObject::next(
            reader,
            &mut members,
            items.len(),
            "an item object",
            |reader, object| NewItem::read(reader, items.len(), object),
        )? {
            if items.len() == ITEMS_AT_MOST {
                return Err(reader.invalid(&format!(
                    "at most {ITEMS_AT_MOST} items: add the others with POST /v1/conversations/{{conversation_id}}/items"
                )));
            }
            items.push(item);
        }
        Ok(items)
    }
}

impl<'de> NewItem<'de> {
    /// Reads the item of this index. The reader's path must be the item's.
    fn read<E: de::Error>(
        reader: &mut Reader<'_>,
        index: usize,
        object: &TypedObject<'de>,
    ) -> Result<Self, E> {
        let kind = object.kind.as_deref();
        match kind {
            // Its call may be in the conversation already.
            Some("function_call_output" | "custom_tool_call_output") => {
                object.read(reader, CallOutputItem)?;
            }
            Some("item_reference" | "compaction_trigger") => {
                let message = "cannot be stored: send the item itself";
                return Err(reader.unsupported_member("type", message));
            }
            _ => InputItems::default().read(reader, index, object)?,
        }
        let members = ItemMembers::of(object.raw.get());
        Ok(Self {
            id: members.text("id").filter(|id| is_identifier(id)),
            prefix: prefix(kind.unwrap_or("message")),
            raw: object.raw,
        })
    }

    /// The items to store, each with an identifier that is not `taken`: the client's, or one made of the request's seed.
    pub(super) fn stored<'a>(
        items: &'a [Self],
        mut taken: BTreeSet<&'a str>,
        seed: &str,
    ) -> Vec<StoredItem> {
        let items = items.iter().enumerate().map(|(index, item)| {
            let own = item.id.as_deref().filter(|id| taken.insert(id));
            StoredItem {
                id: match own {
                    Some(id) => id.to_owned(),
                    None => format!("{}_{seed}{index:04x}", item.prefix),
                },
                text: json::escape_line_ends(
                    json::object_to_line(item.raw.get()).unwrap_or_default(),
                ),
            }
        });
        items.collect()
    }
}

/// Whether a client's text can be the identifier of an item, which is a segment of paths.
pub(super) fn is_identifier(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NEW_ID_AT_MOST).contains(&text.len()) && text.bytes().all(fits)
}

/// The prefix of identifiers of items of this type.
pub(super) fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "reasoning" => "rs",
        "web_search_call" => "ws",
        "compaction" => "cmp",
        "additional_tools" => "at",
        _ => "item",
    }
}
