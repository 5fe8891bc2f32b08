//! The slot for the one sign-in of a home, which a later sign-in may take over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::sign_in_error::FailureReason;

/// How long a stopped sign-in may take to end. It needs at most 2 s; the rest is for a busy machine.
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
        let mut slot = self.0.lock();
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
        self.0.lock().is_some()
    }

    /// Ends the sign-in that holds the slot, and takes the slot. None: that sign-in did not end in time.
    pub(super) async fn take_over(&self, reason: FailureReason) -> Option<SlotGuard> {
        let patience = timeout(END, async {
            loop {
                match self.try_take() {
                    Some(guard) => return guard,
                    None => drop(self.end(reason).await),
                }
            }
        });
        patience.await.ok()
    }

    /// Stops the sign-in that holds the slot, and waits until it has ended. False: the slot is free.
    pub(super) async fn end(&self, reason: FailureReason) -> bool {
        let running = self.0.lock().clone();
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
        self.slot.0.lock().take();
        self.ended.cancel();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_sign_in_runs_at_a_time_and_another_may_take_over() {
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
