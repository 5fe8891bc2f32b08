//! From a planned request to a response: admission, the request's turns, and the pump over them.

use std::sync::Arc;
use std::time::Duration;

use super::Flow;
use super::fan_out::{FanOut, TurnStarter};
use super::metered_turn::MeteredTurn;
use super::objects::ObjectRecorder;
use super::parked_turns::ParkedTurns;
use super::plan::PlannedRequest;
use super::pump::Pump;
use super::response::{Continuation, FlowBody, FlowResponse};
use super::response_stream::ResponseStream;
use super::turn_set::{ANSWER, TurnSet};
use airlock_codex::{Conversation, Permit, TurnContext};
use airlock_metrics::RequestMetrics;
use airlock_policy::Session;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, Context, ProblemKind, Resume};

/// A request that may start its turns.
pub(super) struct AdmittedRequest {
    session: Session,
    context: Context,
    conversation: Arc<Conversation>,
    /// At least one.
    briefs: Vec<Brief>,
    /// The model of each brief.
    models: Vec<String>,
    /// One for each brief.
    permits: Vec<Permit>,
    streaming: bool,
    on_websocket: bool,
    /// Whether the answer's turn reports raw items.
    raw_items: bool,
    /// The parked turn that the request continues, and the results of its tools.
    resume: Option<Resume>,
    ignored_parameters: Vec<String>,
    metrics: RequestMetrics,
}

impl Flow {
    /// The models of a request's turns, once Codex can serve it. Precedes the queue: a request that cannot be served fails at
    /// once.
    ///
    /// # Errors
    /// Codex cannot serve, or not with these models.
    pub(super) async fn check(
        &self,
        conversation: &Conversation,
        briefs: &[Brief],
    ) -> Result<Vec<String>, Failure> {
        self.codex.wait_ready().await?;
        self.codex.check(conversation, briefs).await
    }

    /// Waits for the permits of a request's turns.
    ///
    /// # Errors
    /// The policy refuses, or no permit came free in time.
    pub(super) async fn admit(
        &self,
        mut planned: PlannedRequest,
        models: Vec<String>,
    ) -> Result<AdmittedRequest, Failure> {
        let wanted = planned.plan.briefs.len();
        let admitted = self
            .admission
            .enter(&mut planned.session, wanted, &planned.metrics);
        let permits = admitted.await?;
        let context = self.context(&planned);
        let plan = planned.plan;
        Ok(AdmittedRequest {
            session: planned.session,
            context,
            conversation: Arc::new(planned.conversation),
            briefs: plan.briefs,
            models,
            permits,
            streaming: plan.streaming,
            on_websocket: planned.objects.connection.is_some(),
            raw_items: plan.raw_items,
            resume: plan.resume,
            ignored_parameters: plan.ignored,
            metrics: planned.metrics,
        })
    }

    /// The context of a request's reply, with the model that is expected to run.
    pub(super) fn context(&self, planned: &PlannedRequest) -> Context {
        Context {
            id: planned.request.id.clone(),
            arrived: planned.request.arrived,
            dialect: planned.request.dialect.clone(),
            model: self.codex.model_name(&planned.conversation, None),
            notes: planned.plan.notes.clone(),
            seed: planned.request.seed.clone(),
        }
    }

    /// Starts or resumes the turns of a request. A streamed response is returned at its first output, another once complete.
    pub(super) async fn run(
        &self,
        mut admitted: AdmittedRequest,
        recorder: Option<ObjectRecorder>,
    ) -> Result<FlowResponse, Failure> {
        let streaming = admitted.streaming;
        let ignored_parameters = std::mem::take(&mut admitted.ignored_parameters);
        let fans_out = admitted.briefs.len() > 1;
        // A WebSocket has no status to wait for.
        let wait = match admitted.on_websocket {
            true => Duration::ZERO,
            false => self.limits.first_event_wait,
        };
        let (mut pump, continuation) = self.begin(admitted).await?;
        if let Some(recorder) = recorder {
            pump = pump.with_recorder(recorder);
        }
        let body = if streaming {
            let pump = pump.until_first_output(wait).await?;
            FlowBody::Stream(if fans_out {
                ResponseStream::driven(pump, &self.tasks)
            } else {
                ResponseStream::direct(pump)
            })
        } else {
            FlowBody::Json(pump.collect().await?)
        };
        Ok(FlowResponse {
            ignored_parameters,
            continuation,
            body,
        })
    }

