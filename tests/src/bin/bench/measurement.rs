//! Measurements of a round, and their medians over rounds.

use std::time::Duration;

use serde::Serialize;

use super::spans::{median, mib, micros, percentile};

/// Measurements of clients, and resource usage of the server.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// The time to the first word of each request.
    pub(super) first: Vec<Duration>,
    /// Nanoseconds from the writing of a delta to its arrival.
    late: Vec<u64>,
    pub(super) deltas: usize,
    /// Frames with these deltas: fewer if some were joined.
    pub(super) frames: usize,
    pub(super) requests: usize,
    /// From the first delta's writing to the last one's arrival, in Unix nanoseconds.
    span: Option<(u64, u64)>,
    /// The total time.
    pub(super) taken: Duration,
    /// CPU time of the server.
    pub(super) cpu: Duration,
    /// The server's peak memory, in bytes.
    pub(super) resident: u64,
}

impl Measurement {
    /// Records that a delta that was written at `at` has arrived.
    pub(super) fn delta(&mut self, now: u64, at: u64) {
        self.deltas += 1;
        self.late.push(now.saturating_sub(at));
        let (first, last) = self.span.unwrap_or((at, now));
        self.span = Some((first.min(at), last.max(now)));
    }

    /// Adds the measurements of another client.
    pub(super) fn add(&mut self, other: Self) {
        self.first.extend(other.first);
        self.late.extend(other.late);
        self.deltas += other.deltas;
        self.frames += other.frames;
        self.requests += other.requests;
        self.span = match (self.span, other.span) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
    }

    /// The figures of the round.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(super) fn sum(mut self) -> Sums {
        self.first.sort_unstable();
        self.late.sort_unstable();
        let first = |percent| micros(percentile(&self.first, percent));
        let late = |percent| percentile(&self.late, percent) as f64 / 1e3;
        let (from, to) = self.span.unwrap_or_default();
        let span = (to.saturating_sub(from) as f64 / 1e9).max(1e-9);
        Sums {
            first_us: first(50),
            first_p99_us: first(99),
            late_us: late(50),
            late_p99_us: late(99),
            deltas_per_second: self.deltas as f64 / span,
            requests_per_second: self.requests as f64 / self.taken.as_secs_f64(),
            cpu_us_per_delta: micros(self.cpu) / self.deltas as f64,
            frames_per_delta: self.frames as f64 / self.deltas as f64,
            cpu_us_per_request: micros(self.cpu) / self.requests as f64,
            resident_mib: mib(self.resident),
        }
    }
}

/// The figures of a round, or the medians of several.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sums {
    pub(super) first_us: f64,
    pub(super) first_p99_us: f64,
    pub(super) late_us: f64,
    pub(super) late_p99_us: f64,
    pub(super) deltas_per_second: f64,
    pub(super) requests_per_second: f64,
    pub(super) cpu_us_per_delta: f64,
    pub(super) cpu_us_per_request: f64,
    pub(super) frames_per_delta: f64,
    pub(super) resident_mib: f64,
}

impl Sums {
    /// Each figure by itself: the median over rounds.
    pub(super) fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Self {
            first_us: of(|sums| sums.first_us),
            first_p99_us: of(|sums| sums.first_p99_us),
            late_us: of(|sums| sums.late_us),
            late_p99_us: of(|sums| sums.late_p99_us),
            deltas_per_second: of(|sums| sums.deltas_per_second),
            requests_per_second: of(|sums| sums.requests_per_second),
            cpu_us_per_delta: of(|sums| sums.cpu_us_per_delta),
            cpu_us_per_request: of(|sums| sums.cpu_us_per_request),
            frames_per_delta: of(|sums| sums.frames_per_delta),
            resident_mib: of(|sums| sums.resident_mib),
        }
    }
}
