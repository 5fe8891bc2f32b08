//! The life of a request: parsed by HTTP, planned by the policy, admitted, then run as turns of Codex whose events become
//! the response.

mod admission; // when a request may start its turns
mod background; // responses that run without their client
mod fan_out; // several turns for one answer
mod large_body; // limits on large bodies and images
mod metered_turn; // a turn with its metrics
mod models; // the list of models
mod objects; // stored responses and conversations
mod parked_turns; // turns that wait for their client's tools
mod plan; // from a parsed request to a planned one
mod pump; // from events to frames
mod response; // what a request becomes for its client
mod response_stream; // the body of a streamed response
mod run; // from an admitted request to a response
mod turn_set; // the events of several turns in one sequence

use std::sync::Arc;
use std::time::Duration;

use self::admission::Admission;
pub use self::admission::Occupancy;
use self::large_body::LargeBodyLimiter;
use self::objects::ObjectRecorder;
pub use self::objects::{ConnectionObjects, ObjectClient, Objects};
use self::parked_turns::ParkedTurns;
pub use self::plan::{ParsedRequest, RequestRoute};
use self::plan::{PlannedRequest, RenderedRequest};
pub use self::pump::StreamPiece;
pub use self::response::{Continuation, FlowBody, FlowResponse};
pub use self::response_stream::ResponseStream;
use crate::config::{ServerConfig, ServerLimits, ServerTurnLimits};
use airlock_base::task::Tasks;
use airlock_codex::{CLIENT_NAME, Codex, DEPTH_HEADER, FleetReport, ModelReport};
use airlock_metrics::RequestMetrics;
use airlock_policy::{Client, Recorder, Rollout, ShadowTally};
use airlock_types::failure::Failure;
use airlock_types::wit::Problem;

/// What all requests share: the rollout of releases, Codex, and the limits in front of it. Clones share one state.
#[derive(Clone)]
pub struct Flow {
    rollout: Rollout,
    recorder: Recorder,
    codex: Codex,
    admission: Arc<Admission>,
    limits: Arc<ServerLimits>,
    turn_limits: ServerTurnLimits,
    parked_turns: ParkedTurns,
    objects: Objects,
    large_bodies: Arc<LargeBodyLimiter>,
    tasks: Tasks,
}

/// The client behind a request, and the request's metrics.
pub struct Caller {
    /// Requests with equal keys get the same release: the client's own request id, else the gateway's.
    pub canary_key: String,
    /// Identifies the client when faults are counted.
    pub client: Client,
    /// The metrics of this request.
    pub metrics: RequestMetrics,
}

impl Flow {
    /// A flow over these releases and this Codex. Spawns the tasks that follow Codex's capacity and expire parked turns.
    pub fn new(
        config: &ServerConfig,
        turn_limits: ServerTurnLimits,
        rollout: Rollout,
        codex: Codex,
        objects: Objects,
        tasks: &Tasks,
    ) -> Self {
        let admission = Arc::new(Admission::new(&config.limits, turn_limits.turns));
        let (followed, capacity, stopping) =
            (admission.clone(), codex.turn_capacity(), tasks.clone());
        tasks.spawn("capacity", async move {
            tokio::select! {
                () = followed.follow(capacity) => {}
                () = stopping.stopping() => {}
            }
        });
        Self {
            parked_turns: ParkedTurns::new(&config.limits, tasks),
            rollout,
            recorder: Recorder::new(&config.data_dir, tasks),
            large_bodies: Arc::new(LargeBodyLimiter::new(&config.limits)),
            codex,
            objects,
            admission,
            limits: Arc::new(config.limits.clone()),
            turn_limits,
            tasks: tasks.clone(),
        }
    }

    /// Serves one request, all of it on one release. Until this returns, a failure is an HTTP status; from then on it is a frame.
    ///
    /// Dropping the future, or the response, stops the request's turns.
    ///
    /// # Errors
    /// The policy's refusal or fault, a plan that Codex cannot run, `gateway_busy`, and failures of a turn before its first output.
    pub async fn start(&self, request: ParsedRequest) -> Result<FlowResponse, Failure> {
        match self.plan(request).await? {
            RenderedRequest::Planned(planned) => self.start_planned(*planned).await,
            RenderedRequest::Answered(body) => Ok(FlowResponse::answered(body)),
        }
    }

    /// Serves a request that the policy has planned.
    async fn start_planned(&self, mut planned: PlannedRequest) -> Result<FlowResponse, Failure> {
        let lock = planned.lock.take();
        let object = planned.plan.object.take();
        let key = object.as_ref().map(|object| object.key.clone());
        let base = std::mem::take(&mut planned.base);
        let client = planned.objects.clone();
        let recorder = (object.is_some() || lock.is_some())
            .then(|| ObjectRecorder::new(&self.objects, client, object, base, lock));
        let background = planned.plan.background.take();
        let recorder = match (background, key, recorder) {
            (Some(body), Some(key), Some(recorder)) => {
                return self.run_in_background(planned, recorder, &key, body).await;
            }
            (_, _, recorder) => recorder,
        };
        let models = self
            .check(&planned.conversation, &planned.plan.briefs)
            .await?;
        let admitted = self.admit(planned, models).await?;
        self.run(admitted, recorder).await
    }

    /// Whether a turn of a gateway sent this request: its headers have a depth that the turn's model provider was
    /// configured to send, Codex's `originator`, or the id of a thread that runs here (`thread-id`, Codex 0.169.0).
    pub fn is_nested<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> bool {
        header(DEPTH_HEADER).is_some_and(|depth| depth.trim() != "0")
            || header("originator") == Some(CLIENT_NAME)
            || header("thread-id").is_some_and(|thread| self.codex.runs(thread))
    }

    /// How many turns run, and how many requests wait for one.
    pub fn turns(&self) -> Occupancy {
        self.admission.turns()
    }

    /// The state of Codex's children.
    pub fn fleet(&self) -> FleetReport {
        self.codex.report()
    }

    /// The number of the shadow's release, and its comparisons by result. None without a shadow.
    pub fn shadow(&self) -> Option<(u64, ShadowTally)> {
        let roles = self.rollout.roles();
        let shadow = roles.shadow.as_ref()?;
        Some((shadow.release.about().number, shadow.tally()))
    }

    /// How long a stream may be silent before a heartbeat.
    pub fn heartbeat(&self) -> Duration {
        self.limits.heartbeat
    }

    /// The stored objects.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The recorder of tapes.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether the model can be reached, by the results of turns.
    pub fn model_report(&self) -> ModelReport {
        self.codex.model()
    }

    /// The version of Codex that serves now, if known.
    ///
    /// # Errors
    /// Why Codex cannot serve a request now.
    pub fn ready(&self) -> Result<Option<String>, Problem> {
        self.codex.ready().map(|()| self.codex.version())
    }
}
