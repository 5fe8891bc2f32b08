//! `input`: the conversation as a string or as items, each parsed by its type. Stored items before it, and those that it
//! refers to, are parsed in the same way.

mod items;

use std::borrow::Cow;

use serde::de::{self, SeqAccess};

use super::calls::{CallItem, CallOutputItem};
use super::compaction;
use super::message::MessageItem;
use super::opaque::{COMPACTION, OpaqueShape, REASONING, WEB_SEARCH_CALL};
use super::own_item::OwnItem;
use super::stored::{StoredOptions, unreadable};
use super::tools::ClientTool;
use crate::bindings::airlock::policy::types::{Problem, StoredItem};
use crate::prompt::content::{ContentPart, result_parts};
use crate::prompt::conversation::{
    CallMismatch, CallMismatchKind, ConversationBuilder, ConversationMessage, MessageRole,
    OpaqueItem,
};
use crate::prompt::problems::{invalid, quoted};
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar};
use crate::prompt::tools::{TOOLS_AT_MOST, too_many};
use crate::prompt::typed::TypedObject;

use items::{AdditionalToolsItem, CompactionTriggerItem, ReferenceItem};

/// The second number of the position of an item of the request itself.
const OWN: usize = 0;

/// The second number of the position of a stored item.
const STORED: usize = 1;

/// The path of the stored items that a request continues. It never reaches a client.
const CHAIN_PATH: &str = "loaded.objects[0].items";

/// The path of the stored items that a request refers to.
const ITEMS_PATH: &str = "loaded.items";

/// The member of the request by which it has what is at this path of a stored item. `chain` is the one that it continues
/// others by. None for what the request has itself.
pub(super) fn stored_param(path: &str, chain: &'static str) -> Option<&'static str> {
    if path.starts_with(CHAIN_PATH) {
        return Some(chain);
    }
    path.starts_with(ITEMS_PATH).then_some("input")
}

/// `input`, parsed.
#[derive(Default)]
pub(super) struct InputItems<'de> {
    pub(super) conversation: ConversationBuilder<'de>,
    /// The tools of `additional_tools` items, each name once.
    pub(super) tools: Vec<ClientTool<'de>>,
    /// The items of the request itself, without those before it.
    pub(super) own: Vec<OwnItem<'de>>,
    /// References to items that are not loaded: the index of each, and the identifier.
    pub(super) references: Vec<(usize, Cow<'de, str>)>,
    /// The first call or output that does not match. It counts once everything is loaded.
    mismatch: Option<CallMismatch>,
    /// Whether the items end with a `compaction_trigger`.
    pub(super) is_to_be_compacted: bool,
    /// Whether the item that is being read is stored.
    is_stored: bool,
    /// Whether the last item is part of a reply of the model.
    in_reply: bool,
}

/// `input` of a request that may continue stored items.
pub(super) struct InputShape<'s, 'de>(pub(super) &'s StoredOptions<'de>);

impl<'de> JsonShape<'de> for InputShape<'_, 'de> {
    type Value = InputItems<'de>;
    const EXPECTED: &'static str = "a string or an array of items";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let Scalar::Text(text) = scalar else {
            return Err(reader.wrong(Self::EXPECTED, scalar.kind()));
        };
        let mut input = self.begin(reader)?;
        input.own.push(OwnItem::of_text(&text));
        let parts = vec![ContentPart::Text(text)];
        input.add_message(ConversationMessage::new(MessageRole::User, parts));
        Ok(input.finish())
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut input = self.begin(reader)?;
        let mut index = 0;
        while let Some(()) = TypedObject::next(
            reader,
            &mut members,
            index,
            "an item object",
            |reader, object| {
                if input.is_to_be_compacted {
                    let message = "nothing may follow an item of type `compaction_trigger`";
                    return Err(reader.invalid(message));
                }
                if object.kind.as_deref() == Some("compaction_trigger") {
                    input.is_to_be_compacted = true;
                    return object.read(reader, CompactionTriggerItem);
                }
                if object.is_reference() {
                    let id = object.read(reader, ReferenceItem)?;
                    return input.refer(reader, index, id, self.0);
                }
                input.own.push(OwnItem::of(object));
                input.read(reader, index, object)
            },
        )? {
            index += 1;
        }
        Ok(input.finish())
    }
}

