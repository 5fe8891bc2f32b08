//! `tool_choice` of a response.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::tools::{ClientTool, IGNORED};
use crate::bindings::airlock::policy::types::Problem;
use crate::prompt::members::read_members;
use crate::prompt::problems::{invalid, quoted};
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar, StringShape};
use crate::prompt::tool_choice::{AllowedTools, ToolChoice};
use crate::prompt::tools::{FunctionNameShape, TOOLS_AT_MOST};

const EXPECTED: &str =
    "`auto`, `none`, `required`, or an object of `type` `function`, `custom` or `allowed_tools`";

/// `tool_choice`, with the client's names.
#[derive(Default)]
pub(super) enum ClientChoice<'de> {
    #[default]
    Auto,
    None,
    Required,
    Tool(NamedTool<'de>),
    Allowed {
        required: bool,
        /// None for a tool that is ignored.
        tools: Vec<Option<NamedTool<'de>>>,
    },
}

/// A tool that a choice names.
pub(super) struct NamedTool<'de> {
    pub(super) custom: bool,
    pub(super) name: Cow<'de, str>,
    pub(super) namespace: Option<Cow<'de, str>>,
}

impl NamedTool<'_> {
    /// The `type` of such tools.
    pub(super) fn kind(&self) -> &'static str {
        kind(self.custom)
    }
}

fn kind(custom: bool) -> &'static str {
    if custom { "custom" } else { "function" }
}

impl<'de> ClientChoice<'de> {
    /// The choice of the functions that stand for these tools.
    ///
    /// # Errors
    ///
    /// `invalid-request` if a name is unknown.
    pub(super) fn resolve(self, tools: &[ClientTool<'de>]) -> Result<ToolChoice<'de>, Problem> {
        match self {
            Self::Auto => Ok(ToolChoice::Auto),
            Self::None => Ok(ToolChoice::None),
            Self::Required => Ok(ToolChoice::Required),
            // The error that there are no tools is the same in all dialects.
            Self::Tool(named) if tools.is_empty() => Ok(ToolChoice::Function(named.name)),
            Self::Tool(named) => {
                let name = function_of(&named, tools, || "tool_choice".to_owned())?;
                Ok(ToolChoice::Function(name))
            }
            Self::Allowed { required, .. } if tools.is_empty() => {
                let names = Vec::new();
                Ok(ToolChoice::Allowed(AllowedTools { required, names }))
            }
            Self::Allowed {
                required,
                tools: allowed,
            } => {
                let mut names = Vec::new();
                for (index, named) in allowed.iter().enumerate() {
                    if let Some(named) = named {
                        let path = || format!("tool_choice.tools[{index}]");
                        names.push(function_of(named, tools, path)?);
                    }
                }
                Ok(ToolChoice::Allowed(AllowedTools { required, names }))
            }
        }
    }
}

/// The name of the function that stands for a tool, which may be named with or without its namespace. `path` is that of the
/// choice.
fn function_of<'de>(
    named: &NamedTool<'de>,
    tools: &[ClientTool<'de>],
    path: impl FnOnce() -> String,
) -> Result<Cow<'de, str>, Problem> {
    let of_name = |tool: &&ClientTool<'de>| match &named.namespace {
        Some(namespace) => tool.name == named.name && tool.namespace.as_ref() == Some(namespace),
        None => tool.name == named.name || tool.function.name == named.name,
    };
    let of_type = |tool: &&ClientTool<'de>| tool.custom == named.custom;
    let mut matches = tools.iter().filter(of_name).filter(of_type);
    let function = |tool: &ClientTool<'de>| tool.function.name.clone();
    // The whole name of a function is no other's.
    let whole = |tool: &&ClientTool<'de>| tool.function.name == named.name;
    if let Some(tool) = matches.clone().find(whole) {
        return Ok(function(tool));
    }
    let name = quoted(&named.name);
    let (member, message) = match (matches.next(), matches.next()) {
        (Some(tool), None) => return Ok(function(tool)),
        (Some(_), Some(_)) => {
            let message = "several tools have this name: give its `namespace`";
            (".name", message.to_owned())
        }
        (None, _) => match (tools.iter().find(of_name), &named.namespace) {
            (Some(tool), _) => {
                let kind = kind(tool.custom);
                (".type", format!("`{name}` is of type `{kind}`"))
            }
            (None, Some(namespace)) => {
                let namespace = quoted(namespace);
                let message = format!("no tool of the namespace `{namespace}` is called `{name}`");
                (".name", message)
            }
            (None, None) => (".name", format!("no tool of `tools` is called `{name}`")),
        },
    };
    Err(invalid(&(path() + member), &message))
}

