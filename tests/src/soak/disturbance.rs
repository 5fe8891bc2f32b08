//! What goes on beside the requests: children are killed, and policies swapped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{interval_at, sleep};

use crate::Gateway;
use crate::policies::reworded;

/// From one kill to the next, and before the first.
const KILL: Duration = Duration::from_secs(20);
const FIRST: Duration = Duration::from_secs(5);

/// From one swap to the next.
const SWAP: Duration = Duration::from_secs(5);

/// How long after a child was killed a request may still be given to it, or find none that is ready.
const NOTICED: Duration = Duration::from_secs(1);

/// What the ids of the shipped policy begin with, and what they begin with in two builds that differ in nothing else.
const IDS: &str = "chatcmpl-";
const BUILDS: [(&str, &str); 2] = [("one", "chatcmp1-"), ("two", "chatcmp2-")];

/// When children were killed, and what was wrong meanwhile.
#[derive(Debug, Default)]
pub(super) struct Events {
    at: Mutex<Vec<Instant>>,
    violations: watch::Sender<usize>,
    swaps: AtomicUsize,
}

impl Events {
    pub(super) fn kills(&self) -> usize {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a child was killed since then, or just before.
    pub(super) fn was_killed_since(&self, began: Instant) -> bool {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.iter().any(|at| *at + NOTICED >= began)
    }

    fn killed(&self) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.push(Instant::now());
    }

    pub(super) fn violated(&self) {
        self.violations.send_modify(|violations| *violations += 1);
    }

    /// Completes when there are so many violations.
    pub(super) async fn violations_reach(&self, count: usize) {
        let mut violations = self.violations.subscribe();
        // It fails only without a sender, which is here.
        let _ = violations.wait_for(|violations| *violations >= count).await;
    }

    pub(super) fn swaps(&self) -> usize {
        self.swaps.load(Ordering::Relaxed)
    }
}

/// Two builds of the shipped policy, with their names.
pub(super) fn builds() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let path = crate::components::SHIPPED;
    let shipped = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let builds = BUILDS.iter().map(|(name, ids)| {
        let component = reworded(&shipped, IDS, ids)?;
        Ok((*name, component))
    });
    builds.collect()
}

/// Events one of the children, whichever, again and again.
pub(super) async fn killing(gateway: &Gateway, events: &Events, mut random: StdRng) -> Result<()> {
    sleep(FIRST).await;
    loop {
        let mut children = gateway.children();
        if !children.is_empty() {
            let child = children.swap_remove(random.random_range(0..children.len()));
            events.killed();
            child.kill();
        }
        sleep(KILL).await;
    }
}

/// Activates one build after the other.
pub(super) async fn swapping(gateway: &Gateway, events: &Events) -> Result<()> {
    let mut ticks = interval_at(tokio::time::Instant::now() + SWAP, SWAP);
    for (name, _) in BUILDS.iter().cycle() {
        ticks.tick().await;
        gateway.admin().activate(name, None).await?;
        events.swaps.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
