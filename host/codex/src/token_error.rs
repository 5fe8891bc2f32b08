//! The reasons for which there is no ChatGPT token, and their codes, by which Codex reports them back.

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No source is configured.
    #[error("no codex.token_command or codex.token_url is configured")]
    NoSource,
    /// The source timed out.
    #[error("the token command or URL did not answer in time")]
    TimedOut,
    /// The source failed.
    #[error("the token command or URL failed")]
    Failed,
    /// The source's output is not a token.
    #[error("the token command or URL answered with something that is not a token")]
    Malformed,
    /// The token is of another workspace than the configured one.
    #[error("the new token is not of the configured workspace")]
    Workspace,
    /// The token is of another account than the one before: a child cannot change it (0.169.0).
    #[error("the new token is of another account than the one before")]
    Account,
    /// Somebody has signed out, or in with another account, during the fetch.
    #[error("somebody has signed out, or in with another account")]
    Overtaken,
}

impl TokenError {
    const ALL: [Self; 7] = [
        Self::NoSource,
        Self::TimedOut,
        Self::Failed,
        Self::Malformed,
        Self::Workspace,
        Self::Account,
        Self::Overtaken,
    ];

    /// The JSON-RPC error code that Codex receives. It reports only the code of an error (0.169.0).
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::NoSource => -32010,
            Self::TimedOut => -32011,
            Self::Failed => -32012,
            Self::Malformed => -32013,
            Self::Workspace => -32014,
            Self::Account => -32015,
            Self::Overtaken => -32016,
        }
    }

    /// The error with this code. Any other code is `Failed`.
    pub(crate) fn of_code(code: i64) -> Self {
        let found = Self::ALL.into_iter().find(|fault| fault.code() == code);
        found.unwrap_or(Self::Failed)
    }

    /// The message for clients.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NoSource => "no source of tokens is configured; the operator must sign in again",
            Self::TimedOut => "the source of tokens did not answer in time",
            Self::Failed => "the source of tokens failed",
            Self::Malformed => "the source of tokens answered with something that is not a token",
            Self::Workspace => "the new token is not of the configured workspace",
            Self::Account => "the new token is of another account; the operator must sign in again",
            Self::Overtaken => "the operator has signed out, or in with another account",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_its_own() {
        for fault in TokenError::ALL {
            assert_eq!(TokenError::of_code(fault.code()), fault);
        }
        assert_eq!(TokenError::of_code(-32601), TokenError::Failed);
    }
}
