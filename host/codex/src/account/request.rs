//! What somebody wants to sign in with, checked before Codex sees it: Codex takes any text for a key (0.169.0).

use super::tokens::Tokens;
use airlock_base::secrets::Secret;

/// Characters of the longest key that is taken. OpenAI's have about 165.
const LONGEST_KEY: usize = 512;

/// A way to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// With a code that a person types in a browser.
    DeviceCode,
    /// With a key of OpenAI's API.
    ApiKey(Secret),
    /// With tokens of ChatGPT that somebody else keeps fresh.
    Tokens(Tokens),
}

/// What is wrong with a request.
#[derive(Debug)]
pub struct Malformed {
    /// The member of the request.
    pub param: &'static str,
    /// Why it cannot be used. Never what it says.
    pub message: String,
}

impl Malformed {
    /// An error that names the field and what is wrong with it.
    pub fn new(param: &'static str, fault: &str) -> Self {
        let message = format!("{param} {fault}");
        Self { param, message }
    }
}

impl SignIn {
    /// With this key, without the spaces around it. It need not begin with `sk-`: those of other providers do not.
    ///
    /// # Errors
    /// That it is no key, whoever made it.
    pub fn api_key(key: &str) -> Result<Self, Malformed> {
        let key = key.trim();
        let fault = if key.is_empty() {
            "is empty"
        } else if key.len() > LONGEST_KEY {
            "is longer than any key"
        } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            "has a character within it that is no printable ASCII, such as a space"
        } else {
            return Ok(Self::ApiKey(Secret::new(key)));
        };
        Err(Malformed::new("api_key", fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_key_is_one() {
        for key in ["sk-proj-abc", "another-kind", " sk-a\n"] {
            assert!(SignIn::api_key(key).is_ok(), "{key}");
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
            let refused = SignIn::api_key(key);
            assert!(
                refused.is_err_and(|fault| fault.param == "api_key"),
                "{key}"
            );
        }
    }
}
