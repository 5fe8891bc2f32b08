//! A lock-free histogram of times or numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// A histogram with fixed bounds.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of the buckets in ascending order: seconds, or numbers.
    bounds: &'static [f64],
    /// The counts: one for each bound, and one above all bounds.
    buckets: Box<[AtomicU64]>,
    /// The sum of all values: nanoseconds, or numbers.
    sum: AtomicU64,
    /// The divisor of the exported sum.
    unit: f64,
}

impl Histogram {
    /// An empty histogram of times, with bounds in seconds.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(),
            sum: AtomicU64::default(),
            unit: SECOND,
        }
    }

    /// An empty histogram of numbers.
    pub(super) fn of_numbers(bounds: &'static [f64]) -> Self {
        Self {
            unit: 1.0,
            ..Self::new(bounds)
        }
    }

    /// Adds a time.
    pub fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.add(took.as_secs_f64(), nanoseconds);
    }

    /// Adds a number.
    pub(super) fn count(&self, number: u64) {
        self.add(number as f64, number);
    }

    /// The sum of all values: nanoseconds, or numbers.
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The number of values.
    pub fn number(&self) -> u64 {
        let counts = self.buckets.iter();
        counts.map(|it| it.load(Ordering::Relaxed)).sum()
    }

    fn add(&self, value: f64, part: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(part, Ordering::Relaxed);
    }

    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|it| it.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // Computed from the buckets, so that it always agrees with them.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum() as f64 / self.unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
