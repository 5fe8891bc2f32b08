//! Tasks: named, traced, and waited for at shutdown. The only place that says `tokio::spawn`.

pub mod spawner; // what starts processes

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of one gateway, and the signal that ends them. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when the time for running requests is over.
    abort: CancellationToken,
}

impl Tasks {
    /// Runs a task under this name. It ends by itself or when it sees `stopping`.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        tokio::spawn(
            self.tracker
                .track_future(task.instrument(tracing::debug_span!("task", name))),
        );
    }

    /// Completes when the gateway stops.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Ends the requests that run, each with an error of its own. It comes before `stop`.
    pub fn abort_requests(&self) {
        self.abort.cancel();
    }

    /// Completes when the requests that run are to end.
    pub async fn requests_aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Tells every task to stop, and waits until the last has. The caller sets the deadline.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
