//! A probe whose result is cached for 3 s. One probe runs at a time, as each starts a process.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// How long a result is fresh.
const FRESH: Duration = Duration::from_secs(3);

/// How long a caller waits for a new result.
const WAIT: Duration = Duration::from_secs(3);

/// A probe with its last result, and the key that the result is for.
#[derive(Debug)]
pub(super) struct CachedProbe<K, T> {
    in_flight: tokio::sync::Mutex<()>,
    last: Mutex<Option<CachedResult<K, T>>>,
}

#[derive(Clone, Debug)]
struct CachedResult<K, T> {
    of: K,
    when: Instant,
    answer: T,
}

impl<K, T> Default for CachedProbe<K, T> {
    fn default() -> Self {
        Self {
            in_flight: tokio::sync::Mutex::default(),
            last: Mutex::new(None),
        }
    }
}

impl<K: Clone + PartialEq, T: Clone> CachedProbe<K, T> {
    /// The result for this key: a fresh one from the cache, or a new one, or an older one if the new one takes too long. None:
    /// there is no result yet.
    pub(super) async fn get(&self, of: K, probing: impl Future<Output = T>) -> Option<T> {
        let answer = async {
            let _flight = self.in_flight.lock().await;
            if let Some(last) = self.last(&of).filter(|last| last.when.elapsed() < FRESH) {
                return last.answer;
            }
            let answer = probing.await;
            *self.last.lock() = Some(CachedResult {
                of: of.clone(),
                when: Instant::now(),
                answer: answer.clone(),
            });
            answer
        };
        let answer = timeout(WAIT, answer).await.ok();
        answer.or_else(|| self.last(&of).map(|last| last.answer))
    }

    fn last(&self, of: &K) -> Option<CachedResult<K, T>> {
        self.last.lock().clone().filter(|last| last.of == *of)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_result_is_fresh_for_a_while_and_used_longer_without_another() {
        let probe = CachedProbe::default();
        assert_eq!(probe.get("a", pending::<u8>()).await, None);
        assert_eq!(probe.get("a", ready(1)).await, Some(1));
        assert_eq!(probe.get("a", ready(2)).await, Some(1));
        assert_eq!(probe.get("b", pending()).await, None);
        tokio::time::advance(FRESH).await;
        assert_eq!(probe.get("a", pending()).await, Some(1));
        assert_eq!(probe.get("a", ready(2)).await, Some(2));
    }
}
