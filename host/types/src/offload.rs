//! Work that would keep the serving thread for too long, run on a blocking thread of tokio's.

use tokio::task::spawn_blocking;

use crate::failure::Failure;
use crate::wit::ProblemKind;

/// Bytes from which on going through them keeps others waiting: a millisecond and more.
pub const LARGE: usize = 1 << 20;

/// Does work on so many bytes: on many by a thread of its own, for whoever serves has others to serve.
///
/// # Errors
/// The work panicked, on that thread.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes < LARGE {
        return Ok(work());
    }
    blocking(work).await
}

/// Does work on a thread of its own, whatever its size.
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
