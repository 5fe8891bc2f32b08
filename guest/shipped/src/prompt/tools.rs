//! `tools`: the client's functions that the model may call.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::members::read_members;
use super::problems::quoted;
use super::reader::{PathSegment, Reader};
use super::schema;
use super::shape::{BooleanShape, JsonShape, Scalar, StringShape};
use crate::bindings::airlock::policy::types::Tool;
use crate::tools::{OfferedTool, upstream_name};

use description::with_schema;

mod description;
#[cfg(test)]
mod tests;

/// The most functions of one request.
const TOOLS_AT_MOST: usize = 128;
/// The longest name of a function, in characters.
const NAME_AT_MOST: usize = 128;
/// The most bytes of all schemas together: each is processed and sent several times.
const SCHEMAS_AT_MOST: usize = 2 * 1024 * 1024;

/// A function of the client.
pub(super) struct FunctionTool<'de> {
    /// The client's name.
    pub(super) name: Cow<'de, str>,
    pub(super) description: Cow<'de, str>,
    /// JSON Schema of its arguments, on one line.
    pub(super) parameters: String,
    /// Whether the arguments of every call must satisfy the schema.
    pub(super) strict: bool,
    /// The tool's index in the request's `tools`.
    index: usize,
}

impl FunctionTool<'_> {
    /// The tool for Codex.
    pub(super) fn into_tool(self) -> Tool {
        Tool {
            name: upstream_name(&self.name).into_owned(),
            description: with_schema(&self.description, &self.parameters),
            parameters: self.parameters,
            param: format!("tools[{}].function.parameters", self.index),
        }
    }

    /// The notes for the translator. `index` is its index among the offered functions.
    pub(super) fn offered(&self, index: usize) -> OfferedTool {
        OfferedTool {
            name: self.name.clone().into_owned(),
            index: (index != self.index).then_some(self.index),
            strict: self.strict.then(|| self.parameters.clone()),
        }
    }
}

pub(super) struct ToolsShape;

impl<'de> JsonShape<'de> for ToolsShape {
    type Value = Vec<FunctionTool<'de>>;
    const EXPECTED: &'static str = "an array of tools";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut functions: Vec<FunctionTool<'de>> = Vec::new();
        let mut bytes = 0;
        while let Some(mut function) = reader.member(&mut members, functions.len(), ToolShape)? {
            let index = functions.len();
            function.index = index;
            bytes += function.parameters.len();
            if bytes > SCHEMAS_AT_MOST {
                let message = format!("all schemas together have at most {SCHEMAS_AT_MOST} bytes");
                return Err(reader.invalid(&message));
            }
            if index == TOOLS_AT_MOST {
                return Err(reader.invalid(&format!("at most {TOOLS_AT_MOST} functions")));
            }
            let upstream = upstream_name(&function.name);
            let duplicate = functions
                .iter()
                .position(|other| upstream_name(&other.name) == upstream);
            if let Some(duplicate) = duplicate {
                let message = format!("`tools[{duplicate}]` has this name already");
                let steps = [
                    PathSegment::Index(index),
                    PathSegment::Key("function"),
                    PathSegment::Key("name"),
                ];
                return Err(reader.invalid_at(&steps, &message));
            }
            functions.push(function);
        }
        Ok(functions)
    }
}

/// An object of `type: "function"` with a member `function` of this shape.
pub(super) struct FunctionObjectShape<S> {
    pub(super) shape: S,
    /// The plural of such an object, for the message about another type.
    pub(super) what: &'static str,
}

impl<'de, S: JsonShape<'de> + Copy> JsonShape<'de> for FunctionObjectShape<S> {
    type Value = S::Value;
    const EXPECTED: &'static str = "an object of `type: \"function\"`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<S::Value, A::Error> {
        let mut kind = None;
        let mut function = None;
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "function" => value(function, self.shape),
            // `custom` is refused by its type, which may come later.
            "custom" => skip(),
        });
        check_type(reader, kind.as_deref(), self.what)?;
        match function {
            Some(function) => Ok(function),
            None => Err(reader.invalid_member("function", "required with `type: \"function\"`")),
        }
    }
}

/// Fails for any type but `function`. The reader's path must be the object's.
pub(super) fn check_type<E: de::Error>(
    reader: &mut Reader<'_>,
    kind: Option<&str>,
    what: &str,
) -> Result<(), E> {
    let step = PathSegment::Key("type");
    match kind {
        Some("function") => Ok(()),
        Some(other) => reader.at(step, |reader| {
            Err(reader.unsupported(&format!(
                "{what} of type `{}` are not supported; the type must be `function`",
                quoted(other)
            )))
        }),
        None => Err(reader.invalid_at(&[step], "required: `function`")),
    }
}

struct ToolShape;

impl<'de> JsonShape<'de> for ToolShape {
    type Value = FunctionTool<'de>;
    const EXPECTED: &'static str = "a tool object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        fields: A,
    ) -> Result<FunctionTool<'de>, A::Error> {
        let of_function = FunctionObjectShape {
            shape: FunctionShape,
            what: "tools",
        };
        of_function.object(reader, fields)
    }
}

#[derive(Clone, Copy)]
struct FunctionShape;

impl<'de> JsonShape<'de> for FunctionShape {
    type Value = FunctionTool<'de>;
    const EXPECTED: &'static str = "an object with a `name`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<FunctionTool<'de>, A::Error> {
        let (mut name, mut description, mut parameters, mut strict) = (None, None, None, None);
        read_members!(reader, fields, {
            "name" => value(name, FunctionNameShape),
            "description" => nullable(description, StringShape),
            "parameters" => run {
                let raw = fields.next_value::<&RawValue>()?;
                parameters =
                    reader.at(PathSegment::Key("parameters"), |reader| schema_of(reader, raw))?;
            },
            "strict" => nullable(strict, BooleanShape),
        });
        let Some(name) = name else {
            return Err(reader.invalid_member("name", "required: the function's name"));
        };
        Ok(FunctionTool {
            name,
            description: description.unwrap_or_default(),
            parameters: parameters.unwrap_or_else(|| schema::NO_ARGUMENTS.to_owned()),
            strict: strict.unwrap_or_default(),
            index: 0,
        })
    }
}

/// The schema of a function's arguments. None for null.
fn schema_of<E: de::Error>(reader: &mut Reader<'_>, raw: &RawValue) -> Result<Option<String>, E> {
    if raw.get() == "null" {
        return Ok(None);
    }
    schema::compact_of_object(raw.get())
        .map(Some)
        .map_err(|error| reader.invalid(&error.to_string()))
}

/// The client's name of a function.
pub(super) struct FunctionNameShape;

impl<'de> JsonShape<'de> for FunctionNameShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = StringShape::EXPECTED;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let name = StringShape.scalar(reader, scalar)?;
        let fits = !name.is_empty() && name.chars().nth(NAME_AT_MOST).is_none();
        if !fits {
            return Err(reader.invalid(&format!("expected 1 to {NAME_AT_MOST} characters")));
        }
        Ok(name)
    }
}

/// An object that holds the name of a function alone.
#[derive(Clone, Copy)]
pub(super) struct FunctionReference;

impl<'de> JsonShape<'de> for FunctionReference {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "an object with a `name`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut name = None;
        read_members!(reader, fields, {
            "name" => value(name, FunctionNameShape),
        });
        name.ok_or_else(|| reader.invalid_member("name", "required: the function's name"))
    }
}
