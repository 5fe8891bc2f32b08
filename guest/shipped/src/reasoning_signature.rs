//! The `signature` of a `thinking` block of the Messages API: the reasoning item of the Responses API from which the
//! block was made, encoded for the client to return unchanged.
//!
//! It is `airlock.1.` and the base64url (RFC 4648, section 5, without padding) of a JSON object with `id` and
//! `encrypted_content`. It is neither secret nor authenticated: `encrypted_content` is the model's own ciphertext, and a
//! client could send any reasoning item to the model.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::json;

/// The prefix of this version of the encoding.
const PREFIX: &str = "airlock.1.";

/// The members of a reasoning item besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReasoningSignature {
    /// The model's id of the item: `rs_…`.
    pub(crate) id: String,
    /// The reasoning as the model encrypted it. None if the model did not return it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encrypted_content: Option<String>,
}

impl ReasoningSignature {
    /// The signature of a reasoning item.
    pub(crate) fn of(id: Option<&str>, encrypted_content: Option<&str>) -> Self {
        Self {
            id: id.unwrap_or_default().to_owned(),
            encrypted_content: encrypted_content.map(str::to_owned),
        }
    }

    /// The signature as ASCII text.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::from(PREFIX);
        URL_SAFE_NO_PAD.encode_string(json::to_line(self), &mut text);
        text
    }

    /// Parses what [`Self::encode`] wrote. None for any other text, such as a signature of Anthropic.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let object = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        serde_json::from_slice(&object).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_survives_a_round_trip() {
        let id = "rs_\"1\u{2028}".to_owned();
        for encrypted_content in [None, Some(String::new()), Some("gAAA=+/\n".repeat(1000))] {
            let signature = ReasoningSignature {
                id: id.clone(),
                encrypted_content,
            };
            let text = signature.encode();
            assert!(text.is_ascii() && !text.contains(['"', '\\', '=', '\n']));
            assert_eq!(ReasoningSignature::decode(&text), Some(signature));
        }
    }

    #[test]
    fn another_text_is_no_signature() {
        let known = ReasoningSignature {
            id: "rs_1".to_owned(),
            encrypted_content: None,
        };
        assert_eq!(known.encode(), "airlock.1.eyJpZCI6InJzXzEifQ");
        for other in [
            "",
            "airlock.1.",
            "airlock.2.eyJpZCI6InJzXzEifQ",
            "airlock.1.eyJpZCI6InJzXzEifQ==",
            "airlock.1.e30",
            "airlock.1.!",
            "EqQBCkgIARABGAIiQL2",
        ] {
            assert_eq!(ReasoningSignature::decode(other), None, "{other}");
        }
    }
}
