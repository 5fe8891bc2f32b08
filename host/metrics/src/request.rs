//! One request, from its arrival to the end of its answer.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::release::ReleaseMetrics;
use super::{FanOutTrail, Metrics};
use airlock_types::wit::Usage;

/// Where a request went. A closed list: paths come from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Chat,
    Models,
    Probes,
    Metrics,
    Admin,
    /// Whether Codex is there, and signing in and out.
    Codex,
    Other,
}

impl Route {
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Chat, "/v1/chat/completions"),
        (Self::Models, "/v1/models"),
        (Self::Probes, "/healthz"),
        (Self::Metrics, "/metrics"),
        (Self::Admin, "/admin"),
        (Self::Codex, "/api/codex"),
        (Self::Other, "other"),
    ];

    fn of(path: &str) -> Self {
        match path {
            "/v1/chat/completions" => Self::Chat,
            "/v1/models" => Self::Models,
            "/healthz" | "/readyz" => Self::Probes,
            "/metrics" => Self::Metrics,
            path if path.starts_with("/v1/models/") => Self::Models,
            path if path.starts_with("/admin/") => Self::Admin,
            path if path.starts_with("/api/codex/") => Self::Codex,
            _ => Self::Other,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered to the end.
    Ok,
    /// The client's mistake: a status of 400 to 499.
    Refused,
    /// Ours, or the model's: a status from 500 on, or a stream that ended with an error.
    Failed,
    /// The client left before the end.
    Left,
}

impl Outcome {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Ok, "ok"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Left, "left"),
    ];
}

/// What is noted of a request while it runs. Clones are the same request's.
#[derive(Clone, Debug)]
pub struct RequestMetrics(Arc<Notes>);

#[derive(Debug)]
struct Notes {
    metrics: Metrics,
    route: Route,
    began: Instant,
    /// Of the release that serves it, once that is chosen.
    meter: OnceLock<Arc<ReleaseMetrics>>,
    failed: AtomicBool,
    /// Time in line, in nanoseconds.
    queued: AtomicU64,
    /// When a turn was first requested of Codex.
    requested: OnceLock<Instant>,
    /// Turns that Codex is at.
    turns: AtomicUsize,
    /// When the last of those that it is not at any more ended, in nanoseconds since the request came.
    reported: AtomicU64,
}

