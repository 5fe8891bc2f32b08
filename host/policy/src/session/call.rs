//! The limits of one call into a policy, and the measurement of its time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use wasmtime::Store;

use crate::engine::{ClockGuard, WALL};
use crate::fault::Fault;
use crate::release::Release;
use crate::sandbox::Sandbox;
use crate::world::Call;
use airlock_metrics::Histogram;

/// A call that runs. Dropping this records its time, also if the call itself was dropped because its client left: without
/// those, slow calls would be missing.
pub(super) struct Timed<'a> {
    began: Instant,
    times: &'a Histogram,
    _running: ClockGuard<'a>,
}

impl<'a> Timed<'a> {
    /// Sets the limits of the next call, whose time is added to `times`.
    pub(super) fn begin(
        store: &mut Store<Sandbox>,
        release: &'a Release,
        times: &'a Histogram,
    ) -> Self {
        store.data_mut().begin_call(release.allowance().call_time);
        store.set_epoch_deadline(1);
        Self {
            _running: release.engine().clock.run(),
            began: Instant::now(),
            times,
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.times.observe(self.began.elapsed());
    }
}

/// The limit of a call by the wall clock.
pub(super) fn wall(release: &Release) -> Duration {
    release.allowance().call_time.saturating_mul(WALL)
}

/// Waits for a call, at most `limit` after its first yield. Returns `None` when that has passed.
///
/// Most calls end at the first poll, so the timer is created only after it.
pub(super) async fn within<T>(
    limit: Duration,
    mut call: Call<'_, T>,
) -> Option<wasmtime::Result<T>> {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if let Poll::Ready(outcome) = call.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The result of a call. `None` is a timeout.
pub(super) fn settle<T>(
    outcome: Option<wasmtime::Result<T>>,
    store: &Store<Sandbox>,
) -> Result<T, Fault> {
    match outcome {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Fault::from_error(&error, store.data().refused)),
        None => Err(Fault::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_call_that_is_over_at_once_needs_no_timer() {
        // Without a runtime, creating a timer would panic.
        let call: Call<'_, u8> = Box::pin(std::future::ready::<wasmtime::Result<u8>>(Ok(7)));
        let outcome = within(Duration::ZERO, call).now_or_never();
        assert!(matches!(outcome, Some(Some(Ok(7)))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_only_waits_is_ended() {
        let call: Call<'_, u8> = Box::pin(std::future::pending::<wasmtime::Result<u8>>());
        let began = tokio::time::Instant::now();
        assert!(within(Duration::from_secs(5), call).await.is_none());
        assert!(began.elapsed() >= Duration::from_secs(5));
    }
}
