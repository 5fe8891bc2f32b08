//! Which functions the model may call, and whether it must call one.

use std::borrow::Cow;

use super::problems::{invalid, quoted};
use super::reader::Reader;
use super::request::FieldPaths;
use super::tools::FunctionTool;
use crate::bindings::airlock::policy::types::Problem;
use crate::tools::upstream_name;

/// The instructions for a required call, for which Codex has no field.
const MUST_CALL: &str = "You must answer by calling at least one of the functions that you are given, even where you could answer without. Do nothing else: no text before the call or after it.";

/// As `MUST_CALL`, for one function. Its name is inserted between the two.
const MUST_CALL_ONE: (&str, &str) = (
    "You must answer by calling the function `",
    "`, even where you could answer without. Do nothing else: no text before the call or after it.",
);

/// The client's choice of functions.
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
    pub(super) required: bool,
    pub(super) names: Vec<Cow<'de, str>>,
}

/// The functions that the model may call.
#[derive(Default)]
pub(super) struct ToolOffer<'de> {
    pub(super) functions: Vec<FunctionTool<'de>>,
    /// The instructions for a required call, if one is required.
    pub(super) call_instructions: Option<String>,
}

impl<'de> ToolChoice<'de> {
    /// The functions to offer, of all that the request has. `paths` are the dialect's.
    ///
    /// # Errors
    ///
    /// `invalid-request` if there are no functions, or a name is unknown.
    pub(super) fn offer(
        self,
        mut functions: Vec<FunctionTool<'de>>,
        paths: &FieldPaths,
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
                check_known(&functions, &name, paths.chosen_function)?;
                functions.retain(|function| function.name == name);
                Some([MUST_CALL_ONE.0, &upstream_name(&name), MUST_CALL_ONE.1].concat())
            }
            Self::Allowed(allowed) => {
                for (index, name) in allowed.names.iter().enumerate() {
                    let (array, member) = paths.allowed_function;
                    let path = format!("{array}[{index}]{member}");
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
