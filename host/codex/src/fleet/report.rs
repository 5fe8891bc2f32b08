//! The report on a home's children, for `/admin/fleet`, `/metrics` and `airlock status`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::roster::{PoolEntry, ReplaceReason, WorkerState};
use super::{Fleet, FleetCounts, FleetState, PoolMember as _, Worker};
use crate::upstream_health::{ModelReport, StoppedTurns};

/// The state of one home's children.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FleetReport {
    /// Whether children may be started.
    pub circuit: CircuitReport,
    /// Each child.
    pub children: Vec<ChildReport>,
    /// Children that are being started.
    pub starting: usize,
    /// Children that were started since the gateway started.
    pub started: u64,
    /// Children that were replaced, by reason.
    pub replaced: Vec<ReplacedCount>,
    /// Threads that were started since the gateway started.
    pub threads: u64,
    /// Turns that were begun since the gateway started.
    pub turns_begun: u64,
    /// Bytes of Codex's log database.
    pub log_bytes: u64,
    /// Whether the model can be reached.
    pub model: ModelReport,
    /// Turns that were stopped because the model was silent or looped.
    pub stopped_turns: StoppedTurns,
}

/// The state of the circuit breaker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CircuitReport {
    /// `closed`, `open`, or `half_open` while a probe runs.
    pub state: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// Milliseconds until the next start may be tried.
    pub retry_in_ms: u64,
    /// The message of refused requests while the circuit is open.
    pub problem: Option<String>,
}

/// One child.
#[derive(Clone, Debug, Serialize)]
pub struct ChildReport {
    pub number: u64,
    pub pid: Option<u32>,
    /// `spare`, `serving` or `leaving`.
    pub state: WorkerState,
    /// Why the child is to be replaced. None: it is not.
    pub due: Option<ReplaceReason>,
    pub version: String,
    pub age_seconds: u64,
    /// Threads that the child has started.
    pub threads: u64,
    /// Prewarmed threads that wait for a request.
    pub warm_threads: usize,
    /// Turns of the child, parked ones included.
    pub turns: usize,
    /// Milliseconds since the child's last output.
    pub quiet_ms: u64,
    /// Bytes of resident memory, as last measured.
    pub resident_bytes: u64,
    pub signed_out: bool,
}

/// How many children were replaced for this reason.
#[derive(Clone, Debug, Serialize)]
pub struct ReplacedCount {
    pub reason: &'static str,
    pub children: u64,
}

impl Fleet {
    /// Reports the state of the children.
    pub(crate) fn report(&self) -> FleetReport {
        let (fleet, now) = (&self.inner, Instant::now());
        let counts = &fleet.counts;
        let state = fleet.lock();
        let entries = state.roster.entries.iter();
        let children: Vec<ChildReport> = entries.map(|entry| entry.report(now)).collect();
        let threads: u64 = children.iter().map(|child| child.threads).sum();
        let entries = state.roster.entries.iter();
        let begun: u64 = entries.map(|entry| entry.worker.counters.begun()).sum();
        FleetReport {
            circuit: state.circuit_report(now),
            children,
            starting: state.roster.starting,
            started: counts.started.load(Ordering::Relaxed),
            replaced: counts.replaced(),
            threads: counts.threads.load(Ordering::Relaxed) + threads,
            turns_begun: counts.turns.load(Ordering::Relaxed) + begun,
            log_bytes: counts.log.load(Ordering::Relaxed),
            model: fleet.upstream.report(),
            stopped_turns: fleet.upstream.stopped(),
        }
    }
}

impl PoolEntry<Worker> {
    fn report(&self, now: Instant) -> ChildReport {
        let worker = &*self.worker;
        ChildReport {
            number: self.number,
            pid: worker.pid,
            state: self.state,
            due: self.due,
            version: worker.version.clone(),
            age_seconds: (now - worker.since).as_secs(),
            threads: worker.counters.threads(),
            warm_threads: worker.warm_threads.len(),
            turns: worker.turns(),
            quiet_ms: milliseconds(worker.connection.quiet_for()),
            resident_bytes: worker.counters.resident.load(Ordering::Relaxed),
            signed_out: worker.signed_out,
        }
    }
}

impl FleetState {
    fn circuit_report(&self, now: Instant) -> CircuitReport {
        let until = self.circuit.until().unwrap_or(now);
        // While a child serves, no request is refused.
        let problem = self.circuit.problem();
        let problem = problem.filter(|_| self.roster.least_loaded().is_none());
        CircuitReport {
            state: match problem {
                None => "closed",
                Some(_) if self.roster.starting > 0 => "half_open",
                Some(_) => "open",
            },
            failures: self.circuit.failures(),
            retry_in_ms: milliseconds(until.saturating_duration_since(now)),
            problem: problem.map(|problem| problem.message.clone()),
        }
    }
}

impl FleetCounts {
    fn replaced(&self) -> Vec<ReplacedCount> {
        let counts = ReplaceReason::ALL
            .into_iter()
            .map(|(reason, name)| ReplacedCount {
                reason: name,
                children: self.replaced[reason as usize].load(Ordering::Relaxed),
            });
        counts.collect()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
