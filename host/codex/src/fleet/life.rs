//! The life of one child: start, attachment to the account, watch, drain, and end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::circuit::RAN_WELL;
use super::login_file::LoginFile;
use super::{FleetInner, PoolMember as _, ReplaceReason, Worker, WorkerCounters};
use crate::call_error::CallError;
use crate::child::{Child, ChildStartError};
use crate::connection::Connection;
use crate::log;
use crate::model_list::ModelList;
use crate::prewarm::WarmThreads;
use crate::protocol::{AccountReadResponse, Nothing};
use crate::thread_catalogs::{self, ThreadCatalogs};

/// The interval between checks of the login's file while nobody is signed in.
const LOGIN_POLL: Duration = Duration::from_secs(2);

/// The pause between probes of a child.
const PROBE_PAUSE: Duration = Duration::from_secs(5);

/// Probes in a row without a response after which a child is ended with its turns. That takes 16 s: each round has the pause
/// and the 3 s that a response may take.
const SILENT_ROUNDS: u32 = 2;

/// How long each step of ending an unresponsive child may take.
const HUNG_END_STEP: Duration = Duration::from_millis(500);

/// How long a child that has closed its stdin may go on writing.
const FINAL_OUTPUT: Duration = Duration::from_secs(2);

/// Why a child leaves service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetireReason {
    /// The child ended, or has been silent for too long.
    Broken,
    /// The child does not respond, but may recover.
    Hung,
    /// The child works, but knows only an old login.
    Outdated,
    /// The fleet has replaced the child.
    Replaced,
    /// The gateway stops.
    Stopping,
}

/// Starts one child, watches it, and ends it.
pub(super) async fn live(fleet: &FleetInner, number: u64) {
    let began = Instant::now();
    // Read before the start: a child may not know a login that is made during it.
    let mut generation = fleet.account.generation();
    let login = LoginFile::read(fleet.launch.home().login_file()).await;
    // The gateway's stop does not cancel this: a child that was spawned must be ended in its steps.
    let started = start(fleet, number).await;
    let Some((child, worker)) = publish(fleet, number, started) else {
        return;
    };
    let reason = tokio::select! {
        reason = watch(fleet, &worker, login) => reason,
        () = worker.warm_threads.maintain(&worker.connection, || worker.count_thread()) => RetireReason::Broken,
        // The fleet holds the sender, so the channel stays open.
        _ = generation.changed() => RetireReason::Outdated,
    };
    retire(fleet, &worker, reason, began);
    drain(fleet, &worker, reason).await;
    match reason {
        // An unresponsive child reacts only to SIGKILL, and nothing waits for its output.
        RetireReason::Hung => child.end_within(HUNG_END_STEP).await,
        _ => child.end().await,
    }
    remove(fleet, &worker);
}

/// Adds a started child to the roster, or records why the start failed. None: it failed.
fn publish(
    fleet: &FleetInner,
    number: u64,
    started: Result<(Child, Arc<Worker>), ChildStartError>,
) -> Option<(Child, Arc<Worker>)> {
    let mut state = fleet.lock();
    state.roster.starting -= 1;
    let started = match started {
        Ok((child, worker)) => {
            state.circuit.started();
            state.start_fault = None;
            state.roster.add(number, worker.clone());
            fleet.settle(&mut state);
            fleet.counts.started.fetch_add(1, Ordering::Relaxed);
            Some((child, worker))
        }
        Err(ChildStartError::Stopping) => None,
        Err(ChildStartError::NoBinary(problem)) => {
            state.circuit.no_binary(problem, Instant::now());
            None
        }
        Err(error) => {
            let fault = error.advice(fleet.launch.find_binary().ok().as_deref());
            tracing::error!("{fault}");
            state.start_fault = Some(fault);
            state.circuit.failed(Instant::now());
            None
        }
    };
    drop(state);
    fleet.notify();
    started
}

/// Takes a child out of service. If it broke soon after its start, the circuit counts a failure.
fn retire(fleet: &FleetInner, worker: &Worker, reason: RetireReason, began: Instant) {
    match reason {
        RetireReason::Broken | RetireReason::Hung => {
            if began.elapsed() < RAN_WELL && !worker.counters.is_useful() {
                fleet.lock().circuit.failed(Instant::now());
            }
            fleet.leave(worker, ReplaceReason::Broken);
        }
        RetireReason::Outdated => fleet.leave(worker, ReplaceReason::Login),
        RetireReason::Replaced | RetireReason::Stopping => {}
    }
}

