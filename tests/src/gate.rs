//! A gate: a point where a script waits until the test opens it.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A gate that is closed initially. Clones share its state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Releases all current and future waiters.
    pub fn open(&self) {
        // Closing the semaphore fails every `acquire`, which `pass` takes for the gate being open.
        self.0.close();
    }

    /// Waits until the gate is open. There is no timeout: the test that drives the script has one.
    pub async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
