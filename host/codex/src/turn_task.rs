//! A turn's task, from `thread/start` to `thread/unsubscribe`. It outlives the client.
//!
//! The task holds the permit until Codex has ended the turn: completed, or interrupted because its reply was dropped.

mod supervise; // deadlines, tool results, interruption

use std::sync::Arc;
use std::time::Duration;

use airlock_wire::decode::RpcError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use self::supervise::{interrupt, supervise};
use super::call_error::CallError;
use super::connection::Connection;
use super::failure;
use super::fleet::{Lease, Worker};
use super::prompt::Prompt;
use super::protocol::{
    DynamicTool, Ignored, InjectItemsParams, OVERLOADED, ThreadConfig, ThreadStartParams,
    ThreadStartResponse, ThreadUnsubscribeParams, TurnStartParams, TurnStartResponse,
};
use super::turn::{SharedTurn, Turn, TurnContext};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The first pause before a call that an overloaded Codex refused is repeated, and the time after which it is not repeated any
/// more. The pause doubles each time, with jitter.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(50);
const OVERLOAD_DEADLINE: Duration = Duration::from_secs(10);

/// The calls whose latency the adaptive limit observes. That of `thread/inject_items` depends on the history's size.
const MEASURED: [&str; 2] = ["thread/start", "turn/start"];

/// Why a turn was not started.
pub(super) enum TurnStartError {
    /// The child exited or hangs, and `turn/start` was not written: the turn may be started on another child.
    ChildGone,
    Failed(Failure),
}

/// The deadlines of a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnTimeouts {
    /// For the turn, until it ends or is parked. Restarts when it is resumed.
    pub(super) turn: Duration,
    /// For the silence of a model that has called a tool and not completed its response.
    pub(super) call: Duration,
    /// For the model's first output after a request.
    pub(super) model: Duration,
}

/// Starts a turn. Dropping this future ends what was started.
pub(super) async fn start(
    child: Lease,
    prompt: Arc<Prompt>,
    context: TurnContext,
    timeouts: TurnTimeouts,
    tasks: &Tasks,
) -> Result<Turn, TurnStartError> {
    let (started, turn) = oneshot::channel();
    let aborted = tasks.clone();
    tasks.spawn("turn", async move {
        run(&child, prompt, context, timeouts, started, aborted).await;
    });
    turn.await
        .unwrap_or_else(|_gone| Err(TurnStartError::Failed(failure::exited())))
}

type StartedSender = oneshot::Sender<Result<Turn, TurnStartError>>;

/// The channel to the requester of a turn, and the turn's deadline.
struct StartRequest {
    started: StartedSender,
    deadline: Instant,
}

impl StartRequest {
    /// Reserves memory for a call of about this size. None: the requester has left.
    async fn reserve<'a>(
        &mut self,
        child: &'a Worker,
        bytes: usize,
    ) -> Result<Option<SemaphorePermit<'a>>, AttemptError> {
        let connection = &child.connection;
        tokio::select! {
            biased;
            () = self.started.closed() => Ok(None),
            budget = connection.reserve(bytes) => budget.map(Some).map_err(|_closed| AttemptError::ChildGone),
            () = sleep_until(self.deadline) => Err(AttemptError::NotStarted(failure::too_slow())),
            // The calls that hold the memory may be waiting for a child that hangs.
            () = connection.unresponsive() => Err(AttemptError::hung(child)),
        }
    }
}

