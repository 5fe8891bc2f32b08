//! A cached_probe whose result is cached for a moment. One runs at a time: each starts a process.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::lock;

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
    /// The result for this key: a fresh one from the cache, else a new one, else an older one if the new one takes too long.
    /// None: there is none yet.
    pub(super) async fn get(&self, of: K, probing: impl Future<Output = T>) -> Option<T> {
        let answer = async {
            let _flight = self.in_flight.lock().await;
            if let Some(last) = self.last(&of).filter(|last| last.when.elapsed() < FRESH) {
                return last.answer;
            }
            let answer = probing.await;
            *lock(&self.last) = Some(CachedResult {
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
        lock(&self.last).clone().filter(|last| last.of == *of)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_moment_and_longer_where_there_is_no_other() {
        let cached_probe = CachedProbe::default();
        assert_eq!(cached_probe.get("a", pending::<u8>()).await, None);
        assert_eq!(cached_probe.get("a", ready(1)).await, Some(1));
        assert_eq!(cached_probe.get("a", ready(2)).await, Some(1));
        assert_eq!(cached_probe.get("b", pending()).await, None);
        tokio::time::advance(FRESH).await;
        assert_eq!(cached_probe.get("a", pending()).await, Some(1));
        assert_eq!(cached_probe.get("a", ready(2)).await, Some(2));
    }
}
