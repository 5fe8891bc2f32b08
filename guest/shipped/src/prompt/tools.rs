//! The client's functions that the model may call, as all dialects have them.

use std::borrow::Cow;

use serde::de;
use serde_json::value::RawValue;

use super::reader::{PathSegment, Reader};
use super::schema;
use super::shape::{JsonShape, Scalar, StringShape};
use crate::bindings::airlock::policy::types::Tool;
use crate::tools::{OfferedTool, upstream_name};

use description::with_schema;

mod description;

/// The most functions of one request.
pub(super) const TOOLS_AT_MOST: usize = 128;
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
    /// The tool's index in the request's array of tools.
    pub(super) index: usize,
    /// The tool's path in the request: `tools[3]`.
    pub(super) path: String,
    /// The path of its schema within the tool: `.function.parameters`.
    pub(super) schema_path: &'static str,
}

impl FunctionTool<'_> {
    /// The tool for Codex.
    pub(super) fn into_tool(self) -> Tool {
        Tool {
            name: upstream_name(&self.name).into_owned(),
            description: with_schema(&self.description, &self.parameters),
            parameters: self.parameters,
            param: self.path + self.schema_path,
        }
    }

    /// The notes for the translator. `index` is its index among the offered functions.
    pub(super) fn offered(&self, index: usize) -> OfferedTool {
        // The Messages API writes an index after a dot.
        let expected = [format!("tools[{index}]"), format!("tools.{index}")];
        OfferedTool {
            name: self.name.clone().into_owned(),
            path: (!expected.contains(&self.path)).then(|| self.path.clone()),
            strict: self.strict.then(|| self.parameters.clone()),
        }
    }
}

/// The functions of a request while they are read.
#[derive(Default)]
pub(super) struct FunctionTools<'de> {
    functions: Vec<FunctionTool<'de>>,
    /// The bytes of all schemas.
    bytes: usize,
}

impl<'de> FunctionTools<'de> {
    /// Adds the next function. The reader's path must be that of the array; `name` is the path of a function's name within
    /// an element.
    pub(super) fn push<E: de::Error>(
        &mut self,
        reader: &mut Reader<'_>,
        function: FunctionTool<'de>,
        name: &[PathSegment],
    ) -> Result<(), E> {
        self.bytes += function.parameters.len();
        if self.bytes > SCHEMAS_AT_MOST {
            let message = format!("all schemas together have at most {SCHEMAS_AT_MOST} bytes");
            return Err(reader.invalid(&message));
        }
        if self.functions.len() == TOOLS_AT_MOST {
            return Err(too_many(reader));
        }
        let upstream = upstream_name(&function.name);
        let mut others = self.functions.iter();
        if let Some(other) = others.find(|other| upstream_name(&other.name) == upstream) {
            let message = format!("`{}` has this name already", other.path);
            let steps = [&[PathSegment::Index(function.index)], name].concat();
            return Err(reader.invalid_at(&steps, &message));
        }
        self.functions.push(function);
        Ok(())
    }

    pub(super) fn into_functions(self) -> Vec<FunctionTool<'de>> {
        self.functions
    }
}

/// Reports that the request has more functions than it may. `tools`, or the member that has the one too many, is at fault.
#[cold]
#[inline(never)]
pub(super) fn too_many<E: de::Error>(reader: &mut Reader<'_>) -> E {
    reader.invalid_root(&format!("at most {TOOLS_AT_MOST} functions"))
}

/// The schema of a function's arguments. None for null.
pub(super) fn schema_of<E: de::Error>(
    reader: &mut Reader<'_>,
    raw: &RawValue,
) -> Result<Option<String>, E> {
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
    const IS_SCALAR: bool = true;

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
