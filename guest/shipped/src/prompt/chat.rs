//! Parses OpenAI's chat completions.

mod body;
mod calls;
mod content;
mod message;
mod parameters;
mod response_format;
mod stop;
mod stream_options;
mod tool_choice;
mod tools;

use super::body::Dialect;
use super::request::FieldPaths;

use body::ChatBody;

pub use parameters::PARAMETERS;

const PATHS: FieldPaths = FieldPaths {
    conversation: "messages",
    chosen_function: "tool_choice.function.name",
    allowed_function: ("tool_choice.allowed_tools.tools", ".function.name"),
};

/// Chat completions.
pub(super) struct ChatDialect;

impl Dialect for ChatDialect {
    type Body<'de> = ChatBody<'de>;
}
