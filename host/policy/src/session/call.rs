//! One call into a policy: what it may take, and how long it took, however it ends.

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

/// A call that runs. Its time is counted when this is dropped: also that of a call which is dropped midway, because its
/// client has left. Without those the slow ones would be missing.
pub(super) struct Timed<'a> {
    began: Instant,
    times: &'a Histogram,
    _running: ClockGuard<'a>,
}

impl<'a> Timed<'a> {
    /// Gives the coming call its time. What it takes is added to `times`.
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

/// How long a call may take by the clock on the wall.
pub(super) fn wall(release: &Release) -> Duration {
    release.allowance().call_time.saturating_mul(WALL)
}

/// Waits for a call, at most so long from when it first gives way. None: it has taken longer.
///
/// Most calls are over at the first poll. So only one that is not gets a timer.
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

/// What a call came to.
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
        // There is no runtime here, without which no timer can be made.
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
