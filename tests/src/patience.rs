//! Timeouts of tests: every wait is bounded, and its error names what was awaited.

use std::time::Duration;

use anyhow::{Result, bail};

/// Timeout of everything that should happen at once. It is long because a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits at most `PATIENCE`. `what` names the awaited event in the error.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    within(PATIENCE, what, wait).await
}

/// Waits at most `limit`. `what` names the awaited event in the error.
pub async fn within<T>(limit: Duration, what: &str, wait: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(limit, wait).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("{what}: nothing after {limit:?}"),
    }
}
