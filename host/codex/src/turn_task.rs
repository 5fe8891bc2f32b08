//! The life of one turn, from `thread/start` to `thread/unsubscribe`: one task each, which outlives its client.
//!
//! The task owns the permit, so a place is free again only when Codex has really ended the turn, and it sees every
//! turn out: completed, or interrupted because its reply was dropped.

mod watch; // while it runs

use std::sync::Arc;
use std::time::Duration;

use airlock_wire::decode::RpcError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use self::watch::{see_out, see_through};
use super::connection::{CallError, Connection};
use super::failure;
use super::fleet::{Lease, Worker};
use super::prompt::Prompt;
use super::protocol::{
    DynamicTool, Ignored, InjectItemsParams, OVERLOADED, ThreadConfig, ThreadStartParams,
    ThreadStartResponse, ThreadUnsubscribeParams, TurnStartParams, TurnStartResponse,
};
use super::turn::{Shared, Terms, Turn};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// How long calls that Codex was too busy for are made again. Doubles each time, with jitter.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(50);
const OVERLOAD_DEADLINE: Duration = Duration::from_secs(10);

/// The calls whose time tells whether Codex keeps up. Injecting a history takes as long as it is large.
const BEGINNING: [&str; 2] = ["thread/start", "turn/start"];

/// Why there is no turn, for whoever asked for one.
pub(super) enum NotStarted {
    /// The child went, or was found to hang, before `turn/start` was written: nothing ran, so another child may be asked.
    Gone,
    Failed(Failure),
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A turn, until it ends or waits for its client.
    pub(super) turn: Duration,
    /// A model that has called a tool, to say more or that its response is whole.
    pub(super) call: Duration,
    /// A model that is asked, until it sends anything.
    pub(super) model: Duration,
}

/// Starts a turn. When this future is dropped, whatever of the turn exists by then is ended and freed.
pub(super) async fn start(
    child: Lease,
    prompt: Arc<Prompt>,
    terms: Terms,
    patience: Patience,
    tasks: &Tasks,
) -> Result<Turn, NotStarted> {
    let (opened, turn) = oneshot::channel();
    let aborted = tasks.clone();
    tasks.spawn("turn", async move {
        keep(&child, prompt, terms, patience, opened, aborted).await;
    });
    turn.await
        .unwrap_or_else(|_gone| Err(NotStarted::Failed(failure::exited())))
}

type Opened = oneshot::Sender<Result<Turn, NotStarted>>;

/// Who waits for the turn, and until when it must be over.
struct Wanted {
    opened: Opened,
    deadline: Instant,
}

impl Wanted {
    /// Waits for room for a call of so many bytes. None: whoever wanted the turn has left.
    async fn room<'a>(
        &mut self,
        child: &'a Worker,
        bytes: usize,
    ) -> Result<Option<SemaphorePermit<'a>>, Unstarted> {
        let connection = &child.connection;
        tokio::select! {
            biased;
            () = self.opened.closed() => Ok(None),
            room = connection.room(bytes) => room.map(Some).map_err(|_closed| Unstarted::Gone),
            () = sleep_until(self.deadline) => Err(Unstarted::Never(failure::too_slow())),
            // Whoever has the room waits for a child that hangs.
            () = connection.unresponsive() => Err(Unstarted::hung(child)),
        }
    }
}

