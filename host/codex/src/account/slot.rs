//! One sign-in at a time for a home, and how another one takes its place.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lock;
use super::sign_in::Reason;

/// How long one that is told to end may take. It has 2 s, and this is for a busy machine.
const END: Duration = Duration::from_secs(10);

/// The place for the one sign-in. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Running>>>);

#[derive(Clone, Debug)]
struct Running {
    stop: watch::Sender<Option<Reason>>,
    ended: CancellationToken,
}

/// The place, taken. Dropping it gives it free.
#[derive(Debug)]
pub(super) struct Place {
    slot: Slot,
    stop: watch::Receiver<Option<Reason>>,
    ended: CancellationToken,
}

impl Slot {
    /// Takes the place, where it is free.
    pub(super) fn take(&self) -> Option<Place> {
        let mut slot = lock(&self.0);
        if slot.is_some() {
            return None;
        }
        let (stop, stopped) = watch::channel(None);
        let ended = CancellationToken::new();
        *slot = Some(Running {
            stop,
            ended: ended.clone(),
        });
        Some(Place {
            slot: self.clone(),
            stop: stopped,
            ended,
        })
    }

    /// Whether somebody has it.
    pub(super) fn is_taken(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Takes the place, and ends whoever has it. None: that one does not end.
    pub(super) async fn take_over(&self, reason: Reason) -> Option<Place> {
        let patience = timeout(END, async {
            loop {
                match self.take() {
                    Some(place) => return place,
                    None => drop(self.end(reason).await),
                }
            }
        });
        patience.await.ok()
    }

    /// Ends whoever has the place, and waits until it has ended. False: nobody has it.
    pub(super) async fn end(&self, reason: Reason) -> bool {
        let running = lock(&self.0).clone();
        let Some(running) = running else {
            return false;
        };
        running
            .stop
            .send_if_modified(|stop| stop.replace(reason).is_none());
        let _ = timeout(END, running.ended.cancelled()).await;
        true
    }
}

impl Place {
    /// Completes when the one that has the place must end, with why.
    pub(super) async fn stopped(&mut self) -> Reason {
        match self.stop.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Reason::Cancelled),
            Err(_) => Reason::Cancelled,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.slot.0).take();
        self.ended.cancel();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_one_at_a_time_and_another_takes_over() {
        let slot = Slot::default();
        assert!(!slot.end(Reason::Cancelled).await);
        let mut first = slot.take().unwrap();
        assert!(slot.take().is_none());
        let ending = async move {
            let reason = first.stopped().await;
            drop(first);
            reason
        };
        let (reason, second) = tokio::join!(ending, slot.take_over(Reason::TakenOver));
        assert_eq!(reason, Reason::TakenOver);
        assert!(second.is_some() && slot.take().is_none());
        drop(second);
        assert!(slot.take().is_some());
    }
}
