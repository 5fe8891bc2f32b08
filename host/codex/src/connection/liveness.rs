//! Liveness of a child: whether it writes by itself or responds to a probe.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Connection, ConnectionInner};

/// Silence after which a child that owes a response is probed. A call usually takes a few milliseconds.
const QUIET: Duration = Duration::from_secs(1);

/// Silence after which a child is probed before `turn/start`, which cannot be repeated on another child. The probe takes less
/// than a millisecond, and a busy child is never silent for so long.
const FRESH: Duration = Duration::from_millis(200);

/// How long the response to a probe may take, in steps. Of 100 turns started at once on two cores, the last was answered after
/// 0.8 s (0.169.0). A single wait could elapse while this process itself is stopped; several steps do not.
const STEP: Duration = Duration::from_millis(750);
const STEPS: u32 = 4;

/// A call that costs the child next to nothing. Any response shows liveness, an error included.
const PROBE: &str = "thread/loaded/list";

/// A weak handle to a connection, which does not keep it alive.
#[derive(Debug)]
pub(crate) struct WeakConnection(Weak<ConnectionInner>);

impl WeakConnection {
    /// Whether the connection is open.
    pub(crate) fn is_open(&self) -> bool {
        let inner = self.0.upgrade();
        inner.is_some_and(|inner| !inner.closed.is_cancelled())
    }

    /// Whether the model is answering a turn of the child, and has sent some of the answer after this time.
    pub(crate) fn model_has_sent_after(&self, time: Instant) -> bool {
        self.0.upgrade().is_some_and(|inner| {
            let turns = inner.turns.lock();
            turns.values().any(|turn| turn.model_has_sent_after(time))
        })
    }
}

impl Connection {
    /// Completes when the child does not respond. The child is probed whenever it has been silent for a second.
    pub(crate) async fn unresponsive(&self) {
        loop {
            if !self.responds_after(QUIET).await {
                return;
            }
            sleep(QUIET).await;
        }
    }

    /// A weak handle to the connection.
    pub(crate) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.inner))
    }

    /// How long the child has been silent.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.inner.quiet_for()
    }

    /// How many lines the child has written so far.
    fn lines_read(&self) -> u64 {
        self.inner.lines_read.load(Ordering::Relaxed)
    }

    /// Whether the child responds. Returns at once if the child wrote something in the last 200 ms.
    pub(crate) async fn responds(&self) -> bool {
        self.responds_after(FRESH).await
    }

    /// Whether the child responds. It is probed only if it has been silent for this long.
    async fn responds_after(&self, silence: Duration) -> bool {
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

impl ConnectionInner {
    /// Records that the child has written something.
    pub(super) fn record_output(&self) {
        let since = self.opened.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.last_output.store(since, Ordering::Relaxed);
    }

    /// How long ago the child wrote anything, or the connection was opened.
    fn quiet_for(&self) -> Duration {
        let last_output = Duration::from_millis(self.last_output.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last_output)
    }
}