impl<'de> InputShape<'_, 'de> {
    /// The stored items that the request continues.
    fn begin<E: de::Error>(&self, reader: &mut Reader<'_>) -> Result<InputItems<'de>, E> {
        let mut input = InputItems::default();
        for (index, item) in self.0.chain().iter().enumerate() {
            let read = input.read_stored(reader, CHAIN_PATH, index, item);
            read.map_err(|found| {
                reader.fail(unreadable(self.0.chain_param(), item, found.as_ref()))
            })?;
        }
        Ok(input)
    }
}

impl<'de> InputItems<'de> {
    /// The stored items that a request without an `input` of its own continues.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read.
    pub(super) fn of_stored(
        reader: &mut Reader<'_>,
        stored: &StoredOptions<'de>,
    ) -> Result<Self, Problem> {
        let read: Result<Self, de::value::Error> = InputShape(stored).begin(reader);
        match read {
            Ok(input) => Ok(input.finish()),
            Err(_) => Err(reader
                .take_problem()
                .unwrap_or_else(|| invalid("previous_response_id", "cannot be read"))),
        }
    }

    fn finish(mut self) -> Self {
        let answered = self.conversation.check_answered();
        self.note_mismatch(answered);
        self
    }

    /// Fails if a call or output does not match.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.mismatch.map_or(Ok(()), |error| Err(misplaced(error)))
    }

    fn note_mismatch(&mut self, added: Result<(), CallMismatch>) {
        self.mismatch = self.mismatch.or(added.err());
    }

    /// Adds the stored item to which the item of this index refers.
    fn refer<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        id: Cow<'de, str>,
        stored: &StoredOptions<'de>,
    ) -> Result<(), E> {
        let Some((number, item)) = stored.item(&id) else {
            self.references.push((index, id));
            return Ok(());
        };
        self.own.push(OwnItem::of_stored(item));
        let read = self.read_stored(reader, ITEMS_PATH, number, item);
        read.map_err(|found| {
            let param = reader.path() + ".id";
            reader.fail(unreadable(&param, item, found.as_ref()))
        })
    }

    /// Reads a stored item, which is at this index of the array at `path`.
    fn read_stored(
        &mut self,
        reader: &Reader<'_>,
        path: &'static str,
        index: usize,
        item: &'de StoredItem,
    ) -> Result<(), Option<Problem>> {
        // What is ignored in it was reported to the request that it is from.
        let mut stored = reader.for_stored();
        self.is_stored = true;
        let read: Result<(), serde_json::Error> = stored.at(PathSegment::Key(path), |reader| {
            reader.at(PathSegment::Index(index), |reader| {
                let raw = serde_json::from_str(&item.text)?;
                let object = TypedObject::of(reader, raw, "an item object")?;
                self.read(reader, index, &object)
            })
        });
        self.is_stored = false;
        read.map_err(|_| stored.take_problem())
    }

    /// Reads the item of this index. The reader's path must be the item's.
    pub(super) fn read<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        object: &TypedObject<'de>,
    ) -> Result<(), E> {
        let position = (index, if self.is_stored { STORED } else { OWN });
        match object.kind.as_deref() {
            Some("message") => {
                let message = object.read(reader, MessageItem)?;
                self.add_message(message);
            }
            None if object.has_role => {
                let message = object.read(reader, MessageItem)?;
                self.add_message(message);
            }
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                let is_custom = kind == "custom_tool_call";
                let call = object.read(reader, CallItem { is_custom })?;
                self.continue_reply();
                let added = self.conversation.add_call(call, position);
                self.note_mismatch(added);
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                let output = object.read(reader, CallOutputItem)?;
                self.in_reply = false;
                let parts = result_parts(output.parts);
                let added = self.conversation.add_result(&output.call, parts, position);
                self.note_mismatch(added);
            }
            Some("reasoning") => {
                let json = object.read(reader, OpaqueShape(REASONING))?;
                self.add_opaque(json, false);
            }
            Some("web_search_call") => {
                let json = object.read(reader, OpaqueShape(WEB_SEARCH_CALL))?;
                self.add_opaque(json, true);
            }
            Some("compaction") => {
                let json = object.read(reader, OpaqueShape(COMPACTION))?;
                match compaction::summary(reader, json.as_deref().unwrap_or_default())? {
                    Some(message) => self.add_message(message),
                    None => self.add_opaque(json, true),
                }
            }
            Some("additional_tools") => {
                let tools = object.read(reader, AdditionalToolsItem)?;
                for tool in tools {
                    self.add_tool(reader, tool)?;
                }
            }
            kind => return Err(unsupported(reader, kind)),
        }
        Ok(())
    }

    /// Adds a tool. It replaces an earlier one of its name: clients send their tools again when they change.
    fn add_tool<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        tool: ClientTool<'de>,
    ) -> Result<(), E> {
        // The bound keeps the search short.
        let is_full = self.tools.len() == TOOLS_AT_MOST;
        let name = &tool.function.name;
        let mut tools = self.tools.iter_mut();
        match tools.find(|other| other.function.name == *name) {
            Some(earlier) => *earlier = tool,
            None if is_full => return Err(too_many(reader)),
            None => self.tools.push(tool),
        }
        Ok(())
    }

    fn add_message(&mut self, message: ConversationMessage<'de>) {
        if message.role == MessageRole::Assistant {
            self.continue_reply();
        } else {
            self.in_reply = false;
        }
        self.conversation.add_message(message);
    }

    /// Adds an item of the model, unless it is none.
    fn add_opaque(&mut self, json: Option<String>, is_digested: bool) {
        if let Some(json) = json {
            self.continue_reply();
            self.conversation.add_opaque(OpaqueItem {
                json: json.into(),
                is_digested,
            });
        }
    }

    /// The next item is the model's: it begins a reply unless the item before it was the model's too.
    fn continue_reply(&mut self) {
        if !self.in_reply {
            self.conversation.start_reply();
        }
        self.in_reply = true;
    }
}

