//! A gate: a point in a script that waits until the test lets it pass.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        // A closed semaphore fails every wait, which is what passing looks like below.
        self.0.close();
    }

    /// Waits until it may pass. The script that waits has no deadline: the test that drives it has.
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
