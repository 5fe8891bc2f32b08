//! What the scripted model reads of a request. It knows just enough of the Responses API.

use serde::Deserialize;
use serde_json::Value;

/// A request, as far as the answer depends on it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) model: String,
    instructions: Option<String>,
    input: Vec<Item>,
    text: Text,
    reasoning: Option<Reasoning>,
    /// Bytes of the request, from which its tokens are guessed.
    #[serde(skip)]
    pub(super) bytes: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    role: String,
    content: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    r#type: String,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    format: Option<Format>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Format {
    schema: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reasoning {
    summary: Option<String>,
}

impl Asked {
    /// Reads a request, or None where it is not one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let asked: Self = serde_json::from_slice(body).ok()?;
        (!asked.model.is_empty()).then_some(Self {
            bytes: body.len(),
            ..asked
        })
    }

    /// The user's last words.
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

    /// Images in the user's last message.
    pub(super) fn images(&self) -> usize {
        let last = self.user_messages().next_back();
        last.into_iter()
            .flat_map(|item| &item.content)
            .filter(|part| part.r#type == "input_image")
            .count()
    }

    /// Messages of both sides before the user's last.
    pub(super) fn earlier(&self) -> usize {
        let spoken = self
            .input
            .iter()
            .filter(|item| matches!(item.role.as_str(), "user" | "assistant"));
        spoken.count().saturating_sub(1)
    }

    /// The schema that the answer must satisfy.
    pub(super) fn schema(&self) -> Option<&Value> {
        self.text.format.as_ref()?.schema.as_ref()
    }

    /// Whether the instructions want one JSON object as the answer. Codex has no field for it, so a policy asks in
    /// words: a line that speaks of a JSON object and of nothing else.
    pub(super) fn wants_object(&self) -> bool {
        let developers = self.input.iter();
        let told = developers
            .filter(|item| matches!(item.role.as_str(), "developer" | "system"))
            .flat_map(|item| &item.content)
            .map(|part| part.text.as_str());
        told.chain(self.instructions.as_deref())
            .flat_map(str::lines)
            .any(|line| {
                let line = line.to_lowercase();
                line.contains("json object") && line.contains("nothing else")
            })
    }

    /// Whether a summary of the reasoning is wanted.
    pub(super) fn wants_summary(&self) -> bool {
        let summary = self
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.summary.as_deref());
        summary.is_some_and(|summary| summary != "none")
    }

    fn user_messages(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.input.iter().filter(|item| item.role == "user")
    }
}
