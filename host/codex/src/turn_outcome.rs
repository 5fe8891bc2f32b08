//! How a turn ended.

use std::time::Instant;

use airlock_base::clock;
use airlock_types::failure::Failure;
use airlock_types::wit::Ending;

/// How a turn ended, with the cause for the log.
#[derive(Debug)]
pub struct TurnOutcome {
    /// When the turn ended, in Unix milliseconds.
    pub at: u64,
    /// When the gateway received the end.
    pub known: Instant,
    /// The ending, for the policy.
    pub ending: Ending,
    /// Codex's report of a failure, for the log only.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<Ending> for TurnOutcome {
    fn from(ending: Ending) -> Self {
        Self {
            at: clock::unix_ms(),
            known: Instant::now(),
            ending,
            cause: None,
        }
    }
}

impl From<Failure> for TurnOutcome {
    fn from(failure: Failure) -> Self {
        Self {
            at: clock::unix_ms(),
            known: Instant::now(),
            ending: Ending::Failed(failure.problem),
            cause: failure.cause,
        }
    }
}
