//! `input`: the conversation as a string or as items, each parsed by its type.

use serde::de::{self, SeqAccess};

use super::calls::{CallItem, OutputItem};
use super::compaction;
use super::message::MessageItem;
use super::opaque::{COMPACTION, OpaqueShape, REASONING, WEB_SEARCH_CALL};
use super::tools::{ClientTool, ClientTools};
use crate::prompt::content::{ContentPart, result_parts};
use crate::prompt::conversation::{
    CallMismatch, CallMismatchKind, ConversationBuilder, ConversationMessage, MessageRole,
    OpaqueItem,
};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar};
use crate::prompt::tools::{TOOLS_AT_MOST, too_many};
use crate::prompt::typed::TypedObject;
use crate::tools::FunctionCall;

/// `input`, parsed.
#[derive(Default)]
pub(super) struct InputItems<'de> {
    pub(super) conversation: ConversationBuilder<'de>,
    /// The tools of `additional_tools` items, each name once.
    pub(super) tools: Vec<ClientTool<'de>>,
    /// Whether the last item is part of a reply of the model.
    in_reply: bool,
}

pub(super) struct InputShape;

impl<'de> JsonShape<'de> for InputShape {
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
        let mut input = InputItems::default();
        let parts = vec![ContentPart::Text(text)];
        input
            .conversation
            .add_message(ConversationMessage::new(MessageRole::User, parts));
        Ok(input)
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut input = InputItems::default();
        let mut index = 0;
        while let Some(()) = TypedObject::next(
            reader,
            &mut members,
            index,
            "an item object",
            |reader, object| input.read(reader, index, object),
        )? {
            index += 1;
        }
        match input.conversation.check_answered() {
            Ok(()) => Ok(input),
            Err(error) => Err(misplaced(reader, error)),
        }
    }
}

impl<'de> InputItems<'de> {
    /// Reads the item of this index. The reader's path must be the item's.
    pub(super) fn read<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        object: &TypedObject<'de>,
    ) -> Result<(), E> {
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
                self.add_call(reader, index, call)?;
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                let output = object.read(reader, OutputItem)?;
                self.in_reply = false;
                let parts = result_parts(output.parts);
                let added = self
                    .conversation
                    .add_result(&output.call, parts, (index, 0));
                added.map_err(|error| misplaced_here(reader, error.kind))?;
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

    fn add_call<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        call: FunctionCall<'de>,
    ) -> Result<(), E> {
        self.continue_reply();
        let added = self.conversation.add_call(call, (index, 0));
        added.map_err(|error| misplaced_here(reader, error.kind))
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
        Some("item_reference") => {
            "items are not stored, so that an `id` refers to nothing; send the item itself"
                .to_owned()
        }
        Some("compaction_trigger") => {
            "compaction is not supported; leave the item out, or send a message that asks for a summary and begin the next `input` with the answer"
                .to_owned()
        }
        Some(other) => format!(
            "items of type `{}` are not supported; leave the item out",
            quoted(other)
        ),
        None => {
            let message = "required, except in a message with a `role`; an `id` alone refers to nothing, as items are not stored";
            return reader.invalid_member("type", message);
        }
    };
    reader.unsupported_member("type", &message)
}

/// The error of a call or output in `input`. The reader's path must be that of `input`.
fn misplaced<E: de::Error>(reader: &mut Reader<'_>, error: CallMismatch) -> E {
    let steps = [
        PathSegment::Index(error.position.0),
        PathSegment::Key("call_id"),
    ];
    reader.invalid_at(&steps, reason(error.kind))
}

/// The error of the current item, which is a call or output.
fn misplaced_here<E: de::Error>(reader: &mut Reader<'_>, kind: CallMismatchKind) -> E {
    reader.invalid_member("call_id", reason(kind))
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

/// An `additional_tools` item.
struct AdditionalToolsItem;

impl<'de> JsonShape<'de> for AdditionalToolsItem {
    type Value = Vec<ClientTool<'de>>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: de::MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut all = ClientTools::default();
        let mut tools = None;
        read_members!(reader, fields, {
            "type" | "id" | "role" => skip(),
            "tools" => run {
                // Of a duplicate member the last one counts.
                all = ClientTools::default();
                tools = Some(reader.field(&mut fields, "tools", all.shape())?);
            },
        });
        match tools {
            Some(()) => Ok(all.tools),
            None => Err(reader.invalid_member("tools", "required: an array of tools")),
        }
    }
}
