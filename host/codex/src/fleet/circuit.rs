//! When the next child may be started: at once, after a pause, or as a probe once starts have failed again and again.

use std::time::Duration;

use tokio::time::Instant;

use crate::binary;
use airlock_types::wit::Problem;

/// Pauses between starts: after the first failure, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A child that ran this long had started well, so its end is no failure.
pub(super) const RAN_WELL: Duration = Duration::from_secs(30);

/// Failures in a row that open the circuit: from then on requests are told, in place of waiting.
const PATIENCE: u32 = 3;

/// The failures of a home's children.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// In a row.
    failures: u32,
    /// When the last of them was.
    last: Option<Instant>,
    /// No start before this.
    until: Option<Instant>,
    /// Why requests are turned away. None: the circuit is closed.
    open: Option<Problem>,
}

impl Circuit {
    /// Whether a child may be started, of which so many are starting. With an open circuit it is one at a time.
    pub(super) fn allows(&self, starting: usize, now: Instant) -> bool {
        let one = self.failures == 0 || starting == 0;
        one && self.until.is_none_or(|until| until <= now)
    }

    /// When a start is allowed that is not yet.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Why requests are turned away.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.open.as_ref()
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A child answers: the circuit closes. The failures are forgotten only when it has run well.
    pub(super) fn started(&mut self) {
        self.open = None;
        self.until = None;
    }

    /// Some child serves: what failed long ago is forgotten.
    pub(super) fn serves(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now >= last + RAN_WELL) {
            *self = Self::default();
        }
    }

    /// A child did not start, or ended soon.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.pause(now);
        if self.failures >= PATIENCE {
            self.open = Some(binary::failing());
        }
    }

    /// There is no Codex that could be started. Somebody may install one, so it is looked for again.
    pub(super) fn unfit(&mut self, problem: Problem, now: Instant) {
        self.failures = self.failures.max(PATIENCE).saturating_add(1);
        self.pause(now);
        self.open = Some(problem);
    }

    fn pause(&mut self, now: Instant) {
        let doublings = self.failures.saturating_sub(1).min(7);
        let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LAST_PAUSE);
        self.last = Some(now);
        self.until = Some(now + pause.mul_f64(rand::random_range(0.8..1.2)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_repeated_failures_and_closes_by_a_probe() {
        let mut circuit = Circuit::default();
        let mut now = Instant::now();
        assert!(circuit.allows(5, now));
        for failures in 1..=PATIENCE {
            circuit.failed(now);
            assert_eq!(circuit.problem().is_some(), failures == PATIENCE);
            assert!(!circuit.allows(0, now));
            now = circuit.until().unwrap_or(now);
            // One at a time.
            assert!(circuit.allows(0, now) && !circuit.allows(1, now));
        }
        circuit.started();
        assert!(circuit.problem().is_none());
        // It ended again at once: it was only a probe.
        circuit.failed(now);
        assert!(circuit.problem().is_some());
        circuit.started();
        circuit.serves(now);
        assert_eq!(circuit.failures(), PATIENCE + 1);
        circuit.serves(now + RAN_WELL);
        circuit.failed(now + RAN_WELL);
        assert!(circuit.problem().is_none());
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        for _ in 0..40 {
            circuit.failed(now);
            let pause = circuit.until().map(|until| until - now);
            assert!(pause.is_some_and(|pause| pause <= LAST_PAUSE.mul_f64(1.2)));
        }
    }
}
