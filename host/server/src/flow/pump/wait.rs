//! Waiting for the events of the turns, for a panel's time, and for the next heartbeat.

use tokio::time::{Instant, sleep_until};

use super::Pump;

impl Pump {
    /// Waits for events of the turns. True: it is time for a heartbeat first. The turn's task watches its timeout. Cancel
    /// safe.
    pub(in crate::flow) async fn wait(&mut self) -> bool {
        loop {
            let due = self.last_sent + self.heartbeat;
            let timer = self.heartbeat_timer.take();
            let mut timer = timer.unwrap_or_else(|| Box::pin(sleep_until(due)));
            let fired = tokio::select! {
                biased;
                () = self.receive() => false,
                () = &mut timer => true,
            };
            if !fired {
                self.heartbeat_timer = Some(timer);
                return false;
            }
            // Pieces may have been sent since the timer was set.
            if Instant::now() >= due {
                // The next heartbeat is due in a full interval, even if this one is not taken.
                self.last_sent = Instant::now();
                return true;
            }
        }
    }

    /// Waits until a step can be taken. Cancel safe.
    pub(super) async fn receive(&mut self) {
        let wake = self.fan_out.as_ref().and_then(|fan_out| fan_out.wake());
        let (mut fresh, mut settled) = (std::mem::take(&mut self.fresh), Vec::new());
        tokio::select! {
            biased;
            // Cancel safe: it appends only when it completes.
            () = self.turns.receive(&mut fresh, &mut settled) => {}
            () = until(wake) => {}
        }
        self.absorb(&mut fresh, settled);
        fresh.clear();
        self.fresh = fresh;
    }
}

/// Completes at this time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
