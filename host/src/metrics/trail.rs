//! One request, from its arrival to the end of its answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::Metrics;
use super::meter::Meter;

/// Where a request went. A closed list: paths come from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Chat,
    Models,
    Probes,
    Metrics,
    Admin,
    Other,
}

impl Route {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Chat, "/v1/chat/completions"),
        (Self::Models, "/v1/models"),
        (Self::Probes, "/healthz"),
        (Self::Metrics, "/metrics"),
        (Self::Admin, "/admin"),
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
pub(crate) struct Trail(Arc<Notes>);

#[derive(Debug)]
struct Notes {
    metrics: Metrics,
    route: Route,
    began: Instant,
    /// Of the release that serves it, once that is chosen.
    meter: OnceLock<Arc<Meter>>,
    spoke: AtomicBool,
    failed: AtomicBool,
}

impl Trail {
    pub(super) fn new(metrics: Metrics, path: &str) -> Self {
        let route = Route::of(path);
        if route == Route::Chat {
            metrics.0.running.fetch_add(1, Ordering::Relaxed);
        }
        Self(Arc::new(Notes {
            metrics,
            route,
            began: Instant::now(),
            meter: OnceLock::new(),
            spoke: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }))
    }

    /// This release serves it.
    pub(crate) fn served_by(&self, meter: &Arc<Meter>) {
        // A request is served by one release, so the first that is named is the only one.
        let _ = self.0.meter.set(meter.clone());
    }

    /// A frame is ready. Only the first of a request counts.
    pub(crate) fn spoke(&self) {
        if !self.0.spoke.swap(true, Ordering::Relaxed) {
            self.0.metrics.0.first.observe(self.0.began.elapsed());
        }
    }

    /// Its stream ended with an error, whatever its status was.
    pub(crate) fn failed(&self) {
        self.0.failed.store(true, Ordering::Relaxed);
    }

    /// Its stream is open until this is dropped.
    pub(crate) fn open(&self) -> Open {
        self.0.metrics.0.streams.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// It is over, to be said once. `status`: None if there was none yet. `whole`: the answer was sent to its end.
    pub(crate) fn over(&self, status: Option<u16>, whole: bool) {
        let notes = &self.0;
        let counts = &notes.metrics.0;
        let outcome = match status {
            _ if notes.failed.load(Ordering::Relaxed) => Outcome::Failed,
            Some(500..) => Outcome::Failed,
            Some(400..500) => Outcome::Refused,
            Some(_) if whole => Outcome::Ok,
            Some(_) | None => Outcome::Left,
        };
        if notes.route == Route::Chat {
            counts.running.fetch_sub(1, Ordering::Relaxed);
            counts.whole.observe(notes.began.elapsed());
        }
        let meter = notes.meter.get().unwrap_or(&counts.none);
        let count = &meter.requests[notes.route as usize][outcome as usize];
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream that is open.
#[derive(Debug)]
pub(crate) struct Open(Trail);

impl Open {
    /// The request whose stream it is.
    pub(crate) fn trail(&self) -> &Trail {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.metrics.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
