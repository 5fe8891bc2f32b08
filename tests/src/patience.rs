//! How long a test waits: every wait ends, and says what it waited for.

use std::time::Duration;

use anyhow::{Result, bail};

/// How long anything may take that should happen at once. Long, since a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits at most `PATIENCE`. The error says `what` did not happen.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    within(PATIENCE, what, wait).await
}

/// Waits at most `limit`. The error says `what` did not happen.
pub async fn within<T>(limit: Duration, what: &str, wait: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(limit, wait).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("{what}: nothing after {limit:?}"),
    }
}
