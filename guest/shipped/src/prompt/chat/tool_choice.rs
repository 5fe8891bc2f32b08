//! `tool_choice` of a chat completion.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::tools::{FunctionObjectShape, FunctionReference, check_type};
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar, StringShape};
use crate::prompt::tool_choice::{AllowedTools, ToolChoice};

const EXPECTED: &str =
    "`auto`, `none`, `required`, or an object of `type` `function` or `allowed_tools`";

pub(super) struct ToolChoiceShape;

impl<'de> JsonShape<'de> for ToolChoiceShape {
    type Value = ToolChoice<'de>;
    const EXPECTED: &'static str = EXPECTED;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<ToolChoice<'de>, E> {
        let Scalar::Text(choice) = scalar else {
            return Err(reader.wrong(EXPECTED, scalar.kind()));
        };
        match choice.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            other => Err(reader.wrong(EXPECTED, &format!("`{}`", quoted(other)))),
        }
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ToolChoice<'de>, A::Error> {
        let (mut kind, mut function, mut allowed) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "function" => nullable(function, FunctionReference),
            "allowed_tools" => nullable(allowed, AllowedToolsShape),
            // `custom` is refused by its type, which may come later.
            "custom" => skip(),
        });
        let (choice, name) = match kind.as_deref() {
            Some("allowed_tools") => (allowed.map(ToolChoice::Allowed), "allowed_tools"),
            other => {
                check_type(reader, other, "choices")?;
                (function.map(ToolChoice::Function), "function")
            }
        };
        choice.ok_or_else(|| {
            let message = format!("required with `type: \"{name}\"`");
            reader.invalid_member(name, &message)
        })
    }
}

struct AllowedToolsShape;

impl<'de> JsonShape<'de> for AllowedToolsShape {
    type Value = AllowedTools<'de>;
    const EXPECTED: &'static str = "an object with `mode` and `tools`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<AllowedTools<'de>, A::Error> {
        let (mut required, mut names) = (None, None);
        read_members!(reader, fields, {
            "mode" => value(required, ModeShape),
            "tools" => value(names, AllowedFunctions),
        });
        let Some(required) = required else {
            return Err(reader.invalid_member("mode", "required: `auto` or `required`"));
        };
        match names {
            Some(names) if !names.is_empty() => Ok(AllowedTools { required, names }),
            Some(_) | None => {
                let message = "required: at least one of the functions of `tools`";
                Err(reader.invalid_member("tools", message))
            }
        }
    }
}

/// True for `required`.
struct ModeShape;

impl<'de> JsonShape<'de> for ModeShape {
    type Value = bool;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<bool, E> {
        let mode = StringShape.scalar(reader, scalar)?;
        match mode.as_ref() {
            "auto" => Ok(false),
            "required" => Ok(true),
            other => {
                let found = format!("`{}`", quoted(other));
                Err(reader.wrong("`auto` or `required`", &found))
            }
        }
    }
}

struct AllowedFunctions;

impl<'de> JsonShape<'de> for AllowedFunctions {
    type Value = Vec<Cow<'de, str>>;
    const EXPECTED: &'static str = "an array of functions";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        let shape = || FunctionObjectShape {
            shape: FunctionReference,
            what: "tools",
        };
        while let Some(name) = reader.member(&mut members, names.len(), shape())? {
            names.push(name);
        }
        Ok(names)
    }
}
