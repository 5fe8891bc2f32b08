//! The part of a Responses API request that the scripted model reads.

use serde::Deserialize;
use serde_json::Value;

use super::scenario::Scenario;

/// A tool that Codex (0.169) always offers, and answers itself.
const CODEXS_OWN: &str = "request_user_input";

/// The texts that the shipped policy writes before and after the hint of a fan-out's candidate.
const HINT_BEFORE: &str = "Approach the user's request from this angle:";
const HINT_AFTER: &str = "The angle guides where you look";

/// The fields of a request on which the answer depends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelRequest {
    pub(super) model: String,
    instructions: Option<String>,
    input: Vec<RequestItem>,
    tools: Vec<RequestTool>,
    text: TextOptions,
    reasoning: Option<RequestReasoning>,
    /// Bytes of the request, from which its tokens are estimated.
    #[serde(skip)]
    pub(super) bytes: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestItem {
    r#type: String,
    role: String,
    content: Vec<InputPart>,
    /// The function's name, in a call.
    name: String,
    call_id: String,
    /// The result, in the output of a call: a string, or content parts.
    output: Value,
}

/// A tool that may be called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RequestTool {
    r#type: String,
    pub(super) name: String,
    pub(super) parameters: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputPart {
    r#type: String,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TextOptions {
    format: Option<TextFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TextFormat {
    schema: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestReasoning {
    summary: Option<String>,
}

impl ModelRequest {
    /// Parses a request. None: the body is not one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let request: Self = serde_json::from_slice(body).ok()?;
        (!request.model.is_empty()).then_some(Self {
            bytes: body.len(),
            ..request
        })
    }

    /// The user's last message, as text.
    pub(super) fn question(&self) -> String {
        let last = self.user_messages().next_back();
        let texts = last
            .into_iter()
            .flat_map(|item| &item.content)
            .map(|part| part.text.as_str());
        texts
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The hint, in the request of a fan-out's candidate.
    pub(super) fn hint(&self) -> Option<&str> {
        let texts = self.instructions();
        texts.into_iter().find_map(|text| {
            let (_, hint) = text.split_once(HINT_BEFORE)?;
            let (hint, _) = hint.split_once(HINT_AFTER)?;
            Some(hint.trim())
        })
    }

    /// The scenario that the user's last message names, else the one that the instructions name. They contain a candidate's hint.
    pub(super) fn scenario(&self) -> Scenario {
        let question = self.question();
        let texts = [question.as_str()].into_iter().chain(self.instructions());
        Scenario::named(texts)
    }

    /// The functions to call: those that the user's last message names, else the first one if a call is required. Empty once
    /// calls have results.
    pub(super) fn wanted(&self) -> Vec<&RequestTool> {
        let offered = || {
            let functions = self.tools.iter().filter(|tool| tool.r#type == "function");
            functions.filter(|tool| tool.name != CODEXS_OWN)
        };
        let question = self.question();
        let named: Vec<_> = offered()
            .filter(|tool| question.contains(&tool.name))
            .collect();
        let required = self
            .instruction_lines()
            .any(|line| line.starts_with("You must answer by calling"));
        if !self.results().is_empty() {
            Vec::new()
        } else if named.is_empty() && required {
            offered().take(1).collect()
        } else {
            named
        }
    }

    /// The results of calls since the user's last message: each with the function's name, as text.
    pub(super) fn results(&self) -> Vec<(&str, String)> {
        let last = self.input.iter().rposition(|item| item.role == "user");
        let since = self.input.iter().skip(last.map_or(0, |last| last + 1));
        let results = since.filter(|item| item.r#type == "function_call_output");
        let named = results.map(|result| {
            let call = self
                .input
                .iter()
                .find(|item| item.r#type == "function_call" && item.call_id == result.call_id);
            let text = match &result.output {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (call.map_or("a function", |call| call.name.as_str()), text)
        });
        named.collect()
    }

    /// The number of images in the user's last message.
    pub(super) fn images(&self) -> usize {
        let last = self.user_messages().next_back();
        last.into_iter()
            .flat_map(|item| &item.content)
            .filter(|part| part.r#type == "input_image")
            .count()
    }

    /// The number of messages, of the user and the assistant, before the last one.
    pub(super) fn earlier(&self) -> usize {
        let messages = self
            .input
            .iter()
            .filter(|item| matches!(item.role.as_str(), "user" | "assistant"));
        messages.count().saturating_sub(1)
    }

    /// The schema that the answer must satisfy.
    pub(super) fn schema(&self) -> Option<&Value> {
        self.text.format.as_ref()?.schema.as_ref()
    }

    /// Whether the instructions require one JSON object as the answer. Codex has no field for it, so a policy requests it in
    /// prose: by a line with `JSON object` and `nothing else`.
    pub(super) fn wants_object(&self) -> bool {
        self.instruction_lines().any(|line| {
            let line = line.to_lowercase();
            line.contains("json object") && line.contains("nothing else")
        })
    }

    /// The lines of the instructions.
    fn instruction_lines(&self) -> impl Iterator<Item = &str> {
        self.instructions().into_iter().flat_map(str::lines)
    }

    /// The instructions: the texts of developer and system messages, and the field `instructions`.
    fn instructions(&self) -> Vec<&str> {
        let messages = self.input.iter();
        let texts = messages
            .filter(|item| matches!(item.role.as_str(), "developer" | "system"))
            .flat_map(|item| &item.content)
            .map(|part| part.text.as_str());
        texts.chain(self.instructions.as_deref()).collect()
    }

    /// Whether a reasoning summary is requested.
    pub(super) fn wants_summary(&self) -> bool {
        let summary = self
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.summary.as_deref());
        summary.is_some_and(|summary| summary != "none")
    }

    fn user_messages(&self) -> impl DoubleEndedIterator<Item = &RequestItem> {
        self.input.iter().filter(|item| item.role == "user")
    }
}
