//! Reachability of the model, as the turns of a home observe it. Requests are never refused because of it: the next one may
//! succeed, which clears the state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::connection::{Connection, WeakConnection};
use airlock_base::clock;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// Silence of the model after which the log warns. Codex 0.169.0 and 0.163.0 report nothing for 154 s when packets to the
/// model are dropped, and nothing at all when the model accepts a connection and never answers.
pub(super) const SUSPICION: Duration = Duration::from_secs(8);

/// How long after the last failure `/readyz` answers 503. After that it answers 200, with the state still in its body: a load
/// balancer sends no requests to an unready gateway, so none would show that the model is back.
const UNREADY: Duration = Duration::from_secs(30);

/// What turns have observed of the model.
#[derive(Debug, Default)]
pub(super) struct UpstreamHealth {
    state: Mutex<UpstreamState>,
    /// The connections of the children that may have turns.
    connections: Mutex<Vec<WeakConnection>>,
    /// Turns that were stopped because the model sent nothing for `limits.model_wait`.
    timeouts: AtomicU64,
    /// Turns that were stopped because of `limits.model_requests`.
    loops: AtomicU64,
}

#[derive(Debug, Default)]
struct UpstreamState {
    /// When the model last began to answer a request of any turn.
    answered: Option<Instant>,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    reach: Reach,
    since: Instant,
    /// `since` in Unix seconds.
    since_unix: u64,
    /// When a turn last observed that the model is unreachable.
    confirmed: Instant,
}

/// The reachability of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No turn has observed otherwise since the model last answered.
    #[default]
    Reachable,
    /// A turn has waited for longer than usual, and Codex reports no error.
    Silent,
    /// Codex reports that the model cannot be reached, or a turn was stopped because the model never answered.
    Unreachable,
}

/// The state of the model, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Whether the model can be reached.
    pub state: Reach,
    /// Since when the model is not `reachable`, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// For how many seconds the model is not `reachable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// Turns that were stopped because of the model.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StoppedTurns {
    /// Because the model sent nothing for `limits.model_wait`.
    pub timeouts: u64,
    /// Because of `limits.model_requests`.
    pub loops: u64,
}

impl UpstreamHealth {
    /// Records that the model has begun to answer a request.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        state.answered = Some(now);
        if let Some(outage) = state.outage.take() {
            let seconds = (now - outage.since).as_secs();
            tracing::info!(seconds, "the model answers again");
        }
    }

    /// Adds the connection of a child that was started.
    pub(super) fn watch(&self, connection: &Connection) {
        let mut connections = self.connections.lock();
        connections.retain(WeakConnection::is_open);
        connections.push(connection.downgrade());
    }

    /// Whether the model has sent anything to any turn after this time, and so is merely slow. This queries the children's
    /// turns, so that deltas need not be reported.
    pub(super) fn has_sent_after(&self, time: Instant) -> bool {
        let answered = self.lock().answered;
        answered.is_some_and(|answered| answered > time)
            || self
                .connections
                .lock()
                .iter()
                .any(|connection| connection.model_has_sent_after(time))
    }

    /// Records that a turn has waited for the model since `since`, and Codex reports no error.
    pub(super) fn silent(&self, since: Instant) {
        let mut state = self.lock();
        if state.outage.is_some() {
            return;
        }
        tracing::warn!(
            seconds = since.elapsed().as_secs(),
            "the model has sent nothing for a turn, and Codex reports no error: it is slow, or its host drops packets"
        );
        state.outage = Some(Outage::new(Reach::Silent, since));
    }

    /// Records that a turn has waited for the model since `since`, and that Codex cannot reach it or the turn was stopped.
    pub(super) fn unreachable(&self, since: Instant) {
        let mut state = self.lock();
        let outage = state
            .outage
            .get_or_insert_with(|| Outage::new(Reach::Silent, since));
        outage.confirmed = Instant::now();
        if outage.reach != Reach::Unreachable {
            outage.reach = Reach::Unreachable;
            tracing::warn!(
                seconds = outage.since.elapsed().as_secs(),
                "the model cannot be reached; check the gateway's network and proxy"
            );
        }
    }

    /// Counts a turn that was stopped because the model sent nothing.
    pub(super) fn count_timeout(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a turn that was stopped because it made too many requests to the model.
    pub(super) fn count_loop(&self) {
        self.loops.fetch_add(1, Ordering::Relaxed);
    }

    /// The state, for operators.
    pub(super) fn report(&self) -> ModelReport {
        match &self.lock().outage {
            None => ModelReport::default(),
            Some(outage) => ModelReport {
                state: outage.reach,
                since: Some(outage.since_unix),
                seconds: Some(outage.since.elapsed().as_secs()),
            },
        }
    }

    /// Turns that were stopped since the gateway started.
    pub(super) fn stopped(&self) -> StoppedTurns {
        StoppedTurns {
            timeouts: self.timeouts.load(Ordering::Relaxed),
            loops: self.loops.load(Ordering::Relaxed),
        }
    }

    /// The problem for which the gateway is not ready. None: the model is not an obstacle.
    pub(super) fn problem(&self) -> Option<Problem> {
        let state = self.lock();
        let outage = state.outage.as_ref()?;
        let recent = outage.confirmed.elapsed() < UNREADY;
        (recent && outage.reach == Reach::Unreachable).then(|| outage.problem())
    }

    fn lock(&self) -> MutexGuard<'_, UpstreamState> {
        self.state.lock()
    }
}

