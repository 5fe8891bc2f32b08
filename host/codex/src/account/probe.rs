//! A probe whose result is cached for a moment. One runs at a time: each starts a process.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::lock;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(3);

/// How long it may hold up whoever asks.
const WAIT: Duration = Duration::from_secs(3);

/// The last answer, and of what it is.
#[derive(Debug)]
pub(super) struct Probe<K, T> {
    flight: tokio::sync::Mutex<()>,
    last: Mutex<Option<Last<K, T>>>,
}

#[derive(Clone, Debug)]
struct Last<K, T> {
    of: K,
    when: Instant,
    answer: T,
}

impl<K, T> Default for Probe<K, T> {
    fn default() -> Self {
        Self {
            flight: tokio::sync::Mutex::default(),
            last: Mutex::new(None),
        }
    }
}

impl<K: Clone + PartialEq, T: Clone> Probe<K, T> {
    /// What is answered of this, or was a moment ago; an older answer where the new one takes too long. None: there has
    /// been none yet.
    pub(super) async fn ask(&self, of: K, asking: impl Future<Output = T>) -> Option<T> {
        let answer = async {
            let _flight = self.flight.lock().await;
            if let Some(last) = self.last(&of).filter(|last| last.when.elapsed() < FRESH) {
                return last.answer;
            }
            let answer = asking.await;
            *lock(&self.last) = Some(Last {
                of: of.clone(),
                when: Instant::now(),
                answer: answer.clone(),
            });
            answer
        };
        let answer = timeout(WAIT, answer).await.ok();
        answer.or_else(|| self.last(&of).map(|last| last.answer))
    }

    fn last(&self, of: &K) -> Option<Last<K, T>> {
        lock(&self.last).clone().filter(|last| last.of == *of)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_moment_and_longer_where_there_is_no_other() {
        let probe = Probe::default();
        assert_eq!(probe.ask("a", pending::<u8>()).await, None);
        assert_eq!(probe.ask("a", ready(1)).await, Some(1));
        assert_eq!(probe.ask("a", ready(2)).await, Some(1));
        assert_eq!(probe.ask("b", pending()).await, None);
        tokio::time::advance(FRESH).await;
        assert_eq!(probe.ask("a", pending()).await, Some(1));
        assert_eq!(probe.ask("a", ready(2)).await, Some(2));
    }
}