async fn keep(
    child: &Worker,
    prompt: Arc<Prompt>,
    terms: Terms,
    patience: Patience,
    opened: Opened,
    tasks: Tasks,
) {
    let connection = &child.connection;
    let deadline = Instant::now() + patience.turn;
    let mut wanted = Wanted { opened, deadline };
    // Waited for even if the client leaves meanwhile: only who knows the thread's id can give it back. Boxed like what
    // follows: the room of a beginning is not kept for as long as the turn runs.
    let thread = match Box::pin(start_thread(child, &prompt, &mut wanted)).await {
        Ok(Some(thread)) => thread,
        Ok(None) => return,
        Err(unstarted) => return drop(wanted.opened.send(Err(unstarted.report()))),
    };
    let id = thread.id.as_str();
    let shared = Shared::new(terms, !prompt.tools().is_empty());
    connection.register(id, &shared);
    let started = Box::pin(start_turn(child, &prompt, &thread, &shared, &mut wanted)).await;
    let opened = wanted.opened;
    // It may be large, and Codex has it now.
    drop(prompt);
    match started {
        Ok(true) => {
            // A client that has left drops the turn right here, which abandons it.
            let _ = opened.send(Ok(Turn::new(shared.clone(), thread.model.clone())));
            tokio::select! {
                biased;
                () = see_through(child, &shared, deadline, patience) => {}
                () = tasks.requests_aborted() => shared.end(Failure::stopping()),
            }
            if shared.has_ended() && connection.is_open() {
                child.was_useful();
            }
            see_out(connection, id, &shared).await;
        }
        Ok(false) => {}
        Err(Unstarted::Gone) => {
            shared.leave();
            return drop(opened.send(Err(NotStarted::Gone)));
        }
        Err(Unstarted::Never(failure)) => drop(opened.send(Err(NotStarted::Failed(failure)))),
        Err(Unstarted::Perhaps(failure)) => {
            shared.abandon();
            let _ = opened.send(Err(NotStarted::Failed(failure)));
            see_out(connection, id, &shared).await;
        }
    }
    shared.leave();
    connection.release(id);
    give_back(connection, id).await;
}

/// Unsubscribes from a thread. With `thread_unload_delay_secs = 0` Codex then frees it.
async fn give_back(connection: &Connection, thread: &str) {
    let params = ThreadUnsubscribeParams { thread_id: thread };
    let gone: Result<Ignored, _> = connection.call("thread/unsubscribe", &params).await;
    if let Err(error) = gone {
        tracing::debug!(%error, "a thread was not given back");
    }
}

/// A thread for one turn.
struct Thread {
    id: String,
    /// The model that answers.
    model: String,
}

impl From<ThreadStartResponse> for Thread {
    fn from(started: ThreadStartResponse) -> Self {
        Self {
            id: started.thread.id,
            model: started.model,
        }
    }
}

/// Takes a thread that was started ahead or starts one, and checks that Codex confines it as we asked. None: the client
/// left before.
async fn start_thread(
    child: &Worker,
    prompt: &Prompt,
    wanted: &mut Wanted,
) -> Result<Option<Thread>, Unstarted> {
    let connection = &child.connection;
    let has_tools = !prompt.tools().is_empty();
    let catalogue = child.catalogue_of_threads(prompt.model.as_deref(), has_tools);
    let params = ThreadStartParams {
        model: prompt.model.as_deref(),
        ephemeral: true,
        approval_policy: "never",
        sandbox: "read-only",
        environments: [],
        base_instructions: &prompt.instructions,
        config: catalogue.map(|model_catalog_json| ThreadConfig { model_catalog_json }),
        dynamic_tools: prompt.tools(),
        experimental_raw_events: true,
    };
    if let Some(started) = child.warm_threads.take(prompt.opening_bytes(), &params) {
        return Ok(Some(started.into()));
    }
    let thread: ThreadStartResponse = {
        let Some(_room) = wanted.room(child, prompt.opening_bytes()).await? else {
            return Ok(None);
        };
        child.count_thread();
        let started = call(child, "thread/start", &params).await;
        started.map_err(|unstarted| unstarted.of_tools(prompt.tools()))?
    };
    if thread.is_confined() {
        return Ok(Some(thread.into()));
    }
    give_back(connection, &thread.thread.id).await;
    let failure = Failure::new(
        ProblemKind::Internal,
        "codex_not_confined",
        "Codex did not confine the request as this gateway demands; the operator's log tells more",
    );
    let sandbox = &thread.sandbox;
    Err(Unstarted::Never(failure.because(format!(
        "thread/start answered approvalPolicy {}, sandbox {} with network access {}",
        thread.approval_policy, sandbox.kind, sandbox.network_access
    ))))
}

/// Why a turn was not started.
enum Unstarted {
    /// The child is gone or hangs, and `turn/start` was not written.
    Gone,
    /// Codex never began it.
    Never(Failure),
    /// Codex may have begun it: it must be ended.
    Perhaps(Failure),
}

impl Unstarted {
    /// This child does not respond.
    fn hung(child: &Worker) -> Self {
        child.hangs();
        Self::Gone
    }

