//! What operators see of a home's children: for `/admin/fleet`, `/metrics` and `airlock status`.

use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::time::Instant;

use super::roster::{Reason, WorkerState};
use super::{Fleet, PoolMember as _};
use crate::upstream::{ModelReport, StoppedTurns};

/// The children of one home, as they are now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FleetReport {
    /// Whether children are started.
    pub circuit: CircuitReport,
    /// Each child.
    pub children: Vec<ChildReport>,
    /// Children that are being started.
    pub starting: usize,
    /// Children that were started since the gateway was.
    pub started: u64,
    /// Children that were replaced, by reason.
    pub replaced: Vec<Replaced>,
    /// Threads that were started since the gateway was.
    pub threads: u64,
    /// Turns that were begun since the gateway was started.
    pub turns_begun: u64,
    /// Bytes of Codex's own log.
    pub log_bytes: u64,
    /// Whether the model can be reached.
    pub model: ModelReport,
    /// Turns that were stopped on the model's account.
    pub stopped_turns: StoppedTurns,
}

/// Whether children are started.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CircuitReport {
    /// `closed`, `open`, or `half_open` while a probe runs.
    pub state: &'static str,
    /// In a row.
    pub failures: u32,
    /// Until the next start is tried.
    pub retry_in_ms: u64,
    /// What requests are told while it is open.
    pub problem: Option<String>,
}

/// One child.
#[derive(Clone, Debug, Serialize)]
pub struct ChildReport {
    pub number: u64,
    pub pid: Option<u32>,
    /// `spare`, `serving` or `leaving`.
    pub state: WorkerState,
    /// Why it is to be replaced.
    pub due: Option<Reason>,
    pub version: String,
    pub age_seconds: u64,
    /// Threads that it has started.
    pub threads: u64,
    /// Threads that wait for a request.
    pub warm_threads: usize,
    /// Turns that it has, those that wait for their client among them.
    pub turns: usize,
    /// Since it has written anything, in milliseconds.
    pub quiet_ms: u64,
    /// When last looked at.
    pub resident_bytes: u64,
    pub signed_out: bool,
}

/// How many were replaced for this reason.
#[derive(Clone, Debug, Serialize)]
pub struct Replaced {
    pub reason: &'static str,
    pub children: u64,
}

impl Fleet {
    /// The children as they are now.
    pub(crate) fn report(&self) -> FleetReport {
        let (shared, now) = (&self.shared, Instant::now());
        let counts = &shared.counts;
        let state = shared.lock();
        let circuit = &state.circuit;
        let until = circuit.until().unwrap_or(now);
        let wait = until.saturating_duration_since(now);
        let children: Vec<ChildReport> = state
            .roster
            .entries
            .iter()
            .map(|entry| {
                let worker = &*entry.worker;
                ChildReport {
                    number: entry.number,
                    pid: worker.pid,
                    state: entry.state,
                    due: entry.due,
                    version: worker.version.clone(),
                    age_seconds: (now - worker.since).as_secs(),
                    threads: worker.tally.threads(),
                    warm_threads: worker.warm_threads.len(),
                    turns: worker.turns(),
                    quiet_ms: u64::try_from(worker.connection.quiet_for().as_millis())
                        .unwrap_or(u64::MAX),
                    resident_bytes: worker.tally.resident.load(Ordering::Relaxed),
                    signed_out: worker.signed_out,
                }
            })
            .collect();
        // With a child that serves nobody is turned away.
        let problem = circuit.problem();
        let problem = problem.filter(|_| state.roster.least().is_none());
        let here: u64 = children.iter().map(|child| child.threads).sum();
        let entries = state.roster.entries.iter();
        let begun: u64 = entries.map(|entry| entry.worker.tally.begun()).sum();
        FleetReport {
            circuit: CircuitReport {
                state: match problem {
                    None => "closed",
                    Some(_) if state.roster.starting > 0 => "half_open",
                    Some(_) => "open",
                },
                failures: circuit.failures(),
                retry_in_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                problem: problem.map(|problem| problem.message.clone()),
            },
            children,
            starting: state.roster.starting,
            started: counts.started.load(Ordering::Relaxed),
            replaced: Reason::ALL
                .into_iter()
                .map(|(reason, name)| Replaced {
                    reason: name,
                    children: counts.replaced[reason as usize].load(Ordering::Relaxed),
                })
                .collect(),
            threads: counts.threads.load(Ordering::Relaxed) + here,
            turns_begun: counts.turns.load(Ordering::Relaxed) + begun,
            log_bytes: counts.log.load(Ordering::Relaxed),
            model: shared.upstream.report(),
            stopped_turns: shared.upstream.stopped(),
        }
    }
}
