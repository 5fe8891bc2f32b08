//! Disturbances during the requests: children are killed, and policies swapped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{interval_at, sleep};

use crate::Gateway;
use crate::policies::reworded;

/// The interval between kills, and the time before the first.
const KILL_INTERVAL: Duration = Duration::from_secs(20);
const FIRST_KILL: Duration = Duration::from_secs(5);

/// The interval between swaps.
const SWAP_INTERVAL: Duration = Duration::from_secs(5);

/// Time after a kill in which a new request may still be given to the child, or find none ready.
const NOTICED: Duration = Duration::from_secs(1);

/// The prefix of the shipped policy's IDs, and names and prefixes of two builds that differ in nothing else.
const IDS: &str = "chatcmpl-";
const BUILDS: [(&str, &str); 2] = [("one", "chatcmp1-"), ("two", "chatcmp2-")];

/// Times of kills, and counts of swaps and violations.
#[derive(Debug, Default)]
pub(super) struct DisturbanceLog {
    at: Mutex<Vec<Instant>>,
    violations: watch::Sender<usize>,
    swaps: AtomicUsize,
}

impl DisturbanceLog {
    pub(super) fn kills(&self) -> usize {
        self.at.lock().len()
    }

    /// Whether a child was killed since then, or at most `NOTICED` before.
    pub(super) fn was_killed_since(&self, began: Instant) -> bool {
        let at = self.at.lock();
        at.iter().any(|at| *at + NOTICED >= began)
    }

    fn killed(&self) {
        let mut at = self.at.lock();
        at.push(Instant::now());
    }

    pub(super) fn violated(&self) {
        self.violations.send_modify(|violations| *violations += 1);
    }

    /// Completes when there are `count` violations.
    pub(super) async fn violations_reach(&self, count: usize) {
        let mut violations = self.violations.subscribe();
        // It fails only without a sender, which `self` holds.
        let _ = violations.wait_for(|violations| *violations >= count).await;
    }

    pub(super) fn swaps(&self) -> usize {
        self.swaps.load(Ordering::Relaxed)
    }
}

/// Two builds of the shipped policy with their names.
pub(super) fn builds() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let path = crate::components::SHIPPED;
    let shipped = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let builds = BUILDS.iter().map(|(name, ids)| {
        let component = reworded(&shipped, IDS, ids)?;
        Ok((*name, component))
    });
    builds.collect()
}

/// Kills a random child at each interval.
pub(super) async fn killing(
    gateway: &Gateway,
    events: &DisturbanceLog,
    mut random: StdRng,
) -> Result<()> {
    sleep(FIRST_KILL).await;
    loop {
        let mut children = gateway.children();
        if !children.is_empty() {
            let child = children.swap_remove(random.random_range(0..children.len()));
            events.killed();
            child.kill();
        }
        sleep(KILL_INTERVAL).await;
    }
}

/// Activates the builds in turn.
pub(super) async fn swapping(gateway: &Gateway, events: &DisturbanceLog) -> Result<()> {
    let mut ticks = interval_at(tokio::time::Instant::now() + SWAP_INTERVAL, SWAP_INTERVAL);
    for (name, _) in BUILDS.iter().cycle() {
        ticks.tick().await;
        gateway.admin().activate(name, None).await?;
        events.swaps.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
