//! Metrics of fan-outs: the number of candidates, their outcomes, and the time of the synthesis.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus_client::registry::Unit;

use super::histogram::Histogram;
use super::page::Page;
use super::{Metrics, WHOLE};

/// Bounds for the number of candidates.
const SIZES: &[f64] = &[2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 12.0, 16.0, 20.0];

/// The outcome of a candidate.
#[derive(Clone, Copy, Debug)]
enum CandidateOutcome {
    /// The candidate ended with an answer.
    Answered,
    /// The candidate failed.
    Failed,
    /// The candidate was stopped, because the panel had decided or the client had left.
    Stopped,
}

impl CandidateOutcome {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Stopped, "stopped"),
    ];
}

/// The metrics of all fan-outs.
#[derive(Debug)]
pub(super) struct FanOutInstruments {
    sizes: Histogram,
    /// By `CandidateOutcome`.
    candidates: [AtomicU64; CandidateOutcome::ALL.len()],
    synthesis: Histogram,
}

impl Default for FanOutInstruments {
    fn default() -> Self {
        Self {
            sizes: Histogram::of_numbers(SIZES),
            candidates: Default::default(),
            synthesis: Histogram::new(WHOLE),
        }
    }
}

/// The metrics of one fan-out while it runs. When it is dropped, candidates without an outcome count as stopped, and so
/// does an answer that has not ended.
#[derive(Debug)]
pub struct FanOutMetrics {
    metrics: Metrics,
    /// Candidates without an outcome.
    left: u32,
    /// When the panel decided. None before that, and after the answer has ended.
    decided: Option<Instant>,
}

impl FanOutMetrics {
    /// Begins the metrics of a fan-out over this many candidates.
    pub(super) fn new(metrics: Metrics, candidates: u32) -> Self {
        metrics.0.fan_outs.sizes.count(u64::from(candidates));
        Self {
            metrics,
            left: candidates,
            decided: None,
        }
    }

    /// Records the outcome of a candidate.
    pub fn settled(&mut self, answered: bool) {
        self.left = self.left.saturating_sub(1);
        let outcome = match answered {
            true => CandidateOutcome::Answered,
            false => CandidateOutcome::Failed,
        };
        self.count(outcome, 1);
    }

    /// Records that the panel has decided: candidates without an outcome are stopped. Only the first call counts.
    pub fn decided(&mut self) {
        self.stop();
        self.decided.get_or_insert_with(Instant::now);
    }

    /// Records that the panel has decided without an answer.
    pub fn gave_up(&mut self) {
        self.stop();
        self.answered(Instant::now());
    }

    /// Records when the answer ended.
    pub fn answered(&mut self, when: Instant) {
        if let Some(decided) = self.decided.take() {
            let took = when.saturating_duration_since(decided);
            self.metrics.0.fan_outs.synthesis.observe(took);
        }
    }

    fn stop(&mut self) {
        let left = std::mem::take(&mut self.left);
        if left > 0 {
            self.count(CandidateOutcome::Stopped, left);
        }
    }

    fn count(&self, outcome: CandidateOutcome, candidates: u32) {
        let count = &self.metrics.0.fan_outs.candidates[outcome as usize];
        count.fetch_add(u64::from(candidates), Ordering::Relaxed);
    }
}

impl Drop for FanOutMetrics {
    fn drop(&mut self) {
        // Without answers that were cut short, the times would be too short.
        self.gave_up();
    }
}

impl Page<'_> {
    pub(super) fn fan_outs(&mut self, fan_outs: &FanOutInstruments) -> fmt::Result {
        let help = "Candidates that fan-outs requested";
        self.histogram("airlock_fan_out_candidates", help, None, &fan_outs.sizes)?;
        let candidates = CandidateOutcome::ALL.map(|(outcome, word)| {
            let count = fan_outs.candidates[outcome as usize].load(Ordering::Relaxed);
            ([("outcome", word.to_owned())], count)
        });
        let help = "Candidates of fan-outs, by what became of them";
        self.counters("airlock_candidates", help, candidates)?;
        let help = "Time from the last candidate that was waited for to the end of the answer, good or not";
        let seconds = Some(&Unit::Seconds);
        self.histogram("airlock_synthesis", help, seconds, &fan_outs.synthesis)
    }
}
