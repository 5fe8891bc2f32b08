//! The supervisor of a home's children: starts them, leases the least loaded one to each turn, and replaces children without
//! cutting a reply.

mod adaptive_limit; // how many turns run at once
mod circuit; // when the next child may start
mod life; // one child, from its start to its end
mod login_file; // whether the login's file has changed
mod recycle; // when a child is replaced
mod report; // what operators see
mod roster; // what each child does: serve, stand by or leave
mod worker; // a running child

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout_at};

use self::adaptive_limit::AdaptiveLimit;
use self::circuit::Circuit;
pub use self::report::FleetReport;
use self::roster::{PoolMember, ReplaceReason, Roster};
use self::worker::WorkerCounters;
pub(super) use self::worker::{Lease, Worker};
use super::account::Account;
use super::connection::ConnectionLimits;
use super::failure;
use super::launch::Launch;
use super::orphans;
use super::thread_catalogs::ThreadCatalogs;
use super::upstream_health::UpstreamHealth;
use crate::config::{CodexConfig, FleetConfig};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// How long a request waits for a child that is starting.
const START_WAIT: Duration = Duration::from_secs(10);

/// The interval between checks of the system's certificates.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(60);

/// The interval between measurements of the children.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// The children of one home. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    inner: Arc<FleetInner>,
}

/// What the clones of a fleet share.
#[derive(Debug)]
struct FleetInner {
    launch: Launch,
    account: Account,
    limits: ConnectionLimits,
    config: FleetConfig,
    tasks: Tasks,
    state: Mutex<FleetState>,
    adaptive_limit: Arc<AdaptiveLimit>,
    upstream: Arc<UpstreamHealth>,
    /// Notified when waiting requests should choose a child again.
    changed: watch::Sender<()>,
    /// Notified when the manager should act.
    wake: Arc<Notify>,
    counts: FleetCounts,
    /// The thread catalogs that were made last, and the Codex version that made them.
    thread_catalogs: Mutex<Option<(String, Arc<ThreadCatalogs>)>>,
}

#[derive(Debug)]
struct FleetState {
    roster: Roster<Worker>,
    circuit: Circuit,
    /// The number of the child that was started last.
    number: u64,
    /// Why the last start failed, for the operator. None: it succeeded.
    start_fault: Option<String>,
}

/// The outcome of the first start of a child.
pub enum Started {
    /// A child answers, and requests can be served.
    Ready,
    /// A child answers, and requests are refused with this problem.
    Refused(Problem),
    /// The start failed. The text, for the operator, names the binary and the remedy.
    Failed(String),
    /// No start has ended yet.
    Pending,
}

/// The fleet's counters since the gateway started.
#[derive(Debug, Default)]
struct FleetCounts {
    /// Children that were started.
    started: AtomicU64,
    /// Threads of children that are gone.
    threads: AtomicU64,
    /// Turns that those children had begun.
    turns: AtomicU64,
    /// Children that were replaced, by `ReplaceReason`.
    replaced: [AtomicU64; ReplaceReason::ALL.len()],
    /// Bytes of the home's log, as last measured.
    log: AtomicU64,
}

impl PoolMember for Worker {
    fn is_open(&self) -> bool {
        self.connection.is_open() && !self.hung.is_cancelled()
    }

    fn turns(&self) -> usize {
        *self.counters.turns.borrow()
    }
}

impl Fleet {
    /// Starts the supervision. While the binary is missing, requests are refused and it is looked for again.
    pub(super) fn start(
        config: &CodexConfig,
        limits: ConnectionLimits,
        launch: Launch,
        account: Account,
        tasks: &Tasks,
    ) -> Self {
        let inner = Arc::new(FleetInner {
            launch,
            account,
            limits,
            config: config.fleet.clone(),
            tasks: tasks.clone(),
            state: Mutex::new(FleetState {
                roster: Roster::new(config.fleet.children, config.fleet.spare),
                circuit: Circuit::default(),
                number: 0,
                start_fault: None,
            }),
            adaptive_limit: Arc::new(AdaptiveLimit::new(config.limits.turns)),
            upstream: Arc::default(),
            changed: watch::Sender::default(),
            wake: Arc::default(),
            counts: FleetCounts::default(),
            thread_catalogs: Mutex::default(),
        });
        tasks.spawn("fleet", manage(inner.clone()));
        let (watched, stopping) = (inner.clone(), tasks.clone());
        tasks.spawn("fleet-watch", async move {
            tokio::select! {
                () = measure(&watched) => {}
                () = stopping.stopping() => {}
            }
        });
        Self { inner }
    }

