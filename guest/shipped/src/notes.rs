//! What the translator must know of a request, carried by the plan from `prompt` to `translate`.

use serde::{Deserialize, Serialize};

use crate::json;

/// The plan's notes. Absent fields mean no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// Answer with server-sent events.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) streaming: bool,
    /// End the stream with a chunk of usage.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) include_usage: bool,
    /// Send reasoning as `reasoning_content`.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) reasoning: bool,
    /// What the client expects to parse from the answer.
    #[serde(skip_serializing_if = "Structure::is_free")]
    pub(crate) structure: Structure,
}

/// What the client expects to parse from the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Structure {
    /// Any text.
    #[default]
    Free,
    /// One JSON object, which nobody has enforced: it must be checked.
    Object,
    /// JSON of a schema, which the model enforces.
    Schema,
}

impl Structure {
    fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

impl Notes {
    /// Compact JSON.
    pub(crate) fn to_text(self) -> String {
        json::to_line(&self)
    }

    /// Reads what `to_text` wrote. The host passes notes back unread, so anything else means no.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_no(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_as_written() {
        for structure in [Structure::Free, Structure::Object, Structure::Schema] {
            for bits in 0..8 {
                let notes = Notes {
                    streaming: bits & 1 != 0,
                    include_usage: bits & 2 != 0,
                    reasoning: bits & 4 != 0,
                    structure,
                };
                assert_eq!(Notes::from_text(&notes.to_text()), notes);
            }
        }
        assert_eq!(Notes::default().to_text(), "{}");
        assert_eq!(Notes::from_text("not ours"), Notes::default());
    }
}