impl Notes {
    /// What of its time was neither Codex's nor spent in line. None: no turn was requested.
    fn overhead(&self, whole: Duration) -> Option<Duration> {
        let requested = self.requested.get()?.saturating_duration_since(self.began);
        let reported = match self.turns.load(Ordering::Relaxed) {
            0 => Duration::from_nanos(self.reported.load(Ordering::Relaxed)),
            // The client has left while Codex was at it.
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
        Self(Arc::new(Notes {
            metrics,
            route,
            began: Instant::now(),
            meter: OnceLock::new(),
            failed: AtomicBool::new(false),
            queued: AtomicU64::default(),
            requested: OnceLock::new(),
            turns: AtomicUsize::default(),
            reported: AtomicU64::default(),
        }))
    }

    /// This release serves it.
    pub fn served_by(&self, meter: &Arc<ReleaseMetrics>) {
        // A request is served by one release, so the first that is named is the only one.
        let _ = self.0.meter.set(meter.clone());
    }

    /// It has been in line for turns, maybe for no time.
    pub fn queued(&self, waited: Duration) {
        let notes = &self.0;
        notes
            .queued
            .fetch_add(nanoseconds(waited), Ordering::Relaxed);
        notes.metrics.0.queue.observe(waited);
    }

    /// A turn is requested of Codex now, or its continuation.
    pub fn request_turn(&self) -> TurnTrail {
        let notes = &self.0;
        notes.turns.fetch_add(1, Ordering::Relaxed);
        notes.requested.get_or_init(Instant::now);
        TurnTrail {
            trail: self.clone(),
            ended: None,
        }
    }

    /// It fans out over so many candidates.
    pub fn fanned_out(&self, candidates: u32) -> FanOutTrail {
        FanOutTrail::new(self.0.metrics.clone(), candidates)
    }

    /// The first token of its answer is ready for its stream, to be said once.
    pub fn spoke(&self) {
        let notes = &self.0;
        notes.metrics.0.first.observe(notes.began.elapsed());
    }

    /// So many frames of its stream went out.
    pub fn sent(&self, frames: usize) {
        let chunks = &self.0.metrics.0.chunks;
        chunks.fetch_add(frames as u64, Ordering::Relaxed);
    }

    /// Its stream ended with an error, whatever its status was.
    pub fn failed(&self) {
        self.0.failed.store(true, Ordering::Relaxed);
    }

    /// Its stream is open until this is dropped.
    pub fn open(&self) -> Open {
        self.0.metrics.0.streams.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// It is over, to be said once. `status`: None if there was none yet. `whole`: the answer was sent to its end.
    pub fn over(&self, status: Option<u16>, whole: bool) {
        let notes = &self.0;
        let counts = &notes.metrics.0;
        let outcome = match status {
            _ if notes.failed.load(Ordering::Relaxed) => Outcome::Failed,
            Some(500..) => Outcome::Failed,
            Some(400..500) => Outcome::Refused,
            Some(_) if whole => Outcome::Ok,
            Some(_) | None => Outcome::Left,
        };
        counts.running[notes.route as usize].fetch_sub(1, Ordering::Relaxed);
        if notes.route == Route::Chat {
            let whole = notes.began.elapsed();
            counts.whole.observe(whole);
            if let Some(overhead) = notes.overhead(whole) {
                counts.overhead.observe(overhead);
            }
        }
        let meter = notes.meter.get().unwrap_or(&counts.none);
        let count = &meter.requests[notes.route as usize][outcome as usize];
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A turn that a request has begun or continued. It runs until this is dropped.
#[derive(Debug)]
pub struct TurnTrail {
    trail: RequestMetrics,
    /// When Codex had said all of it. None: it is cut short, or never began.
    ended: Option<Instant>,
}

impl TurnTrail {
    /// Codex had said all of it then, whenever that is heard of.
    pub fn ended(&mut self, when: Instant) {
        self.ended = Some(when);
    }

    /// What it has used for this request, to be said once.
    pub fn spent(&self, used: Usage) {
        self.trail.0.metrics.0.tokens.add(used);
    }
}

impl Drop for TurnTrail {
    fn drop(&mut self) {
        let notes = &self.trail.0;
        let ended = self.ended.unwrap_or_else(Instant::now);
        let reported = nanoseconds(ended.saturating_duration_since(notes.began));
        notes.reported.fetch_max(reported, Ordering::Relaxed);
        notes.turns.fetch_sub(1, Ordering::Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A stream that is open.
#[derive(Debug)]
pub struct Open(RequestMetrics);

impl Open {
    /// The request whose stream it is.
    pub fn trail(&self) -> &RequestMetrics {
        &self.0
    }
}

impl Drop for Open {
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
        let RequestMetrics(notes) = Metrics::default().request("/v1/chat/completions");
        let mut notes = Arc::into_inner(notes).unwrap();
        let milliseconds = Duration::from_millis;
        assert_eq!(notes.overhead(milliseconds(100)), None);
        notes.requested = OnceLock::from(notes.began + milliseconds(10));
        notes.reported = AtomicU64::new(nanoseconds(milliseconds(60)));
        notes.queued = AtomicU64::new(nanoseconds(milliseconds(5)));
        assert_eq!(notes.overhead(milliseconds(100)), Some(milliseconds(45)));
        // Codex is still at it.
        notes.turns = AtomicUsize::new(1);
        assert_eq!(notes.overhead(milliseconds(100)), Some(milliseconds(5)));
    }
}
