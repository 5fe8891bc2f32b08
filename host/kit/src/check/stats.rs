//! Time and memory of calls, by export.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::us;

/// The statistics of each export.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct CallStats(BTreeMap<&'static str, ExportStats>);

/// The statistics of the calls of one export.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ExportStats {
    /// The number of calls.
    pub calls: u64,
    /// Microseconds of the longest call.
    pub max_us: f64,
    /// Microseconds of all calls together.
    pub total_us: f64,
    /// The most memory of the sandbox after a call, in bytes.
    pub memory_bytes: usize,
}

impl CallStats {
    pub(super) fn add(&mut self, export: &'static str, time: Duration, memory_bytes: usize) {
        let stats = self.0.entry(export).or_default();
        stats.calls += 1;
        stats.max_us = stats.max_us.max(us(time));
        stats.total_us += us(time);
        stats.memory_bytes = stats.memory_bytes.max(memory_bytes);
    }

    /// The export with the longest call, and the time of that call.
    pub(super) fn longest(&self) -> Option<(&'static str, Duration)> {
        let longest = self
            .0
            .iter()
            .max_by(|one, other| one.1.max_us.total_cmp(&other.1.max_us));
        longest.map(|(export, it)| (*export, Duration::from_secs_f64(it.max_us / 1e6)))
    }

    /// The most memory that a request had, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let all = self.0.values().map(|it| it.memory_bytes);
        all.max().unwrap_or_default()
    }

    /// The exports with their statistics, by name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, ExportStats)> {
        self.0.iter().map(|(export, stats)| (*export, *stats))
    }
}