    /// A lease on the child that has the fewest turns. Waits up to 10 s for a child that is starting.
    pub(super) async fn lease(&self) -> Result<Lease, Problem> {
        self.find(|roster| roster.least_loaded().map(Lease::new))
            .await
    }

    /// A child for calls outside of turns, chosen as by `lease`.
    pub(super) async fn child(&self) -> Result<Arc<Worker>, Problem> {
        self.find(Roster::least_loaded).await
    }

    /// As `child`, without waiting.
    pub(super) fn now(&self) -> Result<Arc<Worker>, Problem> {
        match self.inner.try_find(&Roster::least_loaded) {
            Some(found) => usable(found),
            None => Err(starting()),
        }
    }

    /// Whether the model can be reached, as turns observe.
    pub(super) fn upstream(&self) -> &UpstreamHealth {
        &self.inner.upstream
    }

    /// Waits until the first child answers or has failed to start, at most for `wait`.
    pub(super) async fn started(&self, wait: Duration) -> Started {
        let mut changed = self.inner.changed.subscribe();
        let deadline = Instant::now() + wait;
        loop {
            changed.borrow_and_update();
            if let Some(fault) = self.inner.lock().start_fault.clone() {
                return Started::Failed(fault);
            }
            match self.inner.try_find(&Roster::least_loaded).map(usable) {
                Some(Ok(_)) => return Started::Ready,
                Some(Err(problem)) => return Started::Refused(problem),
                None => {}
            }
            if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                return Started::Pending;
            }
        }
    }

    /// How many turns may run at once. The receiver follows the changes.
    pub(super) fn turn_capacity(&self) -> watch::Receiver<usize> {
        self.inner.adaptive_limit.turns()
    }

    /// A running child, whether or not it is signed in.
    pub(super) fn any(&self) -> Option<Arc<Worker>> {
        self.inner.try_find(&Roster::least_loaded)?.ok()
    }

    /// Whether any child runs a turn on this thread.
    pub(super) fn runs(&self, thread: &str) -> bool {
        let state = self.inner.lock();
        let mut entries = state.roster.entries.iter();
        entries.any(|entry| entry.worker.connection.has_turn(thread))
    }

    async fn find<T: AsRef<Worker>>(
        &self,
        choose: impl Fn(&Roster<Worker>) -> Option<T>,
    ) -> Result<T, Problem> {
        let mut changed = self.inner.changed.subscribe();
        let deadline = Instant::now() + START_WAIT;
        loop {
            changed.borrow_and_update();
            if let Some(found) = self.inner.try_find(&choose) {
                return usable(found);
            }
            // The deadline has passed, or the gateway stops.
            if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                return Err(starting());
            }
        }
    }
}

/// The child, or the problem that it is not signed in.
fn usable<T: AsRef<Worker>>(found: Result<T, Problem>) -> Result<T, Problem> {
    let found = found?;
    if found.as_ref().signed_out {
        return Err(failure::not_signed_in().problem);
    }
    Ok(found)
}

fn starting() -> Problem {
    let message = "Codex is starting; try again in a moment";
    Failure::new(ProblemKind::Overloaded, "codex_starting", message)
        .retry_after(1)
        .problem
}

