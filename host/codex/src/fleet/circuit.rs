//! The circuit breaker over starts of children: when the next may start, and whether requests are refused meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::binary;
use airlock_types::wit::Problem;

/// The pause between starts after the first failure, and the longest. The pause doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// The end of a child that ran this long does not count as a failure.
pub(super) const RAN_WELL: Duration = Duration::from_secs(30);

/// Failures in a row that open the circuit: requests are then refused at once.
const FAILURES_TO_OPEN: u32 = 3;

/// The recent failures of a home's children, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// Failures in a row.
    failures: u32,
    /// The time of the last failure.
    last: Option<Instant>,
    /// No start before this.
    until: Option<Instant>,
    /// Why requests are refused. None: the circuit is closed.
    open: Option<Problem>,
}

impl Circuit {
    /// Whether a child may be started while `starting` others are being started. After a failure, one at a time.
    pub(super) fn allows(&self, starting: usize, now: Instant) -> bool {
        let one = self.failures == 0 || starting == 0;
        one && self.until.is_none_or(|until| until <= now)
    }

    /// The time before which no start is allowed.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Why requests are refused. None: the circuit is closed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.open.as_ref()
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Closes the circuit, as a child has started. The failures are reset only once it has run for 30 s.
    pub(super) fn started(&mut self) {
        self.open = None;
        self.until = None;
    }

    /// Resets failures older than 30 s, as a child serves.
    pub(super) fn serves(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now >= last + RAN_WELL) {
            *self = Self::default();
        }
    }

    /// Records that a child did not start, or ended early.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.pause(now);
        if self.failures >= FAILURES_TO_OPEN {
            self.open = Some(binary::failing());
        }
    }

    /// Opens the circuit at once, as there is no usable binary. It is looked for again after the pause, as one may be
    /// installed.
    pub(super) fn no_binary(&mut self, problem: Problem, now: Instant) {
        self.failures = self.failures.max(FAILURES_TO_OPEN).saturating_add(1);
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
        for failures in 1..=FAILURES_TO_OPEN {
            circuit.failed(now);
            assert_eq!(circuit.problem().is_some(), failures == FAILURES_TO_OPEN);
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
        assert_eq!(circuit.failures(), FAILURES_TO_OPEN + 1);
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
