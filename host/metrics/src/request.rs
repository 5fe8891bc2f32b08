//! Metrics of one request, from its arrival to the end of its response.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::release::ReleaseMetrics;
use super::route::{RequestOutcome, Route};
use super::{FanOutMetrics, Metrics, TokenCounts};

/// The metrics of a request while it runs. Clones share them.
#[derive(Clone, Debug)]
pub struct RequestMetrics(Arc<RequestState>);

#[derive(Debug)]
struct RequestState {
    metrics: Metrics,
    route: Route,
    began: Instant,
    /// The metrics of the release that serves it, once that is chosen.
    release_metrics: OnceLock<Arc<ReleaseMetrics>>,
    failed: AtomicBool,
    /// Time in the queue, in nanoseconds.
    queued: AtomicU64,
    /// When the first turn was requested from Codex.
    requested: OnceLock<Instant>,
    /// Turns that run on Codex.
    turns: AtomicUsize,
    /// When the last turn ended, in nanoseconds since the request arrived.
    reported: AtomicU64,
}

impl RequestState {
    /// The time that was neither Codex's nor spent in the queue. `None` if no turn was requested.
    fn overhead(&self, whole: Duration) -> Option<Duration> {
        let requested = self.requested.get()?.saturating_duration_since(self.began);
        let reported = match self.turns.load(Ordering::Relaxed) {
            0 => Duration::from_nanos(self.reported.load(Ordering::Relaxed)),
            // The client left during a turn.
            _ => whole,
        };
        let codex = reported.saturating_sub(requested);
        let queued = Duration::from_nanos(self.queued.load(Ordering::Relaxed));
        Some(whole.saturating_sub(codex).saturating_sub(queued))
    }
}

impl RequestMetrics {
    pub(super) fn new(metrics: Metrics, path: &str) -> Self {
        let route = Route::of(path);
        metrics.0.running[route as usize].fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(RequestState {
            metrics,
            route,
            began: Instant::now(),
            release_metrics: OnceLock::new(),
            failed: AtomicBool::new(false),
            queued: AtomicU64::default(),
            requested: OnceLock::new(),
            turns: AtomicUsize::default(),
            reported: AtomicU64::default(),
        }))
    }

    /// Records the release that serves the request.
    pub fn served_by(&self, release_metrics: &Arc<ReleaseMetrics>) {
        // One release serves a request, so a second call would repeat the first.
        let _ = self.0.release_metrics.set(release_metrics.clone());
    }

    /// Records the time in the queue, which may be zero.
    pub fn queued(&self, waited: Duration) {
        let state = &self.0;
        state
            .queued
            .fetch_add(nanoseconds(waited), Ordering::Relaxed);
        state.metrics.0.queue.observe(waited);
    }

    /// Records that a turn is requested from Codex now, or its continuation.
    pub fn request_turn(&self) -> TurnMetrics {
        let state = &self.0;
        state.turns.fetch_add(1, Ordering::Relaxed);
        state.requested.get_or_init(Instant::now);
        TurnMetrics {
            metrics: self.clone(),
            ended: None,
        }
    }

    /// Begins the metrics of a fan-out over this many candidates.
    pub fn fanned_out(&self, candidates: u32) -> FanOutMetrics {
        FanOutMetrics::new(self.0.metrics.clone(), candidates)
    }

    /// Records that the first token is ready for the stream. Called once.
    pub fn first_token(&self) {
        let state = &self.0;
        state.metrics.0.first.observe(state.began.elapsed());
    }

    /// Counts frames of its stream that were sent.
    pub fn sent(&self, frames: usize) {
        let chunks = &self.0.metrics.0.chunks;
        chunks.fetch_add(frames as u64, Ordering::Relaxed);
    }

    /// Records that its stream ended with an error, whatever its status was.
    pub fn failed(&self) {
        self.0.failed.store(true, Ordering::Relaxed);
    }

    /// Records that its stream is open until the result is dropped.
    pub fn open(&self) -> OpenStream {
        self.0.metrics.0.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// Records the end of the request. Called once. `status`: `None` if none was sent. `whole`: whether the whole response was
    /// sent.
    pub fn finished(&self, status: Option<u16>, whole: bool) {
        let state = &self.0;
        let counts = &state.metrics.0;
        let outcome = match status {
            _ if state.failed.load(Ordering::Relaxed) => RequestOutcome::Failed,
            Some(500..) => RequestOutcome::Failed,
            Some(400..500) => RequestOutcome::Refused,
            Some(_) if whole => RequestOutcome::Ok,
            Some(_) | None => RequestOutcome::Left,
        };
        counts.running[state.route as usize].fetch_sub(1, Ordering::Relaxed);
        if state.route == Route::Chat {
            let whole = state.began.elapsed();
            counts.whole.observe(whole);
            if let Some(overhead) = state.overhead(whole) {
                counts.overhead.observe(overhead);
            }
        }
        let release_metrics = state.release_metrics.get().unwrap_or(&counts.none);
        let count = &release_metrics.requests[state.route as usize][outcome as usize];
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The metrics of a turn that a request has begun or continued. It counts as running until this is dropped.
#[derive(Debug)]
pub struct TurnMetrics {
    metrics: RequestMetrics,
    /// When Codex ended the turn. None: it was cut short, or never began.
    ended: Option<Instant>,
}

impl TurnMetrics {
    /// Records when Codex ended the turn.
    pub fn ended(&mut self, when: Instant) {
        self.ended = Some(when);
    }

    /// Records the tokens that the turn used for this request. Called once.
    pub fn record_usage(&self, used: TokenCounts) {
        self.metrics.0.metrics.0.tokens.add(used);
    }
}

impl Drop for TurnMetrics {
    fn drop(&mut self) {
        let state = &self.metrics.0;
        let ended = self.ended.unwrap_or_else(Instant::now);
        let reported = nanoseconds(ended.saturating_duration_since(state.began));
        state.reported.fetch_max(reported, Ordering::Relaxed);
        state.turns.fetch_sub(1, Ordering::Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// An open stream.
#[derive(Debug)]
pub struct OpenStream(RequestMetrics);

impl OpenStream {
    /// The request whose stream it is.
    pub fn metrics(&self) -> &RequestMetrics {
        &self.0
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.metrics.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_what_neither_codex_nor_the_line_took() {
        let RequestMetrics(state) = Metrics::default().request("/v1/chat/completions");
        let mut state = Arc::into_inner(state).unwrap();
        let milliseconds = Duration::from_millis;
        assert_eq!(state.overhead(milliseconds(100)), None);
        state.requested = OnceLock::from(state.began + milliseconds(10));
        state.reported = AtomicU64::new(nanoseconds(milliseconds(60)));
        state.queued = AtomicU64::new(nanoseconds(milliseconds(5)));
        assert_eq!(state.overhead(milliseconds(100)), Some(milliseconds(45)));
        // A turn still runs.
        state.turns = AtomicUsize::new(1);
        assert_eq!(state.overhead(milliseconds(100)), Some(milliseconds(5)));
    }
}
