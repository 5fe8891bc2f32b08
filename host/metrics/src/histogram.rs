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
    /// In seconds, or numbers as they are; rising.
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
    /// Of all that was added: nanoseconds, or numbers as they are.
    sum: AtomicU64,
    /// The divisor of the exported sum.
    unit: f64,
}

impl Histogram {
    /// An empty one of times with these bounds, in seconds.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(),
            sum: AtomicU64::default(),
            unit: SECOND,
        }
    }

    /// An empty one of numbers with these bounds.
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

    /// The sum of all numbers that were added.
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// How many were added.
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
        // From the buckets, so that both always agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum() as f64 / self.unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
