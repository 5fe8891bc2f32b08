//! Resource usage of a running server: CPU time of its threads, and memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use airlock_tests::{process, within};
use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::PATIENCE;

/// The most CPU time of a server at rest between two polls. Airlock's epoch clock for policies keeps ticking.
const REST: Duration = Duration::from_millis(1);

/// The interval of polls.
const LOOK: Duration = Duration::from_millis(50);

/// CPU time that each thread of a process has used so far, in nanoseconds.
pub(super) struct Used {
    threads: HashMap<OsString, u64>,
}

impl Used {
    /// The CPU time of a process, now (`schedstat`).
    pub(super) fn by(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            // A thread may exit meanwhile. Then it was idle, as threads for blocking work are.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().unwrap_or_default();
            threads.insert(thread.file_name(), first.parse().unwrap_or_default());
        }
        Ok(Self { threads })
    }

    /// The CPU time of a process once it is at rest. Work after an answer counts too: a thread is unsubscribed, and others are
    /// prewarmed.
    pub(super) async fn at_rest(pid: u32) -> Result<Self> {
        let settled = async {
            let mut look = interval(LOOK);
            look.tick().await;
            let mut known = Self::by(pid)?;
            loop {
                look.tick().await;
                let now = Self::by(pid)?;
                if now.since(&known) < REST {
                    return Ok(now);
                }
                known = now;
            }
        };
        within(PATIENCE, "a server at rest", settled).await?
    }

    /// The CPU time since `before`, also if threads have started or exited.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let threads = self.threads.iter().map(|(thread, used)| {
            let earlier = before.threads.get(thread).copied().unwrap_or_default();
            used.saturating_sub(earlier)
        });
        Duration::from_nanos(threads.sum())
    }
}

/// Records the peak memory of a process. Returns only with an error.
pub(super) async fn watch<T>(pid: u32, most: &mut u64) -> Result<T> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        look.tick().await;
        *most = process::resident(pid)?.max(*most);
    }
}
