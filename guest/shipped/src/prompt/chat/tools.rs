//! `tools` of a chat completion.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::schema;
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};
use crate::prompt::tools::{FunctionNameShape, FunctionTool, FunctionTools, schema_of};

#[cfg(test)]
mod tests;

pub(super) struct ToolsShape;

impl<'de> JsonShape<'de> for ToolsShape {
    type Value = Vec<FunctionTool<'de>>;
    const EXPECTED: &'static str = "an array of tools";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        const NAME: [PathSegment; 2] = [PathSegment::Key("function"), PathSegment::Key("name")];
        let mut functions = FunctionTools::default();
        let mut index = 0;
        while let Some(function) = reader.member(&mut members, index, ToolShape)? {
            let function = FunctionTool { index, ..function };
            functions.push(reader, function, &NAME)?;
            index += 1;
        }
        Ok(functions.into_functions())
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
    match kind {
        Some("function") => Ok(()),
        Some(other) => {
            let message = format!(
                "{what} of type `{}` are not supported; the type must be `function`",
                quoted(other)
            );
            Err(reader.unsupported_member("type", &message))
        }
        None => Err(reader.invalid_member("type", "required: `function`")),
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
        let path = reader.path();
        let function = of_function.object(reader, fields)?;
        Ok(FunctionTool { path, ..function })
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
            path: String::new(),
            schema_path: ".function.parameters",
        })
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