async fn run(
    child: &Worker,
    prompt: Arc<Prompt>,
    context: TurnContext,
    timeouts: TurnTimeouts,
    started: StartedSender,
    tasks: Tasks,
) {
    let connection = &child.connection;
    let deadline = Instant::now() + timeouts.turn;
    let mut request = StartRequest { started, deadline };
    // Awaited even if the client leaves meanwhile: the thread's id is needed to unsubscribe. Boxed, like `start_turn`, so
    // that the task does not keep their memory while the turn runs.
    let thread = match Box::pin(start_thread(child, &prompt, &mut request)).await {
        Ok(Some(thread)) => thread,
        Ok(None) => return,
        Err(error) => return drop(request.started.send(Err(error.into_start_error()))),
    };
    let id = thread.id.as_str();
    let shared = SharedTurn::new(context, !prompt.tools().is_empty());
    connection.register(id, &shared);
    let begun = Box::pin(start_turn(child, &prompt, &thread, &shared, &mut request)).await;
    let started = request.started;
    // The prompt may be large, and is not needed any more.
    drop(prompt);
    match begun {
        Ok(true) => {
            // If the requester has left, the turn is dropped here, and so abandoned.
            let _ = started.send(Ok(Turn::new(shared.clone(), thread.model.clone())));
            tokio::select! {
                biased;
                () = supervise(child, &shared, deadline, timeouts) => {}
                () = tasks.requests_aborted() => shared.end(Failure::stopping()),
            }
            if shared.has_ended() && connection.is_open() {
                child.record_useful();
            }
            interrupt(connection, id, &shared).await;
        }
        Ok(false) => {}
        Err(AttemptError::ChildGone) => {
            shared.release_permit();
            return drop(started.send(Err(TurnStartError::ChildGone)));
        }
        Err(AttemptError::NotStarted(failure)) => {
            drop(started.send(Err(TurnStartError::Failed(failure))));
        }
        Err(AttemptError::MayRun(failure)) => {
            shared.abandon();
            let _ = started.send(Err(TurnStartError::Failed(failure)));
            interrupt(connection, id, &shared).await;
        }
    }
    shared.release_permit();
    connection.release(id);
    unsubscribe(connection, id).await;
}

/// Unsubscribes from a thread. With `thread_unload_delay_secs = 0` Codex then frees it.
async fn unsubscribe(connection: &Connection, thread: &str) {
    let params = ThreadUnsubscribeParams { thread_id: thread };
    let gone: Result<Ignored, _> = connection.call("thread/unsubscribe", &params).await;
    if let Err(error) = gone {
        tracing::debug!(%error, "a thread was not unsubscribed");
    }
}

/// A thread for one turn.
struct TurnThread {
    id: String,
    /// The model that Codex chose.
    model: String,
}

impl From<ThreadStartResponse> for TurnThread {
    fn from(started: ThreadStartResponse) -> Self {
        Self {
            id: started.thread.id,
            model: started.model,
        }
    }
}

/// Takes a warm thread or starts one, and checks that Codex confines it as requested. None: the requester has left.
async fn start_thread(
    child: &Worker,
    prompt: &Prompt,
    request: &mut StartRequest,
) -> Result<Option<TurnThread>, AttemptError> {
    let connection = &child.connection;
    let has_tools = !prompt.tools().is_empty();
    let catalog = child.thread_catalog(prompt.model.as_deref(), has_tools);
    let params = ThreadStartParams {
        model: prompt.model.as_deref(),
        ephemeral: true,
        approval_policy: "never",
        sandbox: "read-only",
        environments: [],
        base_instructions: &prompt.instructions,
        config: ThreadConfig::new(catalog, prompt.verbosity.as_deref()),
        dynamic_tools: prompt.tools(),
        experimental_raw_events: true,
    };
    if let Some(started) = child.warm_threads.take(prompt.opening_bytes(), &params) {
        return Ok(Some(started.into()));
    }
    let thread: ThreadStartResponse = {
        let Some(_budget) = request.reserve(child, prompt.opening_bytes()).await? else {
            return Ok(None);
        };
        child.count_thread();
        let started = call(child, "thread/start", &params).await;
        started.map_err(|error| error.of_tools(prompt.tools()))?
    };
    if thread.is_confined() {
        return Ok(Some(thread.into()));
    }
    unsubscribe(connection, &thread.thread.id).await;
    let failure = Failure::new(
        ProblemKind::Internal,
        "codex_not_confined",
        "Codex did not confine the request as this gateway demands; the operator's log has the reason",
    );
    let sandbox = &thread.sandbox;
    Err(AttemptError::NotStarted(failure.because(format!(
        "thread/start answered approvalPolicy {}, sandbox {} with network access {}",
        thread.approval_policy, sandbox.kind, sandbox.network_access
    ))))
}

