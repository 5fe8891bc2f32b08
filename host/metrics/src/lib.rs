//! Counters and histograms of one gateway. Counting costs an atomic addition; the page is assembled when it is read.

mod fan_out; // fan-outs
mod histogram; // histograms of times and numbers
mod page; // OpenMetrics text
mod process; // the gateway's process
mod release; // releases
mod request; // requests
mod route; // the labels of a request
mod tokens; // tokens of turns

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use self::fan_out::FanOutInstruments;
pub use self::fan_out::FanOutMetrics;
pub use self::histogram::Histogram;
pub use self::page::{Page, Series};
use self::release::AllCallTimes;
pub use self::release::{CallPurpose, ReleaseMetrics};
pub use self::request::{OpenStream, RequestMetrics, TurnMetrics};
use self::route::Route;
pub use self::tokens::TokenCounts;
use self::tokens::TokenInstruments;

/// Bounds for the time to the first token in seconds, as OpenTelemetry advises for `gen_ai.server.time_to_first_token`.
const FIRST: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Bounds for whole requests in seconds, as OpenTelemetry advises for `gen_ai.server.request.duration`.
const WHOLE: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// Bounds for the gateway's own time in seconds: mostly below a millisecond.
const OVERHEAD: &[f64] = &[
    0.000_1, 0.000_2, 0.000_3, 0.000_4, 0.000_5, 0.000_75, 0.001, 0.001_5, 0.002, 0.003, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];

/// Bounds for the time in the queue in seconds: mostly none, and at most `limits.queue_wait`.
const QUEUE: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The role of a release when it was rolled back.
#[derive(Clone, Copy, Debug)]
pub enum ReleaseRole {
    /// The release served all requests but the canary's.
    Active,
    /// The release served a share of the requests.
    Canary,
    /// The release received calls of requests that others served.
    Shadow,
}

impl ReleaseRole {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Active, "active"),
        (Self::Canary, "canary"),
        (Self::Shadow, "shadow"),
    ];
}

/// The metrics of one gateway. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<MetricsInner>);

#[derive(Debug)]
struct MetricsInner {
    /// Requests for which no release was chosen.
    none: Arc<ReleaseMetrics>,
    /// The remembered releases, by number.
    releases: Mutex<BTreeMap<u64, Arc<ReleaseMetrics>>>,
    /// Shared by all releases.
    calls: Arc<AllCallTimes>,
    /// Running requests, by route.
    running: [AtomicU64; Route::ALL.len()],
    /// Of these, streams whose headers were sent.
    streams: AtomicU64,
    first: Histogram,
    whole: Histogram,
    overhead: Histogram,
    queue: Histogram,
    /// Frames of streams that were sent.
    chunks: AtomicU64,
    tokens: TokenInstruments,
    fan_outs: FanOutInstruments,
    swaps: AtomicU64,
    /// By `ReleaseRole`.
    rollbacks: [AtomicU64; ReleaseRole::ALL.len()],
}

impl Default for MetricsInner {
    fn default() -> Self {
        Self {
            none: Arc::default(),
            releases: Mutex::default(),
            calls: Arc::default(),
            running: Default::default(),
            streams: AtomicU64::default(),
            first: Histogram::new(FIRST),
            whole: Histogram::new(WHOLE),
            overhead: Histogram::new(OVERHEAD),
            queue: Histogram::new(QUEUE),
            chunks: AtomicU64::default(),
            tokens: TokenInstruments::default(),
            fan_outs: FanOutInstruments::default(),
            swaps: AtomicU64::default(),
            rollbacks: Default::default(),
        }
    }
}

impl Metrics {
    /// The metrics of the release with this number. Created at the first call.
    pub fn release(&self, number: u64) -> Arc<ReleaseMetrics> {
        let mut releases = self.releases();
        let release_metrics = releases.entry(number);
        release_metrics
            .or_insert_with(|| Arc::new(ReleaseMetrics::with(self.0.calls.clone())))
            .clone()
    }

    /// Drops the metrics of releases for which the predicate is false, which bounds their number.
    pub fn retain(&self, is_kept: impl Fn(u64) -> bool) {
        self.releases().retain(|number, _| is_kept(*number));
    }

    /// Begins the metrics of a request to this path.
    pub fn request(&self, path: &str) -> RequestMetrics {
        RequestMetrics::new(self.clone(), path)
    }

    /// Counts a change of the active release.
    pub fn swapped(&self) {
        self.0.swaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a release that was rolled back because it failed.
    pub fn rolled_back(&self, role: ReleaseRole) {
        self.0.rollbacks[role as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn releases(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ReleaseMetrics>>> {
        self.0.releases.lock()
    }
}
