//! An adaptive limit of concurrent turns: additive increase, multiplicative decrease.
//!
//! An overloaded Codex begins turns later and later, then refuses calls (-32001), and at last leaves some unanswered
//! (0.169.0). The limit decreases by a share when a call is refused, is not answered, or takes long, and increases by steps
//! while turns begin promptly.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// A response that takes longer is a sign of overload. Of 100 turns begun at once on two cores, the last took 0.8 s.
const SLOW: Duration = Duration::from_secs(2);

/// The time after a decrease in which the limit does not decrease again, so that calls in flight do not count twice.
const SETTLE: Duration = Duration::from_secs(2);

/// The minimum of the limit: as many turns as one fan-out may have.
const MIN_TURNS: usize = 20;

/// The limit of concurrent turns, and the observations that change it.
#[derive(Debug)]
pub(crate) struct AdaptiveLimit {
    state: Mutex<LimitState>,
    most: usize,
    turns: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct LimitState {
    /// Prompt responses since the last change.
    prompt: usize,
    shrunk: Option<Instant>,
}

impl AdaptiveLimit {
    /// A limit that starts at its maximum, `most`.
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            most,
            turns: watch::Sender::new(most),
        }
    }

    /// The current limit. The receiver follows the changes.
    pub(super) fn turns(&self) -> watch::Receiver<usize> {
        self.turns.subscribe()
    }

    /// Records the response time of a call that begins a turn.
    pub(crate) fn began(&self, took: Duration) {
        if took > SLOW {
            return self.shrink(7, 8);
        }
        let mut state = self.lock();
        state.prompt += 1;
        let turns = *self.turns.borrow();
        if state.prompt >= turns && turns < self.most {
            state.prompt = 0;
            let step = (turns / 8).max(1);
            self.turns.send_replace((turns + step).min(self.most));
        }
    }

    /// Records that Codex has refused a call because it is overloaded, or has not answered it in time.
    pub(crate) fn refused(&self) {
        self.shrink(3, 4);
    }

    fn shrink(&self, numerator: usize, denominator: usize) {
        let now = Instant::now();
        let mut state = self.lock();
        state.prompt = 0;
        if state.shrunk.is_some_and(|shrunk| now < shrunk + SETTLE) {
            return;
        }
        state.shrunk = Some(now);
        let turns = *self.turns.borrow();
        let fewer = (turns * numerator / denominator).max(MIN_TURNS.min(self.most));
        if fewer < turns {
            tracing::warn!(
                from = turns,
                to = fewer,
                "codex does not keep up: fewer turns at once"
            );
            self.turns.send_replace(fewer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn it_shrinks_once_for_one_overload_and_grows_back() {
        let limit = AdaptiveLimit::new(64);
        let turns = limit.turns();
        for _ in 0..40 {
            limit.refused();
        }
        assert_eq!(*turns.borrow(), 48);
        tokio::time::advance(SETTLE).await;
        limit.began(SLOW * 2);
        assert_eq!(*turns.borrow(), 42);
        for _ in 0..42 {
            limit.began(PROMPT);
        }
        assert_eq!(*turns.borrow(), 47);
        for _ in 0..1000 {
            limit.began(PROMPT);
        }
        assert_eq!(*turns.borrow(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_shrinks_below_a_fan_out() {
        for (most, least) in [(64, 20), (8, 8)] {
            let limit = AdaptiveLimit::new(most);
            for _ in 0..40 {
                limit.refused();
                tokio::time::advance(SETTLE).await;
            }
            assert_eq!(*limit.turns().borrow(), least);
        }
    }
}
