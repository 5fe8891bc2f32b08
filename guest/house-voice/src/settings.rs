//! The policy's own settings, which accompany the shipped ones.

use airlock_shipped_policy::bindings::airlock::policy::types::{Problem, ProblemKind};
use airlock_shipped_policy::bindings::exports::airlock::policy::manifest::{Setting, Takes};
use serde::Deserialize;

/// The policy's own settings. The shipped ones are skipped.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct HouseVoiceSettings {
    /// The text before the system prompt.
    pub(crate) voice: String,
    /// Words and phrases that the last user message must not contain.
    pub(crate) refuse: Vec<String>,
}

impl HouseVoiceSettings {
    /// Parses the settings. An empty text gives no voice and no refusals.
    ///
    /// # Errors
    ///
    /// `internal` if they cannot be parsed, or if a phrase to refuse contains no word.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let settings: Self = Some(text)
            // serde would accept an array too, member by member.
            .filter(|text| text.trim_start().starts_with('{'))
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| invalid("`voice` must be a string and `refuse` a list of strings"))?;
        let wordless = |phrase: &String| !phrase.chars().any(char::is_alphanumeric);
        if settings.refuse.iter().any(wordless) {
            return Err(invalid("each text of `refuse` must contain a word"));
        }
        Ok(settings)
    }
}

/// The manifest's descriptions of the settings.
pub(crate) fn described() -> [Setting; 2] {
    [
        Setting {
            name: "voice".to_owned(),
            summary: "Text before the system prompt of each request.".to_owned(),
            takes: Takes::Text,
            default: Some("\"\"".to_owned()),
        },
        Setting {
            name: "refuse".to_owned(),
            summary:
                "Words and phrases: a request whose last user message contains one is refused."
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
