//! What a turn is asked for with besides its brief, and what comes of it.

use std::sync::Arc;
use std::time::Instant;

use airlock_base::clock;
use airlock_base::resizable_semaphore::SemaphorePermit;
use airlock_base::wake_flag::WakeFlag;
use airlock_types::failure::Failure;
use airlock_types::wit::Ending;

/// The right to run a turn. Turns that never run at once may share one: the permit is released when all have ended.
pub type Permit = Arc<SemaphorePermit>;

/// What a turn has besides its brief.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The source that its events name.
    pub source: u32,
    /// Kept until Codex has really ended the turn.
    pub permit: Permit,
    /// Set whenever the turn has output. Several turns may share one.
    pub wake: Arc<WakeFlag>,
    /// Bytes of its events that may wait.
    pub buffer_bytes: usize,
    /// Requests to the model that it may make for one response to a client.
    pub model_requests: usize,
}

/// How a turn ended, and why, for the log.
#[derive(Debug)]
pub struct TurnOutcome {
    /// When, in Unix milliseconds.
    pub at: u64,
    /// When it was known here.
    pub known: Instant,
    /// What the policy is told.
    pub ending: Ending,
    /// What Codex said, for the log alone.
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
impl Terms {
    /// Those of a turn that is alone, of this source, whose events may take up so many bytes.
    pub fn alone(source: u32, buffer_bytes: usize) -> Self {
        let mut permits = airlock_base::resizable_semaphore::ResizableSemaphore::new(1)
            .try_acquire(1)
            .unwrap();
        Self {
            source,
            permit: permits.remove(0),
            wake: Arc::default(),
            buffer_bytes,
            model_requests: 8,
        }
    }
}
