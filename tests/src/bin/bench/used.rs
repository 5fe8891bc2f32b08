//! Resource usage of a running server: CPU time of its threads, and memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use airlock_tests::{process, within};
use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::PATIENCE;

/// What a server at rest uses between two looks at most. Airlock's clock of its policies ticks on.
const REST: Duration = Duration::from_millis(1);

/// How often a server is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// CPU time that each thread of a process has used so far, in nanoseconds.
pub(super) struct Used {
    threads: HashMap<OsString, u64>,
}

impl Used {
    /// Of a process, now (`schedstat`).
    pub(super) fn by(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            // One may end meanwhile: then it was idle, as those that wait for files are.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().unwrap_or_default();
            threads.insert(thread.file_name(), first.parse().unwrap_or_default());
        }
        Ok(Self { threads })
    }

    /// Of a process once it is at rest. What it does after an answer is its too: a thread is given back, and others are
    /// started ahead.
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

    /// What was used in between. One thread more or less does not make it wrong.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let threads = self.threads.iter().map(|(thread, used)| {
            let earlier = before.threads.get(thread).copied().unwrap_or_default();
            used.saturating_sub(earlier)
        });
        Duration::from_nanos(threads.sum())
    }
}

/// Notes the most that a process holds. Never ends but by an error.
pub(super) async fn watch<T>(pid: u32, most: &mut u64) -> Result<T> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        look.tick().await;
        *most = process::resident(pid)?.max(*most);
    }
}
