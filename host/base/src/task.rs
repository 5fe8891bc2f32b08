//! Background tasks: named, traced, and awaited at shutdown (`clippy.toml` disallows `tokio::spawn` elsewhere).

pub mod spawner; // the thread that starts processes

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of one gateway, and the signals that end them. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when running requests are to end.
    abort: CancellationToken,
}

impl Tasks {
    /// Spawns a task. It ends by itself, or when [`Tasks::stopping`] completes.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the spawn that the lint recommends"
        )]
        tokio::spawn(
            self.tracker
                .track_future(task.instrument(tracing::debug_span!("task", name))),
        );
    }

    /// Completes when the gateway stops. Cancel safe.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Aborts running requests, each with an error to its client. Precedes `stop`.
    pub fn abort_requests(&self) {
        self.abort.cancel();
    }

    /// Completes when running requests are to end. Cancel safe.
    pub async fn requests_aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Signals every task to stop, and waits until all have ended. The caller sets the deadline.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
