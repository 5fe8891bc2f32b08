//! `tool_choice` of the Messages API.

use serde::de::MapAccess;

use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tool_choice::ToolChoice;
use crate::prompt::tools::FunctionNameShape;

const TYPES: &str = "`auto`, `any`, `tool` or `none`";

/// `tool_choice`.
#[derive(Default)]
pub(super) struct MessagesToolChoice<'de> {
    pub(super) choice: ToolChoice<'de>,
    /// `disable_parallel_tool_use`: only the first of several calls reaches the client.
    pub(super) single_call: bool,
}

pub(super) struct MessagesToolChoiceShape;

impl<'de> JsonShape<'de> for MessagesToolChoiceShape {
    type Value = MessagesToolChoice<'de>;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut kind, mut name, mut single_call) = (None, None, false);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "name" => nullable(name, FunctionNameShape),
            "disable_parallel_tool_use" => or_default(single_call, BooleanShape),
        });
        let choice = match (kind.as_deref(), name) {
            (Some("auto"), _) => ToolChoice::Auto,
            (Some("any"), _) => ToolChoice::Required,
            (Some("none"), _) => ToolChoice::None,
            (Some("tool"), Some(name)) => ToolChoice::Function(name),
            (Some("tool"), None) => {
                let message = "required with `type: \"tool\"`: the name of one of `tools`";
                return Err(reader.invalid_member("name", message));
            }
            (Some(other), _) => {
                let message = format!("expected {TYPES}, found `{}`", quoted(other));
                return Err(reader.invalid_member("type", &message));
            }
            (None, _) => return Err(reader.invalid_member("type", &format!("required: {TYPES}"))),
        };
        Ok(MessagesToolChoice {
            choice,
            single_call,
        })
    }
}
