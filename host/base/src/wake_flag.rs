//! A wake flag: set by many tasks, awaited by one at a time. A notification without a waiter completes the next wait.
//!
//! Unlike `tokio::sync::Notify` it takes no lock in `notify`, which runs with each event of a turn (`make counts`).

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// Notifications that coalesce: any number of them complete one wait.
#[derive(Debug, Default)]
pub struct WakeFlag {
    is_set: AtomicBool,
    waiter: AtomicWaker,
}

impl WakeFlag {
    /// Sets the flag and wakes the waiter.
    pub fn notify(&self) {
        // If it was set, the waiter was woken and has not run yet.
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.waiter.wake();
        }
    }

    /// Completes once the flag is set, and clears it. Cancel safe.
    pub async fn notified(&self) {
        poll_fn(|context| {
            if self.is_set.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.waiter.register(context.waker());
            // It may have been set before the waker was registered.
            match self.is_set.swap(false, Ordering::AcqRel) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn notifications_complete_one_wait() {
        let flag = WakeFlag::default();
        assert!(flag.notified().now_or_never().is_none());
        flag.notify();
        flag.notify();
        flag.notified().await;
        assert!(flag.notified().now_or_never().is_none());
        // A dropped wait takes no notification.
        let (woken, ()) = tokio::join!(flag.notified(), async { flag.notify() });
        let () = woken;
        assert!(flag.notified().now_or_never().is_none());
    }
}