impl Outage {
    fn new(reach: Reach, since: Instant) -> Self {
        Self {
            reach,
            since,
            since_unix: (clock::unix_ms() / 1000).saturating_sub(since.elapsed().as_secs()),
            confirmed: Instant::now(),
        }
    }

    fn problem(&self) -> Problem {
        let message = format!(
            "Codex cannot reach the model since {} ({} s); check the gateway's network and proxy",
            clock::utc(self.since_unix * 1000),
            self.since.elapsed().as_secs(),
        );
        let kind = ProblemKind::Overloaded;
        Failure::new(kind, "upstream_unreachable", message).problem
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_becomes_an_outage_and_an_answer_ends_it() {
        let health = UpstreamHealth::default();
        let since = Instant::now();
        advance(seconds(8)).await;
        health.silent(since);
        let report = health.report();
        assert_eq!((report.state, report.seconds), (Reach::Silent, Some(8)));
        assert_eq!(health.problem(), None);
        advance(seconds(52)).await;
        health.unreachable(since);
        let report = health.report();
        assert_eq!(
            (report.state, report.seconds),
            (Reach::Unreachable, Some(60))
        );
        let problem = health.problem();
        assert_eq!(
            problem.and_then(|problem| problem.code).as_deref(),
            Some("upstream_unreachable")
        );
        health.answered();
        assert_eq!(health.report(), ModelReport::default());
        assert_eq!(health.problem(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_model_that_answers_others_is_not_silent() {
        let health = UpstreamHealth::default();
        let since = Instant::now();
        advance(seconds(4)).await;
        health.answered();
        advance(seconds(4)).await;
        assert!(health.has_sent_after(since));
        assert!(!health.has_sent_after(Instant::now() - seconds(4)));
        // A request that was sent after that answer must observe the silence by itself.
        let later = Instant::now();
        advance(seconds(60)).await;
        assert!(!health.has_sent_after(later));
        health.unreachable(later);
        assert_eq!(health.report().state, Reach::Unreachable);
    }

    #[tokio::test(start_paused = true)]
    async fn the_gateway_is_ready_again_once_no_request_has_failed_for_a_while() {
        let health = UpstreamHealth::default();
        health.unreachable(Instant::now());
        advance(seconds(29)).await;
        assert!(health.problem().is_some());
        advance(seconds(1)).await;
        assert_eq!(health.problem(), None);
        assert_eq!(health.report().state, Reach::Unreachable);
        health.unreachable(Instant::now());
        assert!(health.problem().is_some());
        assert_eq!(health.report().seconds, Some(30));
    }
}
