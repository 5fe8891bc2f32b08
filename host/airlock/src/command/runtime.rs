//! The tokio runtime of a command.

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use super::error::CommandError;

/// How long blocking work may go on after the command has ended.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs a command on a runtime of one thread.
pub(super) fn with_runtime<T>(
    work: impl FnOnce(&Runtime) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    with_workers(1, work)
}

/// Runs a command on a runtime with so many threads.
pub(super) fn with_workers<T>(
    workers: usize,
    work: impl FnOnce(&Runtime) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let mut builder = match workers {
        // The calling thread is the only one: no wake-ups between threads, and no locks against them.
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers.max(1)).enable_all().build();
    let runtime = runtime
        .context("cannot start the runtime")
        .map_err(CommandError::Failure)?;
    let done = work(&runtime);
    // Dropping the runtime would wait for blocking work without a deadline.
    runtime.shutdown_timeout(SHUTDOWN);
    done
}