impl FleetInner {
    fn lock(&self) -> MutexGuard<'_, FleetState> {
        self.state.lock()
    }

    /// What `choose` returns, or the problem for which requests are refused. None: a child is starting.
    fn try_find<T>(
        &self,
        choose: &impl Fn(&Roster<Worker>) -> Option<T>,
    ) -> Option<Result<T, Problem>> {
        let mut state = self.lock();
        let mut found = choose(&state.roster);
        if found.is_none() {
            // The serving child has just ended: the spare is promoted at once.
            self.settle(&mut state);
            found = choose(&state.roster);
        }
        match (found, state.circuit.problem()) {
            (Some(found), _) => Some(Ok(found)),
            (None, Some(problem)) => Some(Err(problem.clone())),
            (None, None) => None,
        }
    }

    /// Stores catalogs that a child has made, and returns those of its version: these, or else an earlier child's.
    fn store_catalogs(
        &self,
        made: Option<ThreadCatalogs>,
        version: &str,
    ) -> Option<Arc<ThreadCatalogs>> {
        let mut known = self.thread_catalogs.lock();
        if let Some(made) = made {
            *known = Some((version.to_owned(), Arc::new(made.of(version))));
        }
        let known = known.as_ref().filter(|(of, _)| of == version);
        known.map(|(_, thread_catalogs)| thread_catalogs.clone())
    }

    fn settle(&self, state: &mut FleetState) {
        for (worker, reason) in state.roster.settle() {
            self.dismiss(&worker, reason);
        }
    }

    /// Cancels the `leaving` token of a child that takes no more turns, and counts the replacement.
    fn dismiss(&self, worker: &Worker, reason: ReplaceReason) {
        self.counts.replaced[reason as usize].fetch_add(1, Ordering::Relaxed);
        if reason != ReplaceReason::Broken {
            tracing::info!(
                child = worker.number,
                ?reason,
                turns = worker.turns(),
                threads = worker.counters.threads(),
                "replacing a codex"
            );
        }
        worker.leaving.cancel();
    }

    /// Takes a child out of service, even if no other serves.
    fn leave(&self, worker: &Worker, reason: ReplaceReason) {
        let mut state = self.lock();
        if state.roster.leave(worker.number) {
            self.dismiss(worker, reason);
        }
        self.settle(&mut state);
        drop(state);
        self.notify();
    }

    fn notify(&self) {
        self.changed.send_replace(());
        self.wake.notify_one();
    }

    /// The numbers of the children to start now.
    fn to_start(&self) -> Vec<u64> {
        let mut state = self.lock();
        recycle::mark(self, &mut state.roster);
        self.settle(&mut state);
        let mut numbers = Vec::new();
        while state.roster.missing() > 0 {
            if !state.circuit.allows(state.roster.starting, Instant::now()) {
                break;
            }
            state.number += 1;
            state.roster.starting += 1;
            numbers.push(state.number);
        }
        numbers
    }
}

/// Measures the children and refreshes the certificates at intervals.
async fn measure(fleet: &FleetInner) {
    let mut rounds = interval(MEASURE_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut certificates = interval_at(Instant::now() + CERTIFICATE_INTERVAL, CERTIFICATE_INTERVAL);
    loop {
        tokio::select! {
            _ = rounds.tick() => recycle::round(fleet).await,
            _ = certificates.tick() => {
                let launch = fleet.launch.clone();
                let _ = spawn_blocking(move || launch.refresh_certificates()).await;
            }
        }
    }
}

/// Keeps the configured number of children running until the gateway stops.
async fn manage(fleet: Arc<FleetInner>) {
    // Orphans would disturb the first child, so they are ended before it starts.
    orphans::reap(&fleet.launch.home().path).await;
    let mut lives = FuturesUnordered::new();
    loop {
        for number in fleet.to_start() {
            lives.push(life::live(&fleet, number));
        }
        let until = fleet.lock().circuit.until();
        let pause = async {
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = lives.next() => {}
            () = fleet.wake.notified() => {}
            () = pause => {}
            () = fleet.tasks.stopping() => break,
        }
    }
    // Each observes the stop, and ends its child.
    while lives.next().await.is_some() {}
}