pub(super) struct ClientChoiceShape;

impl<'de> JsonShape<'de> for ClientChoiceShape {
    type Value = ClientChoice<'de>;
    const EXPECTED: &'static str = EXPECTED;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<ClientChoice<'de>, E> {
        let Scalar::Text(choice) = scalar else {
            return Err(reader.wrong(EXPECTED, scalar.kind()));
        };
        match choice.as_ref() {
            "auto" => Ok(ClientChoice::Auto),
            "none" => Ok(ClientChoice::None),
            "required" => Ok(ClientChoice::Required),
            other => Err(reader.wrong(EXPECTED, &format!("`{}`", quoted(other)))),
        }
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ClientChoice<'de>, A::Error> {
        let (mut kind, mut name, mut namespace) = (None, None, None);
        let (mut mode, mut tools) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "name" => nullable(name, FunctionNameShape),
            "namespace" => nullable(namespace, FunctionNameShape),
            "mode" => nullable(mode, StringShape),
            "tools" => nullable(tools, AllowedToolsArray),
            // A member of a choice that is refused by its type, which may come later.
            "server_label" => skip(),
        });
        match kind.as_deref() {
            Some("allowed_tools") => allowed(reader, mode.as_deref(), tools),
            Some(kind @ ("function" | "custom")) => match name {
                Some(name) => Ok(ClientChoice::Tool(NamedTool {
                    custom: kind == "custom",
                    name,
                    namespace,
                })),
                None => Err(reader.invalid_member("name", "required: the tool's name")),
            },
            Some(other) => {
                let message = format!(
                    "a choice of type `{}` is not supported; choose a function or a custom tool of `tools`",
                    quoted(other)
                );
                Err(reader.unsupported_member("type", &message))
            }
            None => {
                let message = "required: `function`, `custom` or `allowed_tools`";
                Err(reader.invalid_member("type", message))
            }
        }
    }
}

fn allowed<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    mode: Option<&str>,
    tools: Option<Vec<Option<NamedTool<'de>>>>,
) -> Result<ClientChoice<'de>, E> {
    let required = match mode {
        Some("auto") => false,
        Some("required") => true,
        _ => return Err(reader.invalid_member("mode", "required: `auto` or `required`")),
    };
    match tools {
        Some(tools) if tools.iter().any(Option::is_some) => {
            Ok(ClientChoice::Allowed { required, tools })
        }
        Some(_) | None => {
            let message = "required: at least one function or custom tool of `tools`";
            Err(reader.invalid_member("tools", message))
        }
    }
}

struct AllowedToolsArray;

impl<'de> JsonShape<'de> for AllowedToolsArray {
    type Value = Vec<Option<NamedTool<'de>>>;
    const EXPECTED: &'static str = "an array of tools";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut tools = Vec::new();
        while let Some(tool) = reader.member(&mut members, tools.len(), AllowedToolShape)? {
            if tools.len() == TOOLS_AT_MOST {
                return Err(reader.invalid(&format!("at most {TOOLS_AT_MOST} tools")));
            }
            tools.push(tool);
        }
        Ok(tools)
    }
}

struct AllowedToolShape;

impl<'de> JsonShape<'de> for AllowedToolShape {
    type Value = Option<NamedTool<'de>>;
    const EXPECTED: &'static str = "an object with `type` and `name`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut kind, mut name, mut namespace) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "name" => nullable(name, FunctionNameShape),
            "namespace" => nullable(namespace, FunctionNameShape),
            "server_label" => skip(),
        });
        match kind.as_deref() {
            Some(kind @ ("function" | "custom")) => match name {
                Some(name) => Ok(Some(NamedTool {
                    custom: kind == "custom",
                    name,
                    namespace,
                })),
                None => Err(reader.invalid_member("name", "required: the tool's name")),
            },
            Some(kind) if IGNORED.contains(&kind) => {
                reader.ignore_at(PathSegment::Key("type"), kind)?;
                Ok(None)
            }
            Some(other) => {
                let message = format!("tools of type `{}` are not supported", quoted(other));
                Err(reader.unsupported_member("type", &message))
            }
            None => Err(reader.invalid_member("type", "required: `function` or `custom`")),
        }
    }
}
