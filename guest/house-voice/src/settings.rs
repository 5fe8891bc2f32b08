//! The house's settings, which stand beside the shipped policy's own.

use airlock_shipped_policy::bindings::airlock::policy::types::{Problem, ProblemKind};
use airlock_shipped_policy::bindings::exports::airlock::policy::manifest::{Setting, Takes};
use serde::Deserialize;

/// What the house may set. The shipped settings are among the members that are skipped.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct HouseVoiceSettings {
    /// Put before the system prompt.
    pub(crate) voice: String,
    /// Words and phrases that a question may not hold.
    pub(crate) refuse: Vec<String>,
}

impl HouseVoiceSettings {
    /// Reads what the host gave. Nothing is no voice and no refusals.
    ///
    /// # Errors
    ///
    /// `internal` where it cannot be read, or a phrase to refuse has no word in it.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let settings: Self = Some(text)
            // An array would be read too, member by member.
            .filter(|text| text.trim_start().starts_with('{'))
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| invalid("`voice` must be a text and `refuse` a list of texts"))?;
        let wordless = |phrase: &String| !phrase.chars().any(char::is_alphanumeric);
        if settings.refuse.iter().any(wordless) {
            return Err(invalid("each text of `refuse` must hold a word"));
        }
        Ok(settings)
    }
}

/// What the manifest says of them.
pub(crate) fn described() -> [Setting; 2] {
    [
        Setting {
            name: "voice".to_owned(),
            summary: "What is put before the system prompt of each request.".to_owned(),
            takes: Takes::Text,
            default: Some("\"\"".to_owned()),
        },
        Setting {
            name: "refuse".to_owned(),
            summary: "Words and phrases: a request whose last user message holds one is refused."
                .to_owned(),
            takes: Takes::Texts,
            default: Some("[]".to_owned()),
        },
    ]
}

fn invalid(what: &str) -> Problem {
    Problem {
        kind: ProblemKind::Internal,
        code: Some("invalid_settings".to_owned()),
        message: format!("the policy cannot read its settings: {what}"),
        param: None,
        retry_after_seconds: None,
    }
}
