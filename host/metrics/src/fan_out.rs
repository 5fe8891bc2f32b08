//! Fan-outs: how many candidates they ask for, what becomes of those, and how long the answer then takes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus_client::registry::Unit;

use super::histogram::Histogram;
use super::page::Page;
use super::{Metrics, WHOLE};

/// Bounds for the number of candidates.
const SIZES: &[f64] = &[2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 12.0, 16.0, 20.0];

/// What became of a candidate.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    /// The panel got an answer of it.
    Answered,
    /// The panel heard that there is none.
    Failed,
    /// It was not needed any more: the panel had decided, or the client had left.
    Stopped,
}

impl Candidate {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Stopped, "stopped"),
    ];
}

/// The fan-outs of all requests.
#[derive(Debug)]
pub(super) struct FanOuts {
    sizes: Histogram,
    /// By `Candidate`.
    candidates: [AtomicU64; Candidate::ALL.len()],
    synthesis: Histogram,
}

impl Default for FanOuts {
    fn default() -> Self {
        Self {
            sizes: Histogram::of_numbers(SIZES),
            candidates: Default::default(),
            synthesis: Histogram::new(WHOLE),
        }
    }
}

/// What is noted of one fan-out while it runs. Of whom nothing was heard when it is dropped was stopped, and so was an
/// answer that had not ended.
#[derive(Debug)]
pub struct FanOutTrail {
    metrics: Metrics,
    /// Candidates that the panel has not heard of.
    left: u32,
    /// When the panel needed no more of them and something was begun of what it had heard. None again once that has ended.
    decided: Option<Instant>,
}

impl FanOutTrail {
    /// Of a fan-out over so many candidates.
    pub(super) fn new(metrics: Metrics, candidates: u32) -> Self {
        metrics.0.fan_outs.sizes.count(u64::from(candidates));
        Self {
            metrics,
            left: candidates,
            decided: None,
        }
    }

    /// The panel has heard how a candidate ended.
    pub fn settled(&mut self, answered: bool) {
        self.left = self.left.saturating_sub(1);
        let outcome = match answered {
            true => Candidate::Answered,
            false => Candidate::Failed,
        };
        self.count(outcome, 1);
    }

    /// The panel waits no longer: whoever it has not heard of is stopped. Only the first time counts.
    pub fn decided(&mut self) {
        self.stop();
        self.decided.get_or_insert_with(Instant::now);
    }

    /// The panel waits no longer, and there will be no answer. What it had asked for to find one has come to nothing.
    pub fn gave_up(&mut self) {
        self.stop();
        self.answered(Instant::now());
    }

    /// The answer has ended.
    pub fn answered(&mut self, when: Instant) {
        if let Some(decided) = self.decided.take() {
            let took = when.saturating_duration_since(decided);
            self.metrics.0.fan_outs.synthesis.observe(took);
        }
    }

    fn stop(&mut self) {
        let left = std::mem::take(&mut self.left);
        if left > 0 {
            self.count(Candidate::Stopped, left);
        }
    }

    fn count(&self, outcome: Candidate, candidates: u32) {
        let count = &self.metrics.0.fan_outs.candidates[outcome as usize];
        count.fetch_add(u64::from(candidates), Ordering::Relaxed);
    }
}

impl Drop for FanOutTrail {
    fn drop(&mut self) {
        // Without those that are cut short, the times would be of the quick ones alone.
        self.gave_up();
    }
}

impl Page<'_> {
    pub(super) fn fan_outs(&mut self, fan_outs: &FanOuts) -> fmt::Result {
        let help = "Candidates that fan-outs asked for";
        self.histogram("airlock_fan_out_candidates", help, None, &fan_outs.sizes)?;
        let candidates = Candidate::ALL.map(|(outcome, word)| {
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
