//! The children of one home: kept running, chosen by their load, replaced before they degrade, without cutting a reply.

mod adaptive_limit; // how many turns at once
mod circuit; // when the next may start
mod life; // one child, from its start to its end
mod login; // whether there is another
mod recycle; // when one is to be replaced
mod report; // what operators see
mod roster; // which child serves, stands by or leaves
mod worker; // a child that answers

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout_at};

use self::adaptive_limit::AdaptiveLimit;
use self::circuit::Circuit;
pub use self::report::FleetReport;
use self::roster::{PoolMember, Reason, Roster};
use self::worker::Tally;
pub(super) use self::worker::{Lease, Worker};
use super::account::Account;
use super::connection::ConnectionLimits;
use super::failure;
use super::launch::Launch;
use super::orphans;
use super::thread_catalogs::ThreadCatalogs;
use super::upstream::UpstreamHealth;
use crate::config::{CodexConfig, FleetConfig};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::{Problem, ProblemKind};

/// How long a request waits for a child that is starting.
const START_WAIT: Duration = Duration::from_secs(10);

/// How often it is looked whether the system's certificates have changed.
const CERTIFICATES: Duration = Duration::from_secs(60);

/// How often the children are looked at.
const ROUND: Duration = Duration::from_secs(2);

/// The children of one home. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    shared: Arc<Shared>,
}

/// What it takes to start children, and those there are.
#[derive(Debug)]
struct Shared {
    launch: Launch,
    account: Account,
    bounds: ConnectionLimits,
    terms: FleetConfig,
    tasks: Tasks,
    state: Mutex<State>,
    adaptive_limit: Arc<AdaptiveLimit>,
    upstream: Arc<UpstreamHealth>,
    /// Notified whenever requests that wait should look again.
    changed: watch::Sender<()>,
    /// Notified when the manager should.
    wake: Arc<Notify>,
    counts: Counts,
    /// The last catalogs for threads, and the version of their Codex.
    thread_catalogs: Mutex<Option<(String, Arc<ThreadCatalogs>)>>,
}

#[derive(Debug)]
struct State {
    roster: Roster<Worker>,
    circuit: Circuit,
    /// Of the last child.
    number: u64,
    /// Why the last start failed, for the operator. None: it did not.
    start_fault: Option<String>,
}

/// What has become of the first start of a child.
pub enum Started {
    /// A child answers, and requests can be served.
    Ready,
    /// A child answers, and this stands in the way of requests.
    Refused(Problem),
    /// None started. The text, for the operator, names the Codex and the way out.
    Failed(String),
    /// None has started yet.
    Not,
}

/// What has happened since the gateway started.
#[derive(Debug, Default)]
struct Counts {
    /// Children that were started.
    started: AtomicU64,
    /// Threads of children that are gone.
    threads: AtomicU64,
    /// Turns that they had begun.
    turns: AtomicU64,
    /// Children that were replaced, by `Reason`.
    replaced: [AtomicU64; Reason::ALL.len()],
    /// Bytes of the home's log, when last looked at.
    log: AtomicU64,
}

impl PoolMember for Worker {
    fn is_open(&self) -> bool {
        self.connection.is_open() && !self.hung.is_cancelled()
    }

    fn turns(&self) -> usize {
        *self.tally.turns.borrow()
    }
}

impl Fleet {
    /// Starts supervising. A missing Codex fails nothing here: requests are told, and it is looked for again.
    pub(super) fn start(
        config: &CodexConfig,
        bounds: ConnectionLimits,
        launch: Launch,
        account: Account,
        tasks: &Tasks,
    ) -> Self {
        let terms = &config.fleet;
        let shared = Arc::new(Shared {
            launch,
            account,
            bounds,
            terms: terms.clone(),
            tasks: tasks.clone(),
            state: Mutex::new(State {
                roster: Roster::new(terms.children, terms.spare),
                circuit: Circuit::default(),
                number: 0,
                start_fault: None,
            }),
            adaptive_limit: Arc::new(AdaptiveLimit::new(config.limits.turns)),
            upstream: Arc::default(),
            changed: watch::Sender::default(),
            wake: Arc::default(),
            counts: Counts::default(),
            thread_catalogs: Mutex::default(),
        });
        tasks.spawn("fleet", manage(shared.clone()));
        let (watched, stopping) = (shared.clone(), tasks.clone());
        tasks.spawn("fleet-watch", async move {
            tokio::select! {
                () = look_after(&watched) => {}
                () = stopping.stopping() => {}
            }
        });
        Self { shared }
    }

    /// A place for a turn, on the child that has the fewest. Waits a little while one is starting.
    pub(super) async fn lease(&self) -> Result<Lease, Problem> {
        self.find(|roster| roster.least().map(Lease::new)).await
    }

    /// A child to ask, as `lease`, but for no turn.
    pub(super) async fn child(&self) -> Result<Arc<Worker>, Problem> {
        self.find(Roster::least).await
    }

    /// The child that would be asked, if there is one right now.
    pub(super) fn now(&self) -> Result<Arc<Worker>, Problem> {
        match self.shared.look(&Roster::least) {
            Some(found) => usable(found),
            None => Err(starting()),
        }
    }

