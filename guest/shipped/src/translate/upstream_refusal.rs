//! Rewrites the model's refusal of a request (`upstream_bad_request`) in terms of the client's request: the Responses
//! API names a field of Codex's request, which the client has not written.

use crate::bindings::airlock::policy::types::Problem;
use crate::notes::PlanNotes;
use crate::tools::{OfferedTool, upstream_name};

/// The host's code for such a refusal.
const CODE: &str = "upstream_bad_request";

/// The client's fields from which those of Codex's request were made.
#[derive(Debug, Default)]
pub(super) struct FieldMap {
    /// The field that set the reasoning effort, if any.
    effort: Option<String>,
    /// The upstream name of each function, and its field.
    functions: Vec<(String, String)>,
}

impl FieldMap {
    /// The fields of the request to which the notes belong.
    pub(super) fn of(notes: &PlanNotes) -> Self {
        let offered = notes.tools.iter().flat_map(|tools| &tools.offered);
        let function = |(position, offered): (usize, &OfferedTool)| {
            let index = offered.index.unwrap_or(position);
            let field = format!("tools[{index}].function");
            (upstream_name(&offered.name).into_owned(), field)
        };
        Self {
            effort: notes.effort.clone(),
            functions: offered.enumerate().map(function).collect(),
        }
    }

    /// Rewrites the problem for the client. Other problems are returned unchanged.
    pub(super) fn translate(&self, mut problem: Problem) -> Problem {
        if problem.code.as_deref() != Some(CODE) {
            return problem;
        }
        let Some(upstream) = problem.param.take() else {
            return problem;
        };
        let field = self.field(&upstream, &problem.message);
        let message = &problem.message;
        problem.message = match &field {
            Some(field) if *field == upstream => format!("{field}: {message}"),
            Some(field) => format!(
                "{field}: {message} (`{upstream}` is a field of the request that the gateway made of it)"
            ),
            None => format!(
                "{message} (`{upstream}` is a field of the gateway's own request, and none of yours)"
            ),
        };
        problem.param = field;
        problem
    }

    /// The client's field from which this one was made. `message` is the model's.
    fn field(&self, upstream: &str, message: &str) -> Option<String> {
        let end = upstream.find(['.', '[']).unwrap_or(upstream.len());
        let (root, rest) = upstream.split_at_checked(end)?;
        let field = match (root, rest) {
            // The message from which an item was made is not known here.
            ("input" | "instructions", _) => "messages",
            ("model", "") => "model",
            ("reasoning", ".effort") => self.effort.as_deref()?,
            ("reasoning", ".summary") => "reasoning.summary",
            ("text", _) if rest.starts_with(".format.schema") => {
                "response_format.json_schema.schema"
            }
            ("text", _) if rest.starts_with(".format") => "response_format",
            ("tool_choice", _) => "tool_choice",
            // Codex adds tools of its own, so the index cannot be used.
            ("tools", _) => return Some(self.tool(rest, message)),
            _ => return None,
        };
        Some(field.to_owned())
    }

    /// The field of the function whose name the message quotes, as deep as `rest` leads; `tools` if it quotes none.
    fn tool(&self, rest: &str, message: &str) -> String {
        let quoted = |name: &str| message.contains(&format!("'{name}'"));
        let mut functions = self.functions.iter();
        let Some((_, field)) = functions.find(|(name, _)| quoted(name)) else {
            return "tools".to_owned();
        };
        let within = rest.split('.').nth(1).unwrap_or_default();
        match within {
            "name" | "description" | "parameters" => format!("{field}.{within}"),
            _ => field.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
