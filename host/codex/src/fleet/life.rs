//! One child's life: started, introduced, its account and its models read; watched; and ended once nobody needs it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::circuit::RAN_WELL;
use super::login::Login;
use super::{PoolMember as _, Reason, Shared, Tally, Worker};
use crate::child::{Child, StartError};
use crate::connection::{CallError, Connection};
use crate::log;
use crate::model_list::ModelList;
use crate::prewarm::WarmThreads;
use crate::protocol::{AccountReadResponse, Nothing};
use crate::thread_catalogs;

/// How often the login's file is looked at while nobody is signed in.
const LOGIN_POLL: Duration = Duration::from_secs(2);

/// How often a child is probed.
const PROBE_PAUSE: Duration = Duration::from_secs(5);

/// Rounds in a row without a response after which a child is given up with the turns that it has: 16 s, since each round
/// takes the pause and the 3 s that an answer may take.
const SILENT_ROUNDS: u32 = 2;

/// How long each step of ending such a child may take.
const HUNG_END_STEP: Duration = Duration::from_millis(500);

/// How long a child that reads no more may go on to speak.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a child is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Useless {
    /// It ended, or has been silent for too long.
    Broken,
    /// It does not respond. It may yet.
    Hung,
    /// Nothing is wrong with it, but that it knows an old login.
    Outdated,
    /// It has been told to leave.
    Replaced,
    /// The gateway stops.
    Stopping,
}

/// Starts a child and sees it out.
pub(super) async fn live(shared: &Shared, number: u64) {
    let began = Instant::now();
    // Looked at before the start: a login that comes while a child starts is one that it may not know of.
    let mut generation = shared.account.generation();
    let login = Login::look(shared.launch.home().login_file()).await;
    // Not raced with the stop: a child that has been spawned is ended step by step.
    let started = start(shared, number).await;
    let (child, worker) = {
        let mut state = shared.lock();
        state.roster.starting -= 1;
        match started {
            Ok((child, worker)) => {
                state.circuit.started();
                state.start_fault = None;
                state.roster.add(number, worker.clone());
                shared.settle(&mut state);
                (child, worker)
            }
            Err(error) => {
                match error {
                    StartError::Stopping => {}
                    StartError::Unfit(problem) => state.circuit.unfit(problem, Instant::now()),
                    error => {
                        let fault = error.advice(shared.launch.found().ok().as_deref());
                        tracing::error!("{fault}");
                        state.start_fault = Some(fault);
                        state.circuit.failed(Instant::now());
                    }
                }
                drop(state);
                return shared.notify();
            }
        }
    };
    shared.counts.started.fetch_add(1, Ordering::Relaxed);
    shared.notify();
    let useless = tokio::select! {
        useless = watch(shared, &worker, login) => useless,
        () = worker.warm_threads.keep(&worker.connection, || worker.count_thread()) => Useless::Broken,
        // Who sends outlives us.
        _ = generation.changed() => Useless::Outdated,
    };
    match useless {
        Useless::Broken | Useless::Hung => {
            if began.elapsed() < RAN_WELL && !worker.tally.is_useful() {
                shared.lock().circuit.failed(Instant::now());
            }
            shared.leave(&worker, Reason::Broken);
        }
        Useless::Outdated => shared.leave(&worker, Reason::Login),
        Useless::Replaced | Useless::Stopping => {}
    }
    if matches!(
        useless,
        Useless::Outdated | Useless::Replaced | Useless::Hung
    ) {
        // Every turn has a deadline, and so has this.
        tokio::select! {
            () = worker.idle() => {}
            () = fails(&worker.connection) => {}
            () = shared.tasks.stopping() => {}
        }
    }
    match useless {
        // Nobody waits for what it could still do, and it heeds nothing but the last signal.
        Useless::Hung => child.end_within(HUNG_END_STEP).await,
        _ => child.end().await,
    }
    let mut state = shared.lock();
    // At once, so that nobody counts them twice.
    let threads = worker.tally.threads();
    shared.counts.threads.fetch_add(threads, Ordering::Relaxed);
    let begun = worker.tally.begun();
    shared.counts.turns.fetch_add(begun, Ordering::Relaxed);
    state.roster.remove(number);
    drop(state);
    shared.notify();
}

