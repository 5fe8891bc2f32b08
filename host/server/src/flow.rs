//! What a request becomes: a plan, turns, a reply. The only place that sees both Codex and the policy.

mod admission; // who may start
mod fan_out; // several turns, one answer
mod feed; // what a body reads
mod large_body; // from a body to a plan
mod parking; // turns that wait for their client
mod pump; // from events to frames
mod turn; // one turn, counted
mod turns; // several turns, heard as one

use std::sync::Arc;

use self::admission::Admission;
pub use self::admission::Occupancy;
use self::fan_out::{FanOut, Means};
pub use self::feed::Feed;
use self::large_body::{LargeBodyLimiter, Read, Unread};
use self::parking::Lot;
pub use self::pump::Piece;
use self::pump::Pump;
use self::turn::Turn;
use self::turns::{ANSWER, Turns};
use crate::config::{ServerConfig, ServerLimits};
use airlock_base::memory::MemoryShare;
use airlock_base::task::Tasks;
use airlock_codex::config::TurnLimits;
use airlock_codex::{
    CLIENT_NAME, Codex, Conversation, DEPTH_HEADER, FleetReport, ModelReport, Permit, TurnContext,
};
use airlock_metrics::RequestMetrics;
use airlock_policy::{Chosen, Client, Recorder, Rollout, Session, Tally};
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, Context, Problem, ProblemKind, Request, Resume};

/// The dialect that the list of models is written in. It has one form in all of OpenAI's APIs.
const MODELS_DIALECT: &str = "chat-completions";

/// What all requests share: the releases to choose from, one Codex, and the queues before it. Clones share it.
#[derive(Clone)]
pub struct Flow {
    rollout: Rollout,
    recorder: Recorder,
    codex: Codex,
    admission: Arc<Admission>,
    limits: Arc<ServerLimits>,
    turn_limits: Arc<TurnLimits>,
    lot: Lot,
    bodies: Arc<LargeBodyLimiter>,
    tasks: Tasks,
}

/// A request as it came in.
pub struct Incoming {
    /// `req_…`
    pub id: String,
    /// Unix milliseconds.
    pub arrived: u64,
    /// By which a canary tells requests apart: the client's own id for it, if it gives one.
    pub key: String,
    /// Whose request it is.
    pub client: Client,
    /// What is counted of it.
    pub trail: RequestMetrics,
    /// The API that the client speaks, named by its route.
    pub dialect: &'static str,
    /// JSON, unread.
    pub body: String,
    /// The memory that the body takes up, with its copies. Each part is given back with what takes it up.
    pub memory: MemoryShare,
    /// It comes from a turn of a gateway like this one, maybe our own.
    pub nested: bool,
}

/// Who asks for models. The fields are as those of `Incoming`.
pub struct Asker {
    /// The request's key for the canary: equal keys get the same release.
    pub key: String,
    /// The client, for counting faults.
    pub client: Client,
    /// The request's instruments.
    pub trail: RequestMetrics,
}

/// A request that has been let in.
struct AdmittedRequest {
    conversation: Arc<Conversation>,
    /// At least one.
    briefs: Vec<Brief>,
    /// The model of each.
    models: Vec<String>,
    /// One for each.
    permits: Vec<Permit>,
    streaming: bool,
    /// What it brings to a turn that waits.
    resume: Option<Resume>,
    /// What is counted of it.
    trail: RequestMetrics,
}

/// What a client gets.
pub struct Reply {
    /// Parameters of the request that are not honoured.
    pub ignored: Vec<String>,
    /// What became of the turn whose calls' results the request brings.
    pub continued: Option<Continued>,
    /// The answer.
    pub answer: Answer,
}

/// How a turn goes on with the results of its calls. The answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continued {
    /// It was still there.
    Resumed,
    /// It was not, and another has its conversation.
    Rebuilt,
}

/// An answer, in the form that the client requested.
pub enum Answer {
    /// Frames as they come. Dropping it stops the turns.
    Stream(Feed),
    /// The finished response, as JSON.
    Whole(String),
}

impl Flow {
    /// Brings together what requests need.
    pub fn new(config: &ServerConfig, rollout: Rollout, codex: Codex, tasks: &Tasks) -> Self {
        let admission = Arc::new(Admission::new(&config.limits, codex.limits().turns));
        let (followed, capacity, stopping) =
            (admission.clone(), codex.turn_capacity(), tasks.clone());
        tasks.spawn("capacity", async move {
            tokio::select! {
                () = followed.follow(capacity) => {}
                () = stopping.stopping() => {}
            }
        });
        let turn_limits = codex.limits().clone();
        Self {
            lot: Lot::new(&config.limits, tasks),
            rollout,
            recorder: Recorder::new(&config.data_dir, tasks),
            bodies: Arc::new(LargeBodyLimiter::new(&config.limits)),
            codex,
            admission,
            limits: Arc::new(config.limits.clone()),
            turn_limits,
            tasks: tasks.clone(),
        }
    }

