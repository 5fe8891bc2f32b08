//! `tool_choice`: which functions the model may call, and whether it must call one.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::members::read_members;
use super::problems::{invalid, quoted};
use super::reader::Reader;
use super::shape::{JsonShape, Scalar, StringShape};
use super::tools::{FunctionObjectShape, FunctionReference, FunctionTool, check_type};
use crate::bindings::airlock::policy::types::Problem;
use crate::tools::upstream_name;

/// The instructions for a required call, for which Codex has no field.
const MUST_CALL: &str = "You must answer by calling at least one of the functions that you are given, even where you could answer without. Do nothing else: no text before the call or after it.";

/// As `MUST_CALL`, for one function. Its name is inserted between the two.
const MUST_CALL_ONE: (&str, &str) = (
    "You must answer by calling the function `",
    "`, even where you could answer without. Do nothing else: no text before the call or after it.",
);

const EXPECTED: &str =
    "`auto`, `none`, `required`, or an object of `type` `function` or `allowed_tools`";

/// `tool_choice`.
#[derive(Default)]
pub(super) enum ToolChoice<'de> {
    #[default]
    Auto,
    None,
    Required,
    Function(Cow<'de, str>),
    Allowed(AllowedTools<'de>),
}

/// A subset of the functions.
pub(super) struct AllowedTools<'de> {
    required: bool,
    names: Vec<Cow<'de, str>>,
}

/// The functions that the model may call.
#[derive(Default)]
pub(super) struct ToolOffer<'de> {
    pub(super) functions: Vec<FunctionTool<'de>>,
    /// The instructions for a required call, if one is required.
    pub(super) call_instructions: Option<String>,
}

impl<'de> ToolChoice<'de> {
    /// The functions to offer, of all that the request has.
    ///
    /// # Errors
    ///
    /// `invalid-request` if there are no functions, or a name is unknown.
    pub(super) fn offer(
        self,
        mut functions: Vec<FunctionTool<'de>>,
    ) -> Result<ToolOffer<'de>, Problem> {
        if functions.is_empty() && !matches!(self, Self::Auto | Self::None) {
            let message = "there is nothing to choose from: give `tools`, or leave it out";
            return Err(invalid("tool_choice", message));
        }
        let call_instructions = match self {
            Self::Auto => None,
            Self::None => return Ok(ToolOffer::default()),
            Self::Required => Some(MUST_CALL.to_owned()),
            Self::Function(name) => {
                check_known(&functions, &name, "tool_choice.function.name")?;
                functions.retain(|function| function.name == name);
                Some([MUST_CALL_ONE.0, &upstream_name(&name), MUST_CALL_ONE.1].concat())
            }
            Self::Allowed(allowed) => {
                for (index, name) in allowed.names.iter().enumerate() {
                    let path = format!("tool_choice.allowed_tools.tools[{index}].function.name");
                    check_known(&functions, name, &path)?;
                }
                functions.retain(|function| allowed.names.contains(&function.name));
                allowed.required.then(|| MUST_CALL.to_owned())
            }
        };
        Ok(ToolOffer {
            functions,
            call_instructions,
        })
    }
}

impl ToolOffer<'_> {
    /// Withdraws the functions, for a fan-out: its candidates call none.
    ///
    /// # Errors
    ///
    /// `invalid-request` if a call is required, `unsupported` if `strict` forbids ignoring the functions.
    pub(super) fn withdraw(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        if self.call_instructions.is_some() {
            let message = "the candidates of a fan-out call no functions: leave it out, give `auto` or `none`, or make one attempt with `parallel_calls: 1`";
            return Err(invalid("tool_choice", message));
        }
        if !self.functions.is_empty() {
            reader.ignore_after_all("tools")?;
        }
        *self = Self::default();
        Ok(())
    }
}

fn check_known(functions: &[FunctionTool<'_>], name: &str, path: &str) -> Result<(), Problem> {
    if functions.iter().any(|function| function.name == name) {
        return Ok(());
    }
    let message = format!("no function of `tools` is called `{}`", quoted(name));
    Err(invalid(path, &message))
}

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
