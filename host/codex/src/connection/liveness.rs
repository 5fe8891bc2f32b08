//! Whether the child responds: it writes by itself, or once it is asked.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Connection, Inner, lock};

/// Silence after which a child that owes an answer is asked whether it responds. A call takes it a few milliseconds.
const QUIET: Duration = Duration::from_secs(1);

/// The same for a child that is about to begin a turn, which nobody can take back. The question takes less than a
/// millisecond, and a child that has much to do is never silent for so long.
const FRESH: Duration = Duration::from_millis(200);

/// How long the answer may take: so many steps. Of 100 turns that were begun at once on two cores, the last was answered
/// after 0.8 s (0.169.0). In steps, because all of a single wait may pass while this process itself was stopped.
const STEP: Duration = Duration::from_millis(750);
const STEPS: u32 = 4;

/// A call that costs the child nothing. Any answer will do, an error among them.
const PROBE: &str = "thread/loaded/list";

/// A connection that may be closed.
#[derive(Debug)]
pub(crate) struct WeakConnection(Weak<Inner>);

impl WeakConnection {
    /// Whether the connection is open.
    pub(crate) fn is_open(&self) -> bool {
        let inner = self.0.upgrade();
        inner.is_some_and(|inner| !inner.closed.is_cancelled())
    }

    /// Whether the model is answering a turn of the child, and has sent some of the answer after this time.
    pub(crate) fn model_has_sent_after(&self, time: Instant) -> bool {
        self.0.upgrade().is_some_and(|inner| {
            let turns = lock(&inner.turns);
            turns.values().any(|turn| turn.model_has_sent_after(time))
        })
    }
}

impl Connection {
    /// Completes when the child does not respond. It is asked whenever it has been silent for a second.
    pub(crate) async fn unresponsive(&self) {
        loop {
            if !self.answers_after(QUIET).await {
                return;
            }
            sleep(QUIET).await;
        }
    }

    /// The same connection, for whoever does not keep it open.
    pub(crate) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.inner))
    }

    /// How long the child has written nothing.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.inner.quiet_for()
    }

    /// How many lines the child has written so far.
    fn lines_read(&self) -> u64 {
        self.inner.heard.load(Ordering::Relaxed)
    }

    /// Whether the child responds. Returns at once where it has just written anything.
    pub(crate) async fn responds(&self) -> bool {
        self.answers_after(FRESH).await
    }

    /// The same for a child that is only asked after this silence.
    async fn answers_after(&self, silence: Duration) -> bool {
        if self.quiet_for() < silence {
            return true;
        }
        let before = self.lines_read();
        let mut probe = pin!(self.probe(PROBE));
        for _ in 0..STEPS {
            let answered = timeout(STEP, &mut probe).await.is_ok();
            if answered || self.lines_read() != before {
                return true;
            }
        }
        false
    }
}

impl Inner {
    /// The child has written something.
    pub(super) fn speaks(&self) {
        let since = self.opened.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.spoke.store(since, Ordering::Relaxed);
    }

    /// How long ago the child wrote anything, or the connection was opened.
    fn quiet_for(&self) -> Duration {
        let spoke = Duration::from_millis(self.spoke.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(spoke)
    }
}
