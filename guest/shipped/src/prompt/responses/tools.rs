//! `tools`: functions, custom tools and namespaces of the client, each of which becomes functions for the model.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::custom_tool::{CustomFormat, CustomFormatShape, INPUT_SCHEMA};
use super::echo;
use super::names::flat_name;
use crate::notes::RenamedTool;
use crate::prompt::conversation::push_paragraph;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::schema;
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tools::{FunctionNameShape, FunctionTool, TOOLS_AT_MOST, schema_of, too_many};
use crate::prompt::typed::{TypedObject, parse};
use crate::tools::upstream_name;

/// The types of tools without which the answer is still one: they are ignored and named.
pub(super) const IGNORED: &[&str] = &[
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "tool_search",
];

/// The most bytes of a namespace's description, which the model reads once for each of its tools.
const NAMESPACE_DESCRIPTION_AT_MOST: usize = 16 * 1024;

/// The tools of an array.
#[derive(Default)]
pub(super) struct ClientTools<'de> {
    /// The tools, without those that are ignored. Namespaces are flattened.
    pub(super) tools: Vec<ClientTool<'de>>,
    /// What the response repeats: the elements of a JSON array.
    pub(super) echo: String,
}

/// A tool of the client, as the function that the model knows.
pub(super) struct ClientTool<'de> {
    pub(super) function: FunctionTool<'de>,
    /// The client's name within the namespace.
    pub(super) name: Cow<'de, str>,
    pub(super) namespace: Option<Cow<'de, str>>,
    pub(super) custom: bool,
    /// The path of the tool in the request.
    pub(super) steps: Vec<PathSegment>,
}

impl ClientTool<'_> {
    /// The note for the reply, unless calls of the tool are plain function calls.
    pub(super) fn renamed(&self) -> Option<RenamedTool> {
        (self.custom || self.namespace.is_some()).then(|| RenamedTool {
            function: upstream_name(&self.function.name).into_owned(),
            name: self.name.clone().into_owned(),
            namespace: self.namespace.clone().map(Cow::into_owned),
            custom: self.custom,
        })
    }
}

/// An array of tools, which are added to these. They may be in a namespace.
pub(super) struct ClientToolsShape<'t, 'de> {
    pub(super) tools: &'t mut ClientTools<'de>,
    pub(super) namespace: Option<&'t ToolNamespace<'de>>,
}

impl<'de> JsonShape<'de> for ClientToolsShape<'_, 'de> {
    type Value = ();
    const EXPECTED: &'static str = "an array of tools";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(()) = TypedObject::next(
            reader,
            &mut members,
            index,
            "a tool object",
            |reader, object| self.tools.read_tool(reader, object, self.namespace),
        )? {
            index += 1;
        }
        Ok(())
    }
}

/// The namespace of tools while they are read.
pub(super) struct ToolNamespace<'de> {
    name: Cow<'de, str>,
    description: Cow<'de, str>,
}

impl<'de> ClientTools<'de> {
    /// An array of tools that are added to these.
    pub(super) fn shape(&mut self) -> ClientToolsShape<'_, 'de> {
        ClientToolsShape {
            tools: self,
            namespace: None,
        }
    }

    fn read_tool<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        object: &TypedObject<'de>,
        namespace: Option<&ToolNamespace<'de>>,
    ) -> Result<(), E> {
        match object.kind.as_deref() {
            Some(kind @ ("function" | "custom")) => {
                let tool = object.read(reader, FlatToolShape)?;
                self.add(reader, tool, kind == "custom", namespace)?;
            }
            Some("namespace") if namespace.is_none() => {
                object.read(reader, NamespaceShape(self))?;
            }
            Some(kind) if IGNORED.contains(&kind) => {
                reader.ignore_at(PathSegment::Key("type"), kind)?;
            }
            Some(kind) => {
                let message = format!(
                    "tools of type `{}` are not supported; offer a function or a custom tool, which the client runs itself",
                    quoted(kind)
                );
                return Err(reader.unsupported_member("type", &message));
            }
            None => {
                let message = "required: `function`, `custom` or `namespace`";
                return Err(reader.invalid_member("type", message));
            }
        }
        Ok(())
    }

    /// Adds a tool. The reader's path must be the tool's.
    ///
    /// Each tool has a copy of its namespace's description, so that their number is checked here already.
    fn add<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        tool: FlatTool<'de>,
        custom: bool,
        namespace: Option<&ToolNamespace<'de>>,
    ) -> Result<(), E> {
        if self.tools.len() == TOOLS_AT_MOST {
            return Err(too_many(reader));
        }
        echo::push_tool(&mut self.echo, &tool, custom);
        let description = tool.description.unwrap_or_default();
        let (description, parameters, schema_path) = if custom {
            let format = tool.format.unwrap_or_default();
            (format.describe(description), INPUT_SCHEMA.to_owned(), "")
        } else {
            let parameters = tool.parameters;
            let parameters = parameters.unwrap_or_else(|| schema::NO_ARGUMENTS.to_owned());
            (description, parameters, ".parameters")
        };
        let function = FunctionTool {
            name: flat_name(namespace.map(|it| it.name.as_ref()), tool.name.clone()),
            description: described(namespace, description),
            parameters,
            strict: !custom && tool.strict.unwrap_or_default(),
            index: 0,
            path: reader.path(),
            schema_path,
        };
        self.tools.push(ClientTool {
            function,
            name: tool.name,
            namespace: namespace.map(|namespace| namespace.name.clone()),
            custom,
            steps: reader.steps().to_vec(),
        });
        Ok(())
    }
}

