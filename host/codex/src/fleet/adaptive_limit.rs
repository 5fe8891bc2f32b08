//! How many turns the children take at once: as many as are allowed, and fewer while Codex is seen not to keep up.
//!
//! Past its means Codex begins turns ever later, then turns calls away (-32001), and at last leaves some unanswered
//! (0.169.0). So the number follows what is measured: it shrinks by a share when a call is turned away, is not answered,
//! or takes long, and grows back by steps while turns begin promptly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Answers that take longer are a sign of overload. Of 100 turns begun at once the last took 0.8 s, on two cores.
const SLOW: Duration = Duration::from_secs(2);

/// After it has shrunk, what was under way then must not shrink it again.
const SETTLE: Duration = Duration::from_secs(2);

/// It never shrinks below what one fan-out may need.
const LEAST: usize = 20;

/// The number, and what it follows.
#[derive(Debug)]
pub(crate) struct AdaptiveLimit {
    state: Mutex<State>,
    most: usize,
    turns: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that were answered promptly since it last changed.
    prompt: usize,
    shrunk: Option<Instant>,
}

impl AdaptiveLimit {
    /// Begins with the most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            most,
            turns: watch::Sender::new(most),
        }
    }

    /// Turns that may run at once.
    pub(super) fn turns(&self) -> watch::Receiver<usize> {
        self.turns.subscribe()
    }

    /// A call that begins a turn was answered after so long.
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

    /// Codex has turned a call away because it is busy, or has not answered it.
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
        let fewer = (turns * numerator / denominator).max(LEAST.min(self.most));
        if fewer < turns {
            tracing::warn!(
                from = turns,
                to = fewer,
                "codex does not keep up: fewer turns at once"
            );
            self.turns.send_replace(fewer);
        }
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
