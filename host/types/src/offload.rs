//! Moves work that would hold up the serving thread to a blocking thread of tokio.

use tokio::task::spawn_blocking;

use crate::failure::Failure;
use crate::wit::ProblemKind;

/// The bytes from which on work takes a millisecond or more, so that it moves to a blocking thread.
pub const LARGE: usize = 1 << 20;

/// Runs work on this many bytes: on a blocking thread from [`LARGE`] on, else on the calling thread.
///
/// # Errors
/// The work panicked on a blocking thread.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes < LARGE {
        return Ok(work());
    }
    blocking(work).await
}

/// Runs work on a blocking thread.
///
/// # Errors
/// The work panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work).await.map_err(|error| {
        let message = "The request could not be worked on.";
        Failure::new(ProblemKind::Internal, "internal_error", message).because(error)
    })
}
