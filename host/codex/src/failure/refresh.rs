//! Turns that fail because the gateway could not renew the ChatGPT token that it provides to Codex.

use airlock_wire::decode::TurnError;

use crate::token_error::TokenError;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// How such a message of Codex 0.169.0 begins. Of the gateway's error response it repeats only the code.
const REFUSED: &str = "auth refresh request failed: code=";
const TIMED_OUT: &str = "auth refresh request timed out";

/// The failure, if the error is one of these.
pub(super) fn of(error: &TurnError) -> Option<Failure> {
    let details = error.additional_details.as_deref();
    let mut texts = [Some(error.message.as_str()), details]
        .into_iter()
        .flatten();
    texts.find_map(fault).map(|fault| {
        let why = fault.message();
        let message = format!(
            "the ChatGPT token that Codex is signed in with has expired, and the gateway could not renew it: {why}"
        );
        Failure::new(
            ProblemKind::Overloaded,
            "codex_token_refresh_failed",
            message,
        )
    })
}

fn fault(text: &str) -> Option<TokenError> {
    if text.starts_with(TIMED_OUT) {
        return Some(TokenError::TimedOut);
    }
    let code = text.strip_prefix(REFUSED)?;
    let end = code.find(|c: char| c != '-' && !c.is_ascii_digit());
    let code = &code[..end.unwrap_or(code.len())];
    Some(TokenError::of_code(code.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn failure(message: &str, details: Option<&str>) -> Option<String> {
        let error = TurnError {
            message: message.to_owned(),
            codex_error_info: Some("other".into()),
            additional_details: details.map(str::to_owned),
        };
        of(&error).map(|failure| failure.problem.message)
    }

    #[test]
    fn a_refused_refresh_has_its_reason() {
        let code = TokenError::Workspace.code();
        let retried = format!("auth refresh request failed: code={code}");
        let message = failure("Reconnecting... 1/5", Some(&retried)).unwrap();
        assert!(message.contains("workspace"), "{message}");
        assert_eq!(failure(&retried, None).unwrap(), message);
        let late = failure("auth refresh request timed out after 10s", None).unwrap();
        assert!(late.contains("in time"), "{late}");
        assert!(failure("Reconnecting... 1/5", Some("stream closed")).is_none());
    }
}