    /// Starts or resumes the turns of a request, and returns the pump over them.
    pub(super) async fn begin(
        &self,
        admitted: AdmittedRequest,
    ) -> Result<(Pump, Option<Continuation>), Failure> {
        if admitted.briefs.len() > 1 {
            Ok((self.fan_out(admitted).await?, None))
        } else {
            self.single(admitted).await
        }
    }

    /// The pump over the one turn of a request, which has begun or resumed.
    async fn single(
        &self,
        mut admitted: AdmittedRequest,
    ) -> Result<(Pump, Option<Continuation>), Failure> {
        let (Some(brief), Some(permit)) = (admitted.briefs.pop(), admitted.permits.pop()) else {
            return Err(Failure::new(
                ProblemKind::Internal,
                "policy_failed",
                "The plan has no brief.",
            ));
        };
        let (conversation, metrics) = (admitted.conversation, admitted.metrics);
        let parked_turns = self.parked_turns.for_release(admitted.session.release());
        let resumed = match &admitted.resume {
            Some(resume) => {
                self.resume(&parked_turns, resume, &conversation, &metrics, &permit)
                    .await?
            }
            None => None,
        };
        let continuation = admitted.resume.as_ref().map(|_| match resumed {
            Some(_) => Continuation::Resumed,
            None => Continuation::Rebuilt,
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
                    raw_items: admitted.raw_items,
                };
                let turn_metrics = metrics.request_turn();
                let turn = self.codex.start_turn(conversation, brief, context).await?;
                MeteredTurn::new(turn, turn_metrics)
            }
        };
        let (mut session, mut context) = (admitted.session, admitted.context);
        tracing::Span::current().record("model", turn.model());
        turn.model().clone_into(&mut context.model);
        session.open(&context).await?;
        if admitted.streaming {
            session.relay();
        }
        let turns = TurnSet::of(turn, ANSWER);
        let stream_metrics = admitted.streaming.then_some(metrics);
        let heartbeat = self.limits.heartbeat;
        let pump = Pump::new(session, turns, parked_turns, stream_metrics, heartbeat);
        Ok((pump, continuation))
    }

    /// Resumes the parked turn that waits for these results. None if it is gone.
    async fn resume(
        &self,
        parked_turns: &ParkedTurns,
        resume: &Resume,
        conversation: &Conversation,
        metrics: &RequestMetrics,
        permit: &Permit,
    ) -> Result<Option<MeteredTurn>, Failure> {
        let Some(parked) = parked_turns.take(&resume.key) else {
            return Ok(None);
        };
        let answers = conversation.tool_results(&resume.results)?;
        let wait = self.turn_limits.call_timeout;
        let turn_metrics = metrics.request_turn();
        let resumed = parked.resume(answers, permit.clone(), ANSWER, wait);
        Ok(resumed
            .await
            .map(|turn| MeteredTurn::new(turn, turn_metrics)))
    }

    /// The pump over the candidates of a request, which are about to begin, and their panel.
    async fn fan_out(&self, admitted: AdmittedRequest) -> Result<Pump, Failure> {
        let (mut session, context) = (admitted.session, admitted.context);
        tracing::Span::current().record("model", context.model.as_str());
        session.open(&context).await?;
        let mut turns = TurnSet::default();
        let stream_metrics = admitted.streaming.then(|| admitted.metrics.clone());
        let starter = TurnStarter {
            codex: self.codex.clone(),
            conversation: admitted.conversation,
            wake: turns.wake(),
            permits: admitted.permits,
            raw_items: admitted.raw_items,
            metrics: admitted.metrics,
        };
        let briefs = admitted.briefs.into_iter().zip(admitted.models).collect();
        let (fan_out, opened) = FanOut::begin(
            starter,
            (&self.limits, self.turn_limits),
            admitted.streaming,
            briefs,
            &mut turns,
        );
        session.convene(&context, fan_out.candidates()).await?;
        let parked_turns = self.parked_turns.for_release(session.release());
        let heartbeat = self.limits.heartbeat;
        let pump = Pump::new(session, turns, parked_turns, stream_metrics, heartbeat);
        Ok(pump.with_fan_out(fan_out, opened))
    }
}