/// Why an attempt to start a turn failed.
enum AttemptError {
    /// The child exited or hangs, and `turn/start` was not written.
    ChildGone,
    /// Codex did not start the turn.
    NotStarted(Failure),
    /// Codex may have started the turn: it must be interrupted.
    MayRun(Failure),
}

impl AttemptError {
    /// The child does not respond.
    fn hung(child: &Worker) -> Self {
        child.mark_unresponsive();
        Self::ChildGone
    }

    /// Attributes the refusal of one of these tools to the client.
    fn of_tools(self, tools: &[DynamicTool]) -> Self {
        match self {
            Self::NotStarted(failure) => Self::NotStarted(failure::of_tools(failure, tools)),
            other => other,
        }
    }

    fn into_start_error(self) -> TurnStartError {
        match self {
            Self::ChildGone => TurnStartError::ChildGone,
            Self::NotStarted(failure) | Self::MayRun(failure) => TurnStartError::Failed(failure),
        }
    }
}

/// Injects the history and starts the turn. False: the requester has left, and the turn was not started.
async fn start_turn(
    child: &Worker,
    prompt: &Prompt,
    thread: &TurnThread,
    shared: &SharedTurn,
    request: &mut StartRequest,
) -> Result<bool, AttemptError> {
    let thread_id = thread.id.as_str();
    for portion in prompt.portions() {
        let Some(_budget) = request.reserve(child, portion.bytes).await? else {
            return Ok(false);
        };
        let items = portion.written().map_err(AttemptError::NotStarted)?;
        let params = InjectItemsParams {
            thread_id,
            items: &items,
        };
        let _: Ignored = call(child, "thread/inject_items", &params).await?;
    }
    let Some(_budget) = request.reserve(child, prompt.input_bytes()).await? else {
        return Ok(false);
    };
    if Instant::now() >= request.deadline {
        return Err(AttemptError::NotStarted(failure::too_slow()));
    }
    // A prewarmed thread does not show that its child still responds.
    if !child.connection.responds().await {
        return Err(AttemptError::hung(child));
    }
    let input = prompt.input();
    let params = TurnStartParams {
        thread_id,
        input: &input,
        effort: prompt.effort.as_deref(),
        summary: prompt.summary.as_deref(),
        output_schema: prompt.output_schema.as_deref(),
    };
    // From here on the turn counts as started, and is never run a second time. `turn/start` is repeated only if an overloaded
    // Codex refused it.
    let wanted = || !request.started.is_closed();
    match retry_overloaded(child, "turn/start", &params, wanted).await {
        Ok(TurnStartResponse { turn }) => {
            child.count_turn();
            shared.set_id(turn.id);
            Ok(true)
        }
        Err(error @ (CallError::Refused(_) | CallError::Closed)) => Err(AttemptError::NotStarted(
            failure::of_call("turn/start", error),
        )),
        Err(error) => Err(AttemptError::MayRun(failure::of_call("turn/start", error))),
    }
}

/// Makes a call that precedes `turn/start`.
async fn call<R: DeserializeOwned>(
    child: &Worker,
    method: &'static str,
    params: &(impl Serialize + Sync),
) -> Result<R, AttemptError> {
    let result = tokio::select! {
        biased;
        result = retry_overloaded(child, method, params, || true) => result,
        () = child.connection.unresponsive() => return Err(AttemptError::hung(child)),
    };
    result.map_err(|error| match error {
        CallError::Closed => AttemptError::ChildGone,
        error => AttemptError::NotStarted(failure::of_call(method, error)),
    })
}

/// Makes a call, and repeats it while an overloaded Codex refuses it and it is wanted.
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
        if result.is_ok() && MEASURED.contains(&method) {
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
        // The end of the connection cuts the pause short; the next call then fails with it.
        let _ = timeout(jittered, child.connection.closed()).await;
        if !wanted() {
            return result;
        }
        pause *= 2;
    }
}