/// Waits for the turns that a child still runs, unless it cannot end them. Each turn has a deadline, so the wait is bounded.
async fn drain(fleet: &FleetInner, worker: &Worker, reason: RetireReason) {
    match reason {
        RetireReason::Outdated | RetireReason::Replaced | RetireReason::Hung => {
            tokio::select! {
                () = worker.idle() => {}
                () = fails(&worker.connection) => {}
                () = fleet.tasks.stopping() => {}
            }
        }
        RetireReason::Broken | RetireReason::Stopping => {}
    }
}

/// Removes a child that has ended from the roster, and adds its counts to the fleet's.
fn remove(fleet: &FleetInner, worker: &Worker) {
    let mut state = fleet.lock();
    // Under the lock that removes the child, so that a report counts its threads once.
    let threads = worker.counters.threads();
    fleet.counts.threads.fetch_add(threads, Ordering::Relaxed);
    let begun = worker.counters.begun();
    fleet.counts.turns.fetch_add(begun, Ordering::Relaxed);
    state.roster.remove(worker.number);
    drop(state);
    fleet.notify();
}

/// Starts a child, and reads its account and its models.
async fn start(fleet: &FleetInner, number: u64) -> Result<(Child, Arc<Worker>), ChildStartError> {
    let began = Instant::now();
    let (launch, tasks) = (&fleet.launch, &fleet.tasks);
    let thread_catalogs = async {
        tokio::select! {
            thread_catalogs = thread_catalogs::prepare(launch) => thread_catalogs,
            () = tasks.stopping() => None,
        }
    };
    let child = Child::start(launch, fleet.limits, tasks);
    let (child, thread_catalogs) = tokio::join!(child, thread_catalogs);
    let child = child?;
    let log = log::bytes(&launch.home().path);
    fleet.counts.log.store(log, Ordering::Relaxed);
    let thread_catalogs = fleet.store_catalogs(thread_catalogs, &child.version);
    let read = tokio::select! {
        read = read(fleet, &child.connection, thread_catalogs.as_deref()) => read.map_err(ChildStartError::from),
        () = tasks.stopping() => Err(ChildStartError::Stopping),
    };
    let (model_list, account) = match read {
        Ok(read) => read,
        Err(error) => {
            child.end().await;
            return Err(error);
        }
    };
    fleet.account.record_read(account.as_ref());
    let worker = worker(fleet, number, &child, model_list, thread_catalogs, account);
    tracing::info!(
        child = number,
        version = worker.version,
        models = worker.model_list.visible().len(),
        account = worker.account_kind.as_deref().unwrap_or("none"),
        milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "codex is ready"
    );
    if worker.signed_out {
        let why = launch.signed_out_message(fleet.account.token_error());
        tracing::error!("{why}; until then every completion answers 503");
    }
    fleet.upstream.watch(&worker.connection);
    Ok((child, Arc::new(worker)))
}

/// Attaches a child to the account, and reads its models and its account. The account is None if it cannot be read.
async fn read(
    fleet: &FleetInner,
    connection: &Connection,
    thread_catalogs: Option<&ThreadCatalogs>,
) -> Result<(ModelList, Option<AccountReadResponse>), CallError> {
    let home = fleet.launch.home();
    // The rehearsal's model accepts any name, so only the list reveals a name that a real login lacks.
    let open = home.custom_provider && !home.rehearsal;
    fleet.account.attach(connection).await;
    let account = connection.call::<AccountReadResponse>("account/read", &Nothing {});
    let model_list = ModelList::read(connection, open, thread_catalogs);
    let (model_list, account) = tokio::join!(model_list, account);
    let model_list = model_list?;
    // With a ChatGPT login and no network, `account/read` fails although somebody is signed in (0.169.0); the turn
    // itself then fails with the cause.
    let account = account
        .inspect_err(|error| tracing::warn!(%error, "the account could not be read"))
        .ok();
    Ok((model_list, account))
}

fn worker(
    fleet: &FleetInner,
    number: u64,
    child: &Child,
    model_list: ModelList,
    thread_catalogs: Option<Arc<ThreadCatalogs>>,
    account: Option<AccountReadResponse>,
) -> Worker {
    let signed_out = account
        .as_ref()
        .is_some_and(|read| read.requires_openai_auth && read.account.is_none());
    let account_kind = account
        .and_then(|read| read.account)
        .map(|account| account.kind);
    Worker {
        number,
        pid: child.pid(),
        since: Instant::now(),
        connection: child.connection.clone(),
        version: child.version.clone(),
        model_list,
        thread_catalogs,
        warm_threads: WarmThreads::new(fleet.config.warm_threads),
        account_kind,
        signed_out,
        leaving: CancellationToken::new(),
        adaptive_limit: fleet.adaptive_limit.clone(),
        upstream: fleet.upstream.clone(),
        hung: CancellationToken::new(),
        counters: WorkerCounters::new(fleet.config.recycle_threads as u64, fleet.wake.clone()),
    }
}