    /// Answers one request, all of it on one release. Until this returns, a failure is an HTTP status; from then on it is a frame.
    ///
    /// Dropping the future, or the reply that it gives, stops whatever runs for this request.
    pub async fn start(&self, incoming: Incoming) -> Result<Reply, Failure> {
        let held = self.bodies.enter(&incoming.body, incoming.memory).await?;
        let Chosen { release, shadow } = self.rollout.choose(&incoming.key);
        incoming.trail.served_by(release.meter());
        let (body, mut attachments, held) =
            large_body::lift(incoming.body, release.bounds(), held).await?;
        let held = self.bodies.check_images(&mut attachments, held).await?;
        let mut session = release.session_for(incoming.client).await?;
        let request = Request {
            id: incoming.id,
            arrived: incoming.arrived,
            dialect: incoming.dialect.to_owned(),
            body,
            attachments: attachments.described(),
            settings: release.settings().to_owned(),
            nested: incoming.nested,
        };
        if let Some(shadow) = shadow {
            shadow.follow(&mut session, &request.id, request.body.len());
        }
        self.recorder
            .follow(&mut session, &request.id, request.body.len());
        let unread = Unread {
            session,
            request,
            attachments,
            held,
        };
        let Read {
            mut session,
            request,
            plan,
            conversation,
        } = Box::pin(unread.read()).await?;
        // Before the line: who cannot be served at all must not wait to hear so.
        self.codex.wait_ready().await?;
        let models = self.codex.check(&conversation, &plan.briefs).await?;
        let permits = self
            .admission
            .enter(&mut session, plan.briefs.len(), &incoming.trail)
            .await?;
        let context = Context {
            id: request.id,
            arrived: request.arrived,
            dialect: request.dialect,
            model: self.codex.model_name(&conversation, None),
            notes: plan.notes,
        };
        let admitted = AdmittedRequest {
            conversation: Arc::new(conversation),
            briefs: plan.briefs,
            models,
            permits,
            streaming: plan.streaming,
            resume: plan.resume,
            trail: incoming.trail,
        };
        let fans_out = admitted.briefs.len() > 1;
        let (pump, continued) = if fans_out {
            (self.fan_out(session, context, admitted).await?, None)
        } else {
            self.single(session, context, admitted).await?
        };
        let answer = if plan.streaming {
            let pump = pump.until_first(self.limits.first_event_wait).await?;
            Answer::Stream(if fans_out {
                Feed::driven(pump, &self.tasks)
            } else {
                Feed::direct(pump)
            })
        } else {
            Answer::Whole(pump.whole().await?)
        };
        Ok(Reply {
            ignored: plan.ignored,
            continued,
            answer,
        })
    }

    /// One turn, which has begun or goes on when this returns.
    async fn single(
        &self,
        mut session: Session,
        mut context: Context,
        mut admitted: AdmittedRequest,
    ) -> Result<(Pump, Option<Continued>), Failure> {
        let (Some(brief), Some(permit)) = (admitted.briefs.pop(), admitted.permits.pop()) else {
            return Err(Failure::new(
                ProblemKind::Internal,
                "policy_failed",
                "The plan has no brief.",
            ));
        };
        let resumed = match &admitted.resume {
            Some(resume) => {
                let lot = self.lot.of(session.release());
                self.resume(&lot, resume, &admitted, &permit).await?
            }
            None => None,
        };
        let continued = admitted.resume.as_ref().map(|_| match resumed {
            Some(_) => Continued::Resumed,
            None => Continued::Rebuilt,
        });
        let turn = match resumed {
            Some(turn) => turn,
            None => {
                let context = TurnContext {
                    source: ANSWER,
                    permit,
                    wake: Arc::default(),
                    buffer_bytes: self.turn_limits.turn_buffer_bytes,
                    model_requests: self.turn_limits.model_requests,
                };
                let (conversation, trail) = (admitted.conversation, admitted.trail.request_turn());
                let turn = self.codex.start_turn(conversation, brief, context).await?;
                Turn::new(turn, trail)
            }
        };
        tracing::Span::current().record("model", turn.model());
        turn.model().clone_into(&mut context.model);
        session.open(&context).await?;
        if admitted.streaming {
            session.relay();
        }
        let turns = Turns::of(turn, ANSWER);
        let lot = self.lot.of(session.release());
        let stream = admitted.streaming.then_some(admitted.trail);
        let pump = Pump::new(session, turns, lot, stream, self.limits.heartbeat);
        Ok((pump, continued))
    }

