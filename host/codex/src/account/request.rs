//! A client's request to sign in, checked before Codex receives it: Codex accepts any text as a key (0.169.0).

pub use super::invalid_field::InvalidField;
use super::tokens::ChatGptTokens;
use airlock_base::secrets::Secret;

/// The longest key that is accepted, in characters. OpenAI's have about 165.
const LONGEST_KEY: usize = 512;

/// A way to sign in.
#[derive(Debug)]
pub enum SignInRequest {
    /// With a device code that a person types in a browser.
    DeviceCode,
    /// With a key of OpenAI's API.
    ApiKey(Secret),
    /// With ChatGPT tokens that the operator renews.
    Tokens(ChatGptTokens),
}

impl SignInRequest {
    /// A sign-in with this API key, trimmed. It need not begin with `sk-`, as keys of other providers do not.
    ///
    /// # Errors
    /// The key is empty, too long, or not printable ASCII.
    pub fn api_key(key: &str) -> Result<Self, InvalidField> {
        let key = key.trim();
        let fault = if key.is_empty() {
            "is empty"
        } else if key.len() > LONGEST_KEY {
            "is longer than any key"
        } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            "contains a character that is not printable ASCII, such as a space"
        } else {
            return Ok(Self::ApiKey(Secret::new(key)));
        };
        Err(InvalidField::new("api_key", fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_key_is_one() {
        for key in ["sk-proj-abc", "another-kind", " sk-a\n"] {
            assert!(SignInRequest::api_key(key).is_ok(), "{key}");
        }
        let long = "k".repeat(LONGEST_KEY + 1);
        for key in [
            "",
            " \t",
            "sk-a b",
            "sk-a\u{0}",
            "sk-\u{1b}[1m",
            "sk-ä",
            &long,
        ] {
            let refused = SignInRequest::api_key(key);
            assert!(
                refused.is_err_and(|fault| fault.param == "api_key"),
                "{key}"
            );
        }
    }
}