/// Starts a child and asks it what it knows.
async fn start(shared: &Shared, number: u64) -> Result<(Child, Arc<Worker>), StartError> {
    let began = Instant::now();
    let (launch, tasks) = (&shared.launch, &shared.tasks);
    let thread_catalogs = async {
        tokio::select! {
            thread_catalogs = thread_catalogs::prepare(launch) => thread_catalogs,
            () = tasks.stopping() => None,
        }
    };
    let child = Child::start(launch, shared.bounds, tasks);
    let (child, thread_catalogs) = tokio::join!(child, thread_catalogs);
    let child = child?;
    let log = log::bytes(&launch.home().path);
    shared.counts.log.store(log, Ordering::Relaxed);
    let thread_catalogs = shared.remember(thread_catalogs, &child.version);
    let connection = child.connection.clone();
    let home = launch.home();
    // The scripted model answers to any name, so only the list tells a client of a name that a real login lacks.
    let open = home.custom_provider && !home.rehearsal;
    let answered = async {
        shared.account.introduce(&connection).await;
        let account = connection.call::<AccountReadResponse>("account/read", &Nothing {});
        let model_list = ModelList::read(&connection, open, thread_catalogs.as_deref());
        let (model_list, account) = tokio::join!(model_list, account);
        Ok((model_list?, account))
    };
    let answered = tokio::select! {
        answered = answered => answered.map_err(|error: CallError| StartError::from(error)),
        () = tasks.stopping() => Err(StartError::Stopping),
    };
    let (model_list, account) = match answered {
        Ok(answers) => answers,
        Err(error) => {
            child.end().await;
            return Err(error);
        }
    };
    // With a ChatGPT login and no network, `account/read` fails although somebody is signed in (0.169.0); the
    // turn itself will then say what is wrong.
    let account = account
        .inspect_err(|error| tracing::warn!(%error, "the account could not be read"))
        .ok();
    shared.account.learn(account.as_ref());
    let signed_out = account
        .as_ref()
        .is_some_and(|read| read.requires_openai_auth && read.account.is_none());
    let kind = account
        .and_then(|read| read.account)
        .map(|account| account.kind);
    tracing::info!(
        child = number,
        version = child.version,
        models = model_list.visible().len(),
        account = kind.as_deref().unwrap_or("none"),
        milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "codex is ready"
    );
    if signed_out {
        let why = launch.signed_out(shared.account.token_fault());
        tracing::error!("{why}; until then every completion answers 503");
    }
    shared.upstream.watch(&connection);
    let worker = Arc::new(Worker {
        number,
        pid: child.pid(),
        since: Instant::now(),
        connection,
        version: child.version.clone(),
        model_list,
        thread_catalogs,
        warm_threads: WarmThreads::new(shared.terms.warm_threads),
        live_models: kind
            .as_deref()
            .is_some_and(|kind| kind.starts_with("chatgpt")),
        signed_out,
        leaving: CancellationToken::new(),
        adaptive_limit: shared.adaptive_limit.clone(),
        upstream: shared.upstream.clone(),
        hung: CancellationToken::new(),
        tally: Tally::new(shared.terms.recycle_threads as u64, shared.wake.clone()),
    });
    Ok((child, worker))
}

/// Waits until a child is of no more use. `login` is what there was before it started.
async fn watch(shared: &Shared, worker: &Worker, login: Login) -> Useless {
    let connection = &worker.connection;
    // Codex rewrites the file itself when it refreshes tokens. So a change means something only as long as
    // nobody is signed in, or the account is refused.
    let signed_in_anew = async {
        let mut refused = connection.refused();
        loop {
            if !worker.signed_out && refused.wait_for(|refused| *refused).await.is_err() {
                // The connection is gone, which another arm sees.
                std::future::pending::<()>().await;
            }
            if login.has_changed().await {
                return;
            }
            tokio::time::sleep(LOGIN_POLL).await;
        }
    };
    tokio::select! {
        () = ends(connection) => Useless::Broken,
        () = stops_responding(worker) => {
            tracing::error!(child = worker.number, turns = worker.turns(), "codex does not respond; another takes its place");
            Useless::Hung
        }
        () = signed_in_anew => {
            tracing::info!("a login appeared; starting codex again with it");
            shared.account.renewed();
            Useless::Outdated
        }
        () = worker.leaving.cancelled() => Useless::Replaced,
        () = shared.tasks.stopping() => Useless::Stopping,
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
            tracing::warn!("codex reads no more");
            // What it still has to say belongs to replies that are nearly done.
            let _ = timeout(LAST_WORDS, connection.closed()).await;
        }
    }
}

/// Completes when a child does not respond, as it or a turn's task has found.
async fn stops_responding(worker: &Worker) {
    let answered = async {
        loop {
            tokio::time::sleep(PROBE_PAUSE).await;
            if !worker.connection.responds().await {
                return worker.hangs();
            }
        }
    };
    tokio::select! {
        () = answered => {}
        () = worker.hung.cancelled() => {}
    }
}

/// Completes when a child has not responded `SILENT_ROUNDS` times in a row. One that was only
/// stopped for a while goes on with the turns that it has.
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
    async fn a_child_that_hangs_is_noticed() {
        let (near, _far) = duplex(64 << 10);
        let (stdout, stdin) = split(near);
        let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
        let noticed = timeout(Duration::from_secs(60), falls_silent(&connection)).await;
        assert!(noticed.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_answers_anything_does_not_hang() {
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
