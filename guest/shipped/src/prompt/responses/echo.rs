//! The members of the Response object that repeat the request, with the values that are in effect: what is ignored has
//! its default.

use std::borrow::Cow;

use super::custom_tool::CustomFormat;
use super::storage::ResolvedStorage;
use super::text::{ResponseTextFormat, ResponseTextOptions};
use super::tool_choice::{ClientChoice, NamedTool};
use super::tools::FlatTool;
use crate::json;

/// What the response repeats of a request.
pub(super) struct RequestEcho<'a> {
    pub(super) instructions: Option<&'a str>,
    /// The elements of `tools`, as JSON.
    pub(super) tools: &'a str,
    pub(super) tool_choice: &'a ClientChoice<'a>,
    pub(super) parallel_tool_calls: bool,
    pub(super) text: &'a ResponseTextOptions,
    pub(super) effort: Option<&'a str>,
    pub(super) summary: Option<&'a str>,
    pub(super) metadata: &'a [(Cow<'a, str>, Cow<'a, str>)],
    pub(super) safety_identifier: Option<&'a str>,
    pub(super) prompt_cache_key: Option<&'a str>,
    pub(super) storage: &'a ResolvedStorage<'a>,
}

/// Members whose values do not depend on the request.
const CONSTANT: &str = r#","truncation":"disabled","top_p":1,"presence_penalty":0,"frequency_penalty":0,"top_logprobs":0,"temperature":1,"max_output_tokens":null,"max_tool_calls":null,"service_tier":"default""#;

impl RequestEcho<'_> {
    /// The text of a JSON object.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::with_capacity(
            CONSTANT.len() + self.tools.len() + self.instructions.map_or(0, str::len) + 512,
        );
        out.push_str(r#"{"instructions":"#);
        push_nullable(&mut out, self.instructions);
        out.push_str(r#","tools":["#);
        out.push_str(self.tools);
        out.push_str(r#"],"tool_choice":"#);
        push_choice(&mut out, self.tool_choice);
        out.push_str(r#","parallel_tool_calls":"#);
        push_boolean(&mut out, self.parallel_tool_calls);
        out.push_str(r#","text":"#);
        push_text_options(&mut out, self.text);
        out.push_str(r#","reasoning":{"effort":"#);
        push_nullable(&mut out, self.effort);
        out.push_str(r#","summary":"#);
        push_nullable(&mut out, self.summary);
        out.push_str(r#"},"metadata":"#);
        push_metadata(&mut out, self.metadata);
        out.push_str(r#","safety_identifier":"#);
        push_nullable(&mut out, self.safety_identifier);
        out.push_str(r#","prompt_cache_key":"#);
        push_nullable(&mut out, self.prompt_cache_key);
        out.push_str(CONSTANT);
        push_storage(&mut out, self.storage);
        out.push('}');
        json::escape_line_ends(out)
    }
}

/// Appends metadata as an object.
pub(super) fn push_metadata(out: &mut String, metadata: &[(Cow<'_, str>, Cow<'_, str>)]) {
    out.push('{');
    for (index, (name, value)) in metadata.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::push_text(out, name);
        out.push(':');
        json::push_text(out, value);
    }
    out.push('}');
}

/// Appends the members that say how the response is stored, and what it continues.
fn push_storage(out: &mut String, storage: &ResolvedStorage<'_>) {
    out.push_str(r#","store":"#);
    push_boolean(out, storage.is_stored());
    out.push_str(r#","background":"#);
    push_boolean(out, storage.is_in_background());
    out.push_str(r#","previous_response_id":"#);
    push_nullable(out, storage.previous.as_deref());
    if let Some(conversation) = &storage.conversation {
        out.push_str(r#","conversation":{"id":"#);
        json::push_text(out, conversation);
        out.push('}');
    }
}

/// Appends a tool to the elements of `tools`.
pub(super) fn push_tool(out: &mut String, tool: &FlatTool<'_>, custom: bool) {
    separate(out);
    out.push_str(r#"{"type":"#);
    json::push_text(out, if custom { "custom" } else { "function" });
    out.push_str(r#","name":"#);
    json::push_text(out, &tool.name);
    out.push_str(r#","description":"#);
    push_nullable(out, tool.description.as_deref());
    if custom {
        push_format(out, tool.format.as_ref());
    } else {
        out.push_str(r#","parameters":"#);
        out.push_str(tool.parameters.as_deref().unwrap_or("null"));
        out.push_str(r#","strict":"#);
        push_boolean(out, tool.strict.unwrap_or_default());
    }
    out.push('}');
}

fn push_format(out: &mut String, format: Option<&CustomFormat<'_>>) {
    out.push_str(r#","format":{"type":"#);
    match format {
        None | Some(CustomFormat::Text) => out.push_str(r#""text""#),
        Some(CustomFormat::Grammar { syntax, definition }) => {
            out.push_str(r#""grammar","syntax":"#);
            json::push_text(out, syntax);
            out.push_str(r#","definition":"#);
            json::push_text(out, definition);
        }
    }
    out.push('}');
}

/// Appends a namespace to the elements of `tools`. `tools` are its own.
pub(super) fn push_namespace(out: &mut String, name: &str, description: &str, tools: &str) {
    separate(out);
    out.push_str(r#"{"type":"namespace","name":"#);
    json::push_text(out, name);
    out.push_str(r#","description":"#);
    json::push_text(out, description);
    out.push_str(r#","tools":["#);
    out.push_str(tools);
    out.push_str("]}");
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

fn push_choice(out: &mut String, choice: &ClientChoice<'_>) {
    match choice {
        ClientChoice::Auto => out.push_str(r#""auto""#),
        ClientChoice::None => out.push_str(r#""none""#),
        ClientChoice::Required => out.push_str(r#""required""#),
        ClientChoice::Tool(tool) => push_named(out, tool),
        ClientChoice::Allowed { required, tools } => {
            let mode = if *required { "required" } else { "auto" };
            out.push_str(r#"{"type":"allowed_tools","mode":"#);
            json::push_text(out, mode);
            out.push_str(r#","tools":["#);
            for (index, tool) in tools.iter().flatten().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_named(out, tool);
            }
            out.push_str("]}");
        }
    }
}

fn push_named(out: &mut String, tool: &NamedTool<'_>) {
    out.push_str(r#"{"type":"#);
    json::push_text(out, tool.kind());
    out.push_str(r#","name":"#);
    json::push_text(out, &tool.name);
    if let Some(namespace) = &tool.namespace {
        out.push_str(r#","namespace":"#);
        json::push_text(out, namespace);
    }
    out.push('}');
}

fn push_text_options(out: &mut String, text: &ResponseTextOptions) {
    out.push_str(r#"{"format":{"type":"#);
    match &text.format {
        ResponseTextFormat::Text => out.push_str(r#""text""#),
        ResponseTextFormat::JsonObject => out.push_str(r#""json_object""#),
        ResponseTextFormat::JsonSchema {
            name,
            description,
            schema,
        } => {
            out.push_str(r#""json_schema","name":"#);
            json::push_text(out, name);
            out.push_str(r#","description":"#);
            push_nullable(out, description.as_deref());
            out.push_str(r#","schema":"#);
            out.push_str(schema);
            out.push_str(r#","strict":true"#);
        }
    }
    out.push_str(r#"},"verbosity":"#);
    json::push_text(out, text.verbosity.unwrap_or("medium"));
    out.push('}');
}

fn push_nullable(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => json::push_text(out, text),
        None => out.push_str("null"),
    }
}

fn push_boolean(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}