/// Waits until a child must leave service. `login` is the state of the login's file before the start.
async fn watch(fleet: &FleetInner, worker: &Worker, login: LoginFile) -> RetireReason {
    let connection = &worker.connection;
    // Codex rewrites the file when it refreshes tokens, so a change is a new login only while nobody is signed in, or
    // the account is refused.
    let new_login = async {
        let mut refused = connection.refused();
        loop {
            if !worker.signed_out && refused.wait_for(|refused| *refused).await.is_err() {
                // The connection has closed, which another arm handles.
                std::future::pending::<()>().await;
            }
            if login.has_changed().await {
                return;
            }
            tokio::time::sleep(LOGIN_POLL).await;
        }
    };
    tokio::select! {
        () = ends(connection) => RetireReason::Broken,
        () = stops_responding(worker) => {
            tracing::error!(child = worker.number, turns = worker.turns(), "codex does not respond; another takes its place");
            RetireReason::Hung
        }
        () = new_login => {
            tracing::info!("a login appeared; starting codex again with it");
            fleet.account.login_replaced();
            RetireReason::Outdated
        }
        () = worker.leaving.cancelled() => RetireReason::Replaced,
        () = fleet.tasks.stopping() => RetireReason::Stopping,
    }
}

/// Completes when a child has ended, or has been silent for too long.
async fn fails(connection: &Connection) {
    tokio::select! {
        () = ends(connection) => {}
        () = falls_silent(connection) => tracing::error!("codex hangs"),
    }
}

/// Completes when a child has ended.
async fn ends(connection: &Connection) {
    tokio::select! {
        () = connection.closed() => tracing::warn!("codex ended"),
        () = connection.stdin_closed() => {
            tracing::warn!("the stdin of codex is closed");
            // Its remaining output belongs to replies that are nearly complete.
            let _ = timeout(FINAL_OUTPUT, connection.closed()).await;
        }
    }
}

/// Completes when a probe, or a turn's task, has found that a child does not respond.
async fn stops_responding(worker: &Worker) {
    let answered = async {
        loop {
            tokio::time::sleep(PROBE_PAUSE).await;
            if !worker.connection.responds().await {
                return worker.mark_unresponsive();
            }
        }
    };
    tokio::select! {
        () = answered => {}
        () = worker.hung.cancelled() => {}
    }
}

/// Completes when a child has not responded `SILENT_ROUNDS` times in a row. One that was only stopped for a while goes on with
/// its turns.
async fn falls_silent(connection: &Connection) {
    let mut rounds = 0;
    while rounds < SILENT_ROUNDS {
        tokio::time::sleep(PROBE_PAUSE).await;
        rounds = match connection.responds().await {
            true => 0,
            false => rounds + 1,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};

    use super::*;
    use crate::connection::ConnectionLimits;
    use airlock_base::task::Tasks;

    const BOUNDS: ConnectionLimits = ConnectionLimits {
        call_timeout: Duration::from_secs(30),
        calls_in_flight: 8,
        line_bytes: 1 << 20,
    };

    #[tokio::test(start_paused = true)]
    async fn an_unresponsive_child_is_noticed() {
        let (near, _far) = duplex(64 << 10);
        let (stdout, stdin) = split(near);
        let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
        let noticed = timeout(Duration::from_secs(60), falls_silent(&connection)).await;
        assert!(noticed.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_sends_any_response_is_responsive() {
        let (near, far) = duplex(64 << 10);
        let (stdout, stdin) = split(near);
        let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
        let (read, mut write) = split(far);
        let answers = async {
            let mut lines = BufReader::new(read).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let call: serde_json::Value = serde_json::from_str(&line).unwrap();
                let error = serde_json::json!({"code": -32600, "message": "unknown"});
                let answer = serde_json::json!({"id": call["id"], "error": error});
                write
                    .write_all(format!("{answer}\n").as_bytes())
                    .await
                    .unwrap();
            }
        };
        let watched = tokio::select! {
            () = answers => unreachable!("the far end ended"),
            noticed = timeout(Duration::from_secs(600), falls_silent(&connection)) => noticed,
        };
        assert!(watched.is_err());
    }
}
