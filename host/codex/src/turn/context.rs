//! What a turn is started with besides its brief.

use std::sync::Arc;

use airlock_base::resizable_semaphore::SemaphorePermit;
use airlock_base::wake_flag::WakeFlag;

/// The right to run a turn. Turns that never run concurrently may share a permit, which is released when all have ended.
pub type Permit = Arc<SemaphorePermit>;

/// The source, permit, wake flag and bounds of a turn.
#[derive(Debug, Clone)]
pub struct TurnContext {
    /// The source that its events name.
    pub source: u32,
    /// Held until Codex has ended the turn.
    pub permit: Permit,
    /// Set whenever the turn has output. Several turns may share one.
    pub wake: Arc<WakeFlag>,
    /// Bytes of events that may be queued.
    pub buffer_bytes: usize,
    /// Requests to the model that the turn may make for one response to a client.
    pub model_requests: usize,
    /// Whether the turn reports the raw items of the model: reasoning, web searches, and messages with annotations.
    pub raw_items: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
impl TurnContext {
    /// The context of a turn that shares neither permit nor wake flag.
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
            raw_items: false,
        }
    }
}