/// Refuses an item of another type.
fn unsupported<E: de::Error>(reader: &mut Reader<'_>, kind: Option<&str>) -> E {
    let message = match kind {
        Some(other) => format!(
            "items of type `{}` are not supported; leave the item out",
            quoted(other)
        ),
        None => {
            let message = "required, except in a message with a `role` or a reference with an `id`";
            return reader.invalid_member("type", message);
        }
    };
    reader.unsupported_member("type", &message)
}

/// The error of a call or output.
fn misplaced(error: CallMismatch) -> Problem {
    match error.position {
        (index, OWN) => invalid(&format!("input[{index}].call_id"), reason(error.kind)),
        _ if error.kind == CallMismatchKind::MissingResult => invalid(
            "input",
            "the stored conversation ends with calls without an output: send an item of type `function_call_output` or `custom_tool_call_output` with the `call_id` of each",
        ),
        _ => invalid(
            "input",
            "the calls and outputs of the stored items do not match: send the whole conversation in `input`",
        ),
    }
}

fn reason(kind: CallMismatchKind) -> &'static str {
    match kind {
        CallMismatchKind::DuplicateCall => {
            "another call with this id has no output yet: each needs an id of its own"
        }
        CallMismatchKind::MissingResult => {
            "a call without an output: an item of type `function_call_output` or `custom_tool_call_output` with this `call_id` must follow"
        }
        CallMismatchKind::MissingCall => {
            "no call before it has this id: send the item of the call too, as the response returned it"
        }
        CallMismatchKind::DuplicateResult | CallMismatchKind::LateResult => {
            "the call of this id already has an output"
        }
    }
}
