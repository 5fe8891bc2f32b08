//! Rewrites the model's refusal of a request (`upstream_bad_request`) in terms of the client's request: the Responses
//! API names a field of Codex's request, which the client has not written.

use crate::bindings::airlock::policy::types::Problem;
use crate::notes::{DialectNotes, PlanNotes};
use crate::problem::dotted;
use crate::tools::{OfferedTool, upstream_name};

/// The host's code for such a refusal.
const CODE: &str = "upstream_bad_request";

/// OpenAI's code for ciphertext that it cannot decrypt.
const FOREIGN_REASONING: &str = "invalid_encrypted_content";

/// Whether the model refused the ciphertext of reasoning or of a compaction. The Responses API names no field there: `The encrypted
/// content gAAA...c90= could not be verified.`
fn is_foreign_reasoning(message: &str) -> bool {
    message.contains("he encrypted content ") && message.contains(" could not be verified")
}

/// The client's fields from which those of Codex's request were made.
#[derive(Debug)]
pub(super) struct FieldMap {
    /// The field that set the reasoning effort, if any.
    effort: Option<String>,
    /// The upstream name of each function, and its field.
    functions: Vec<(String, String)>,
    names: &'static FieldNames,
    /// Whether the dialect writes an index after a dot.
    dots_indices: bool,
}

/// The names of fields in the client's dialect.
#[derive(Debug)]
struct FieldNames {
    input: &'static str,
    instructions: &'static str,
    summary: &'static str,
    /// None: the dialect has no such field.
    verbosity: Option<&'static str>,
    format: &'static str,
    schema: &'static str,
    /// What follows a tool's path.
    function: &'static str,
    parameters: &'static str,
    /// How to send the request without the reasoning of another account.
    without_reasoning: &'static str,
}

impl FieldNames {
    const CHAT: Self = Self {
        input: "messages",
        instructions: "messages",
        summary: "reasoning.summary",
        verbosity: Some("verbosity"),
        format: "response_format",
        schema: "response_format.json_schema.schema",
        function: ".function",
        parameters: "parameters",
        without_reasoning: "",
    };

    const MESSAGES: Self = Self {
        input: "messages",
        instructions: "system",
        summary: "thinking",
        verbosity: None,
        format: "output_config.format",
        schema: "output_config.format.schema",
        function: "",
        parameters: "input_schema",
        without_reasoning: "; it is valid only for the account that it came from: leave the `thinking` blocks out",
    };

    const RESPONSES: Self = Self {
        input: "input",
        instructions: "instructions",
        summary: "reasoning.summary",
        verbosity: Some("text.verbosity"),
        format: "text.format",
        schema: "text.format.schema",
        function: "",
        parameters: "parameters",
        without_reasoning: "; it is valid only for the account that it came from: leave items of type `reasoning` and `compaction` out, and send the other items in `input` instead of continuing a stored response",
    };

    fn of(dialect: &DialectNotes) -> &'static Self {
        match dialect {
            DialectNotes::Chat => &Self::CHAT,
            DialectNotes::Messages(_) => &Self::MESSAGES,
            DialectNotes::Responses(_) => &Self::RESPONSES,
        }
    }
}

impl FieldMap {
    /// The fields of the request to which the notes belong.
    pub(super) fn of(notes: &PlanNotes) -> Self {
        let names = FieldNames::of(&notes.dialect);
        let offered = notes.tools.iter().flat_map(|tools| &tools.offered);
        let function = |(position, offered): (usize, &OfferedTool)| {
            let path = offered.path.clone();
            let path = path.unwrap_or_else(|| format!("tools[{position}]"));
            let field = path + names.function;
            (upstream_name(&offered.name).into_owned(), field)
        };
        Self {
            effort: notes.effort.clone(),
            functions: offered.enumerate().map(function).collect(),
            names,
            dots_indices: matches!(notes.dialect, DialectNotes::Messages(_)),
        }
    }

    /// Rewrites the problem for the client. Other problems are returned unchanged.
    pub(super) fn translate(&self, mut problem: Problem) -> Problem {
        if problem.code.as_deref() != Some(CODE) {
            return problem;
        }
        if is_foreign_reasoning(&problem.message) {
            problem.code = Some(FOREIGN_REASONING.to_owned());
            problem.message.push_str(self.names.without_reasoning);
            problem.param = Some(self.names.input.to_owned());
            return problem;
        }
        let Some(upstream) = problem.param.take() else {
            return problem;
        };
        let field = self.field(&upstream, &problem.message);
        let field = match field {
            Some(field) if self.dots_indices => Some(dotted(&field)),
            field => field,
        };
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
            ("input", _) => self.names.input,
            ("instructions", _) => self.names.instructions,
            ("model", "") => "model",
            ("reasoning", ".effort") => self.effort.as_deref()?,
            ("reasoning", ".summary") => self.names.summary,
            ("text", _) if rest.starts_with(".format.schema") => self.names.schema,
            ("text", _) if rest.starts_with(".format") => self.names.format,
            ("text", ".verbosity") => self.names.verbosity?,
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
            "parameters" => format!("{field}.{}", self.names.parameters),
            "name" | "description" => format!("{field}.{within}"),
            _ => field.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
