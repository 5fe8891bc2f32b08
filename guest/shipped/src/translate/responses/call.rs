//! A call as the client of the Responses API knows it: the function's, a custom tool's, or that of a namespace.

use std::borrow::Cow;

use serde::Deserialize;

use super::item_id;
use crate::json;
use crate::notes::RenamedTool;
use crate::tools::{FunctionCall, upstream_name};

/// A call with the client's names.
#[derive(Debug)]
pub(super) struct ResponseCall {
    /// The item's id.
    pub(super) id: String,
    /// Whether it is the call of a custom tool, whose input is text.
    pub(super) custom: bool,
    /// The arguments, or the input of a custom tool.
    pub(super) input: String,
    call_id: String,
    name: String,
    namespace: Option<String>,
}

/// The arguments of the function by which the model knows a custom tool.
#[derive(Deserialize)]
struct CustomArguments<'a> {
    #[serde(borrow)]
    input: Cow<'a, str>,
}

impl ResponseCall {
    /// The call at this index of the output.
    pub(super) fn of(
        call: &FunctionCall<'_>,
        renamed: &[RenamedTool],
        seed: &str,
        index: usize,
    ) -> Self {
        let tool = renamed
            .iter()
            .find(|tool| tool.function == call.name || tool.function == upstream_name(&call.name));
        let custom = tool.is_some_and(|tool| tool.custom);
        let prefix = if custom { "ctc" } else { "fc" };
        Self {
            id: item_id(prefix, seed, index),
            custom,
            input: if custom {
                custom_input(&call.arguments)
            } else {
                call.arguments.to_string()
            },
            call_id: call.id.to_string(),
            name: tool.map_or_else(|| call.name.to_string(), |tool| tool.name.clone()),
            namespace: tool.and_then(|tool| tool.namespace.clone()),
        }
    }

    /// Appends the item, in progress without its input or completed with it.
    pub(super) fn push_item(&self, out: &mut String, is_complete: bool) {
        out.push_str(r#"{"id":"#);
        json::push_text(out, &self.id);
        let field = if self.custom {
            out.push_str(r#","type":"custom_tool_call","call_id":"#);
            r#","input":"#
        } else {
            let status = if is_complete {
                "completed"
            } else {
                "in_progress"
            };
            out.extend([
                r#","type":"function_call","status":""#,
                status,
                r#"","call_id":"#,
            ]);
            r#","arguments":"#
        };
        json::push_text(out, &self.call_id);
        out.push_str(r#","name":"#);
        json::push_text(out, &self.name);
        if let Some(namespace) = &self.namespace {
            out.push_str(r#","namespace":"#);
            json::push_text(out, namespace);
        }
        out.push_str(field);
        json::push_text(out, if is_complete { &self.input } else { "" });
        out.push('}');
    }
}

/// The input in the arguments, or the arguments themselves if the model wrote something else.
fn custom_input(arguments: &str) -> String {
    serde_json::from_str::<CustomArguments<'_>>(arguments).map_or_else(
        |_| arguments.to_owned(),
        |arguments| arguments.input.into_owned(),
    )
}