    /// A refusal of one of these tools names it: it is the client's.
    fn of_tools(self, tools: &[DynamicTool]) -> Self {
        match self {
            Self::Never(failure) => Self::Never(failure::of_tools(failure, tools)),
            other => other,
        }
    }

    fn report(self) -> NotStarted {
        match self {
            Self::Gone => NotStarted::Gone,
            Self::Never(failure) | Self::Perhaps(failure) => NotStarted::Failed(failure),
        }
    }
}

/// Injects the history and starts the turn. False: the client left before, so nothing was started.
async fn start_turn(
    child: &Worker,
    prompt: &Prompt,
    thread: &Thread,
    shared: &Shared,
    wanted: &mut Wanted,
) -> Result<bool, Unstarted> {
    let thread_id = thread.id.as_str();
    for portion in prompt.portions() {
        let Some(_room) = wanted.room(child, portion.bytes).await? else {
            return Ok(false);
        };
        let items = portion.written().map_err(Unstarted::Never)?;
        let params = InjectItemsParams {
            thread_id,
            items: &items,
        };
        let _: Ignored = call(child, "thread/inject_items", &params).await?;
    }
    let Some(_room) = wanted.room(child, prompt.input_bytes()).await? else {
        return Ok(false);
    };
    if Instant::now() >= wanted.deadline {
        return Err(Unstarted::Never(failure::too_slow()));
    }
    // A thread that was started ahead shows nothing of how its child is now.
    if !child.connection.responds().await {
        return Err(Unstarted::hung(child));
    }
    let input = prompt.input();
    let params = TurnStartParams {
        thread_id,
        input: &input,
        effort: prompt.effort.as_deref(),
        summary: prompt.summary.as_deref(),
        output_schema: prompt.output_schema.as_deref(),
    };
    // From here on the turn counts as started: it is never run a second time. Only what Codex has explicitly turned
    // away is asked again.
    let wanted = || !wanted.opened.is_closed();
    match retry_overloaded(child, "turn/start", &params, wanted).await {
        Ok(TurnStartResponse { turn }) => {
            child.count_turn();
            shared.named(turn.id);
            Ok(true)
        }
        Err(error @ (CallError::Refused(_) | CallError::Closed)) => {
            Err(Unstarted::Never(failure::of_call("turn/start", error)))
        }
        Err(error) => Err(Unstarted::Perhaps(failure::of_call("turn/start", error))),
    }
}

/// Calls what comes before `turn/start`.
async fn call<R: DeserializeOwned>(
    child: &Worker,
    method: &'static str,
    params: &(impl Serialize + Sync),
) -> Result<R, Unstarted> {
    let result = tokio::select! {
        biased;
        result = retry_overloaded(child, method, params, || true) => result,
        () = child.connection.unresponsive() => return Err(Unstarted::hung(child)),
    };
    result.map_err(|error| match error {
        CallError::Closed => Unstarted::Gone,
        error => Unstarted::Never(failure::of_call(method, error)),
    })
}

/// Calls, and calls again as long as Codex explicitly turns the call away because it is busy and the call is wanted.
async fn retry_overloaded<R: DeserializeOwned>(
    child: &Worker,
    method: &'static str,
    params: &(impl Serialize + Sync),
    wanted: impl Fn() -> bool,
) -> Result<R, CallError> {
    let deadline = Instant::now() + OVERLOAD_DEADLINE;
    let mut pause = OVERLOAD_PAUSE;
    loop {
        let began = Instant::now();
        let result = child.connection.call(method, params).await;
        if result.is_ok() && BEGINNING.contains(&method) {
            child.adaptive_limit.began(began.elapsed());
        }
        match result {
            Err(CallError::Refused(RpcError {
                code: OVERLOADED, ..
            })) => child.adaptive_limit.refused(),
            Err(CallError::TimedOut) => {
                child.adaptive_limit.refused();
                return result;
            }
            _ => return result,
        }
        let jittered = pause.mul_f64(rand::random_range(0.5..1.5));
        if Instant::now() + jittered >= deadline || !wanted() {
            return result;
        }
        // The connection's end cuts the pause short; the next call then says so.
        let _ = timeout(jittered, child.connection.closed()).await;
        if !wanted() {
            return result;
        }
        pause *= 2;
    }
}
