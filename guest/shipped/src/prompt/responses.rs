//! Parses OpenAI's Responses API.

mod body;
mod calls;
mod compact;
mod compaction;
mod content;
pub(super) mod conversations;
mod custom_tool;
mod echo;
mod input;
mod item_members;
mod listed_item;
mod message;
mod names;
mod new_items;
mod opaque;
mod options;
mod own_item;
mod parameters;
mod retrieve;
mod storage;
mod stored;
#[cfg(test)]
mod tests;
mod text;
mod tool_choice;
mod tools;
mod warm_up;
mod websocket;

use super::body::Dialect;
use super::request::FieldPaths;

use body::ResponsesBody;

pub(super) use compact::CompactRequest;
pub(super) use retrieve::{cancel, delete, input_items, retrieve};
pub(super) use warm_up::warm_up;

pub use parameters::RESPONSES_PARAMETERS;

const PATHS: FieldPaths = FieldPaths {
    conversation: "input",
    chosen_function: "tool_choice.name",
    allowed_function: ("tool_choice.tools", ".name"),
};

/// The Responses API.
pub(super) struct ResponsesDialect;

impl Dialect for ResponsesDialect {
    type Body<'de> = ResponsesBody<'de>;
}
