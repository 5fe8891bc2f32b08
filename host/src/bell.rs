//! A bell: rung by many, heard by one at a time. What is rung while nobody listens is heard by whoever listens next.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// Rung with every event of a turn, so it takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Wakes whoever listens.
    pub(crate) fn ring(&self) {
        // Rung already: it was not heard yet, and its listener is on the way.
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.listener.wake();
        }
    }

    /// Completes once it has been rung since it was last heard. Cancel safe.
    pub(crate) async fn heard(&self) {
        poll_fn(|context| {
            if self.rung.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.listener.register(context.waker());
            // It may have been rung before there was anybody to wake.
            match self.rung.swap(false, Ordering::AcqRel) {
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
    async fn what_is_rung_is_heard_once_whoever_listens() {
        let bell = Bell::default();
        assert!(bell.heard().now_or_never().is_none());
        bell.ring();
        bell.ring();
        bell.heard().await;
        assert!(bell.heard().now_or_never().is_none());
        // One that has stopped listening has heard nothing.
        let (heard, ()) = tokio::join!(bell.heard(), async { bell.ring() });
        let () = heard;
        assert!(bell.heard().now_or_never().is_none());
    }
}