    /// Whether the model can be reached, as turns find out.
    pub(super) fn upstream(&self) -> &UpstreamHealth {
        &self.shared.upstream
    }

    /// Waits until the first child answers or has failed to start, at most so long.
    pub(super) async fn started(&self, wait: Duration) -> Started {
        let mut changed = self.shared.changed.subscribe();
        let deadline = Instant::now() + wait;
        loop {
            changed.borrow_and_update();
            if let Some(fault) = self.shared.lock().start_fault.clone() {
                return Started::Failed(fault);
            }
            match self.shared.look(&Roster::least).map(usable) {
                Some(Ok(_)) => return Started::Ready,
                Some(Err(problem)) => return Started::Refused(problem),
                None => {}
            }
            if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                return Started::Not;
            }
        }
    }

    /// How many turns may run at once, as it changes.
    pub(super) fn turn_capacity(&self) -> watch::Receiver<usize> {
        self.shared.adaptive_limit.turns()
    }

    /// A child that answers, if there is one right now, whether anybody is signed in or not.
    pub(super) fn any(&self) -> Option<Arc<Worker>> {
        self.shared.look(&Roster::least)?.ok()
    }

    /// Whether any child runs a turn on this thread.
    pub(super) fn runs(&self, thread: &str) -> bool {
        let state = self.shared.lock();
        let mut entries = state.roster.entries.iter();
        entries.any(|entry| entry.worker.connection.has_turn(thread))
    }

    async fn find<T: AsRef<Worker>>(
        &self,
        choose: impl Fn(&Roster<Worker>) -> Option<T>,
    ) -> Result<T, Problem> {
        let mut changed = self.shared.changed.subscribe();
        let deadline = Instant::now() + START_WAIT;
        loop {
            changed.borrow_and_update();
            if let Some(found) = self.shared.look(&choose) {
                return usable(found);
            }
            // Too late, or the gateway stops.
            if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                return Err(starting());
            }
        }
    }
}

/// What was found, unless it is of no use to a request.
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

impl Shared {
    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `choose` finds, or why there is nothing. None: something is on its way.
    fn look<T>(
        &self,
        choose: &impl Fn(&Roster<Worker>) -> Option<T>,
    ) -> Option<Result<T, Problem>> {
        let mut state = self.lock();
        let mut found = choose(&state.roster);
        if found.is_none() {
            // One has just gone: whoever stands by takes its place right here.
            self.settle(&mut state);
            found = choose(&state.roster);
        }
        match (found, state.circuit.problem()) {
            (Some(found), _) => Some(Ok(found)),
            (None, Some(problem)) => Some(Err(problem.clone())),
            (None, None) => None,
        }
    }

    /// The catalogs for threads of a child of this version: what was just made, or else what an earlier child had.
    fn remember(&self, made: Option<ThreadCatalogs>, version: &str) -> Option<Arc<ThreadCatalogs>> {
        let mut known = self
            .thread_catalogs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made {
            *known = Some((version.to_owned(), Arc::new(made.of(version))));
        }
        let known = known.as_ref().filter(|(of, _)| of == version);
        known.map(|(_, thread_catalogs)| thread_catalogs.clone())
    }

    fn settle(&self, state: &mut State) {
        for (worker, reason) in state.roster.settle() {
            self.dismiss(&worker, reason);
        }
    }

    /// A child takes no more turns.
    fn dismiss(&self, worker: &Worker, reason: Reason) {
        self.counts.replaced[reason as usize].fetch_add(1, Ordering::Relaxed);
        if reason != Reason::Broken {
            tracing::info!(
                child = worker.number,
                ?reason,
                turns = worker.turns(),
                threads = worker.tally.threads(),
                "a codex is replaced by another"
            );
        }
        worker.leaving.cancel();
    }

    /// A child takes no more turns, whether there is another or not.
    fn leave(&self, worker: &Worker, reason: Reason) {
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

    /// How many children to start now, and their numbers.
    fn due(&self) -> Vec<u64> {
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

/// Looks at the children, and at what they read, again and again.
async fn look_after(shared: &Shared) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut certificates = interval_at(Instant::now() + CERTIFICATES, CERTIFICATES);
    loop {
        tokio::select! {
            _ = rounds.tick() => recycle::round(shared).await,
            _ = certificates.tick() => {
                let launch = shared.launch.clone();
                let _ = spawn_blocking(move || launch.refresh_certificates()).await;
            }
        }
    }
}

/// Keeps as many children as there shall be, until the gateway stops.
async fn manage(shared: Arc<Shared>) {
    // Before anything of ours runs there, which they would disturb.
    orphans::reap(&shared.launch.home().path).await;
    let mut lives = FuturesUnordered::new();
    loop {
        for number in shared.due() {
            lives.push(life::live(&shared, number));
        }
        let until = shared.lock().circuit.until();
        let pause = async {
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = lives.next() => {}
            () = shared.wake.notified() => {}
            () = pause => {}
            () = shared.tasks.stopping() => break,
        }
    }
    // Each sees the stop too, and ends its child step by step.
    while lives.next().await.is_some() {}
}