/// The description of a tool, after that of its namespace.
fn described<'de>(
    namespace: Option<&ToolNamespace<'de>>,
    description: Cow<'de, str>,
) -> Cow<'de, str> {
    match namespace {
        Some(namespace) if !namespace.description.is_empty() => {
            let mut text = namespace.description.clone().into_owned();
            push_paragraph(&mut text, &description);
            Cow::Owned(text)
        }
        Some(_) | None => description,
    }
}

/// A function or a custom tool.
pub(super) struct FlatTool<'de> {
    pub(super) name: Cow<'de, str>,
    pub(super) description: Option<Cow<'de, str>>,
    /// JSON Schema of a function's arguments, on one line.
    pub(super) parameters: Option<String>,
    pub(super) strict: Option<bool>,
    /// The format of a custom tool's input.
    pub(super) format: Option<CustomFormat<'de>>,
}

struct FlatToolShape;

impl<'de> JsonShape<'de> for FlatToolShape {
    type Value = FlatTool<'de>;
    const EXPECTED: &'static str = "a tool object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<FlatTool<'de>, A::Error> {
        let (mut name, mut description, mut parameters) = (None, None, None);
        let (mut strict, mut format) = (None, None);
        read_members!(reader, fields, {
            "name" => value(name, FunctionNameShape),
            "description" => nullable(description, StringShape),
            "parameters" => run {
                let raw = fields.next_value::<&RawValue>()?;
                parameters =
                    reader.at(PathSegment::Key("parameters"), |reader| schema_of(reader, raw))?;
            },
            "strict" => nullable(strict, BooleanShape),
            "format" => nullable(format, CustomFormatShape),
            // A tool that may be loaded later is loaded now.
            "type" | "defer_loading" => skip(),
        });
        let Some(name) = name else {
            let message =
                "required: the tool's name, which is a member of the tool itself in this API";
            return Err(reader.invalid_member("name", message));
        };
        Ok(FlatTool {
            name,
            description,
            parameters,
            strict,
            format,
        })
    }
}

/// A `namespace`, whose tools are added to these.
struct NamespaceShape<'t, 'de>(&'t mut ClientTools<'de>);

impl<'de> JsonShape<'de> for NamespaceShape<'_, 'de> {
    type Value = ();
    const EXPECTED: &'static str = "a tool object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<(), A::Error> {
        let (mut name, mut description, mut tools) = (None, None, None);
        read_members!(reader, fields, {
            "type" => skip(),
            "name" => value(name, FunctionNameShape),
            "description" => nullable(description, StringShape),
            // The tools' names depend on the namespace's, which may come later.
            "tools" => run { tools = Some(fields.next_value::<&'de RawValue>()?); },
        });
        let Some(name) = name else {
            return Err(reader.invalid_member("name", "required: the namespace's name"));
        };
        let Some(tools) = tools else {
            return Err(reader.invalid_member("tools", "required: an array of tools"));
        };
        let description = description.unwrap_or_default();
        if description.len() > NAMESPACE_DESCRIPTION_AT_MOST {
            let message = format!(
                "at most {NAMESPACE_DESCRIPTION_AT_MOST} bytes: it precedes the description of each of the namespace's tools"
            );
            return Err(reader.invalid_member("description", &message));
        }
        let namespace = ToolNamespace { name, description };
        let before = std::mem::take(&mut self.0.echo);
        let shape = ClientToolsShape {
            tools: &mut *self.0,
            namespace: Some(&namespace),
        };
        reader.at(PathSegment::Key("tools"), |reader| {
            parse(reader, tools, shape)
        })?;
        let within = std::mem::replace(&mut self.0.echo, before);
        echo::push_namespace(
            &mut self.0.echo,
            &namespace.name,
            &namespace.description,
            &within,
        );
        Ok(())
    }
}
