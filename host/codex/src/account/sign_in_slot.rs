//! The slot for the one sign-in of a home, which a later sign-in may take over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lock;
use super::sign_in_error::FailureReason;

/// How long a sign-in that is stopped may take to end. It needs 2 s at most; the rest is for a busy machine.
const END: Duration = Duration::from_secs(10);

/// The slot for one sign-in at a time. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SignInSlot(Arc<Mutex<Option<SlotHolder>>>);

#[derive(Clone, Debug)]
struct SlotHolder {
    stop: watch::Sender<Option<FailureReason>>,
    ended: CancellationToken,
}

/// The hold on the slot. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct SlotGuard {
    slot: SignInSlot,
    stop: watch::Receiver<Option<FailureReason>>,
    ended: CancellationToken,
}

impl SignInSlot {
    /// Takes the slot, if it is free.
    pub(super) fn try_take(&self) -> Option<SlotGuard> {
        let mut slot = lock(&self.0);
        if slot.is_some() {
            return None;
        }
        let (stop, stopped) = watch::channel(None);
        let ended = CancellationToken::new();
        *slot = Some(SlotHolder {
            stop,
            ended: ended.clone(),
        });
        Some(SlotGuard {
            slot: self.clone(),
            stop: stopped,
            ended,
        })
    }

    /// Whether a sign-in holds the slot.
    pub(super) fn is_taken(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Takes the slot, and ends the sign-in that holds it. None: that one does not end in time.
    pub(super) async fn take_over(&self, reason: FailureReason) -> Option<SlotGuard> {
        let patience = timeout(END, async {
            loop {
                match self.try_take() {
                    Some(place) => return place,
                    None => drop(self.end(reason).await),
                }
            }
        });
        patience.await.ok()
    }

    /// Stops the sign-in that holds the slot, and waits until it has ended. False: the slot is free.
    pub(super) async fn end(&self, reason: FailureReason) -> bool {
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

impl SlotGuard {
    /// Completes with the reason when the holder must end.
    pub(super) async fn stopped(&mut self) -> FailureReason {
        match self.stop.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(FailureReason::Cancelled),
            Err(_) => FailureReason::Cancelled,
        }
    }
}

impl Drop for SlotGuard {
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
        let slot = SignInSlot::default();
        assert!(!slot.end(FailureReason::Cancelled).await);
        let mut first = slot.try_take().unwrap();
        assert!(slot.try_take().is_none());
        let ending = async move {
            let reason = first.stopped().await;
            drop(first);
            reason
        };
        let (reason, second) = tokio::join!(ending, slot.take_over(FailureReason::TakenOver));
        assert_eq!(reason, FailureReason::TakenOver);
        assert!(second.is_some() && slot.try_take().is_none());
        drop(second);
        assert!(slot.try_take().is_some());
    }
}