    /// The turn that waits for these results, if it goes on with them.
    async fn resume(
        &self,
        lot: &Lot,
        resume: &Resume,
        admitted: &AdmittedRequest,
        permit: &Permit,
    ) -> Result<Option<Turn>, Failure> {
        let Some(parked) = lot.take(&resume.key) else {
            return Ok(None);
        };
        let answers = admitted.conversation.tool_results(&resume.results)?;
        let wait = self.turn_limits.call_timeout;
        let trail = admitted.trail.request_turn();
        let resumed = parked.resume(answers, permit.clone(), ANSWER, wait);
        Ok(resumed.await.map(|turn| Turn::new(turn, trail)))
    }

    /// Several turns, which are about to begin, and the panel over them.
    async fn fan_out(
        &self,
        mut session: Session,
        context: Context,
        admitted: AdmittedRequest,
    ) -> Result<Pump, Failure> {
        tracing::Span::current().record("model", context.model.as_str());
        session.open(&context).await?;
        let mut turns = Turns::default();
        let stream = admitted.streaming.then(|| admitted.trail.clone());
        let means = Means {
            codex: self.codex.clone(),
            conversation: admitted.conversation,
            wake: turns.wake(),
            permits: admitted.permits,
            trail: admitted.trail,
        };
        let briefs = admitted.briefs.into_iter().zip(admitted.models).collect();
        let (fan_out, opened) = FanOut::begin(
            means,
            (self.limits.clone(), self.turn_limits.clone()),
            admitted.streaming,
            briefs,
            &mut turns,
        );
        session.convene(&context, fan_out.candidates()).await?;
        let lot = self.lot.of(session.release());
        let pump = Pump::new(session, turns, lot, stream, self.limits.heartbeat);
        Ok(pump.over(fan_out, opened))
    }

    /// The list of models as JSON.
    pub async fn models(&self, asker: &Asker) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let mut session = self.session(asker).await?;
        Ok(session.list_models(MODELS_DIALECT, &models).await?)
    }

    /// One model as JSON. The rest is as for the list.
    pub async fn model(&self, id: &str, asker: &Asker) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let Some(model) = models.iter().find(|model| model.id == id) else {
            let message =
                format!("The model `{id}` does not exist. GET /v1/models lists those that do.");
            return Err(
                Failure::new(ProblemKind::NotFound, "model_not_found", message).at("model"),
            );
        };
        let mut session = self.session(asker).await?;
        Ok(session.show_model(MODELS_DIALECT, model).await?)
    }

    /// A session of the release that serves this request. No shadow is shown it.
    async fn session(&self, asker: &Asker) -> Result<Session, Failure> {
        let release = self.rollout.choose(&asker.key).release;
        asker.trail.served_by(release.meter());
        Ok(release.session_for(asker.client).await?)
    }

    /// Whether a turn of a gateway like this one asks: by the depth that its model provider was told to send, by
    /// Codex's `originator`, or by a thread that runs here (0.169.0 names it in `thread-id`).
    pub fn is_nested<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> bool {
        header(DEPTH_HEADER).is_some_and(|depth| depth.trim() != "0")
            || header("originator") == Some(CLIENT_NAME)
            || header("thread-id").is_some_and(|thread| self.codex.runs(thread))
    }

    /// The turns that run, and the requests that wait for some.
    pub fn turns(&self) -> Occupancy {
        self.admission.turns()
    }

    /// The children of Codex.
    pub fn fleet(&self) -> FleetReport {
        self.codex.report()
    }

    /// The number of the shadow's release, and what it has compared.
    pub fn shadow(&self) -> Option<(u64, Tally)> {
        let roles = self.rollout.roles();
        let shadow = roles.shadow.as_ref()?;
        Some((shadow.release.about().number, shadow.tally()))
    }

    /// What makes tapes of requests.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether the model can be reached, as turns have found out.
    pub fn model_report(&self) -> ModelReport {
        self.codex.model()
    }

    /// The version of the Codex that answers, or what stands between a request and a turn.
    pub fn ready(&self) -> Result<Option<String>, Problem> {
        self.codex.ready().map(|()| self.codex.version())
    }
}
