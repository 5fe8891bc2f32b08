//! Tasks: named, traced, and waited for at shutdown. The only place that says `tokio::spawn`.

pub(crate) mod spawner; // what starts processes

use std::fs;
use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of one gateway, and the signal that ends them. Clones share both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task under this name. It ends by itself or when it sees `stopping`.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        tokio::spawn(
            self.tracker
                .track_future(task.instrument(tracing::debug_span!("task", name))),
        );
    }

    /// Completes when the gateway stops.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Tells every task to stop, and waits until the last has. The caller sets the deadline.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Bytes that a process, or this one, has in memory. None: it has ended, or the system does not tell.
pub(crate) fn resident_bytes(process: Option<u32>) -> Option<u64> {
    let process = process.map_or("self".to_owned(), |number| number.to_string());
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines();
    let row = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = row.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
