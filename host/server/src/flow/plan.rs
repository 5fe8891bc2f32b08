//! From a parsed request to a planned one: the body's attachments are lifted out, the policy renders the rest, and its plan becomes
//! a conversation. Large bodies are processed on blocking threads: copying takes milliseconds per MiB.

use std::mem::take;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::large_body::BodyPermits;
use super::{Caller, Flow};
use airlock_attachments::Attachments;
use airlock_base::memory::MemoryShare;
use airlock_codex::{Conversation, brief_bytes};
use airlock_metrics::RequestMetrics;
use airlock_policy::request_size::BodyLimits;
use airlock_policy::{Chosen, Session};
use airlock_types::failure::Failure;
use airlock_types::offload::{LARGE, offload};
use airlock_types::wit::{Action, Plan, ProblemKind, Request, Transport};

/// A request that was received completely. Its body is UTF-8 within the size limit, and not yet decoded as JSON.
pub struct ParsedRequest {
    /// `req_…`
    pub id: String,
    /// Unix milliseconds.
    pub arrived: u64,
    /// The client, and the request's metrics.
    pub caller: Caller,
    /// The route of the client's API.
    pub route: RequestRoute,
    /// JSON.
    pub body: String,
    /// Memory reserved for the body and its copies. Parts of it are released with the copies.
    pub memory: MemoryShare,
    /// Whether a turn of a gateway sent the request, perhaps one of this gateway.
    pub nested: bool,
}

/// A route of a client's API, with its parameters.
pub struct RequestRoute {
    /// The API, as policies name it: `chat-completions`.
    pub dialect: &'static str,
    /// The method and path, with names in place of identifiers.
    pub name: &'static str,
    /// The identifiers in the path, in order.
    pub path_parameters: Vec<String>,
    /// The query's names and values, decoded.
    pub query: Vec<(String, String)>,
}

/// What the policy makes of a request.
pub(super) enum RenderedRequest {
    /// Turns for Codex.
    Planned(Box<PlannedRequest>),
    /// The response's body.
    Answered(String),
}

/// A request that the policy has planned.
pub(super) struct PlannedRequest {
    pub(super) session: Session,
    /// The client's request, without its body.
    pub(super) request: Request,
    /// The model, instructions, history and tools are in the conversation.
    pub(super) plan: Plan,
    pub(super) conversation: Conversation,
    pub(super) metrics: RequestMetrics,
}

impl Flow {
    /// Has the policy plan a request. When this future is dropped, the policy's call ends at its next tick.
    ///
    /// # Errors
    /// `gateway_busy`, `request_too_large`, the policy's refusal or fault, or a plan that cannot be sent to Codex.
    pub(super) async fn plan(&self, request: ParsedRequest) -> Result<RenderedRequest, Failure> {
        let caller = request.caller;
        let permits = self
            .large_bodies
            .enter(&request.body, request.memory)
            .await?;
        let dialect = request.route.dialect;
        let chosen = self.rollout.choose_for(&caller.canary_key, dialect);
        let Chosen { release, shadow } =
            chosen.await?.ok_or_else(|| unsupported_dialect(dialect))?;
        caller.metrics.served_by(release.meter());
        let (body, mut attachments, permits) =
            lift(request.body, release.bounds(), permits).await?;
        let permits = self
            .large_bodies
            .check_images(&mut attachments, permits)
            .await?;
        let mut session = release.session_for(caller.client).await?;
        let request = Request {
            id: request.id,
            arrived: request.arrived,
            dialect: request.route.dialect.to_owned(),
            body,
            attachments: attachments.descriptions(),
            settings: release.settings().to_owned(),
            nested: request.nested,
            route: request.route.name.to_owned(),
            path_parameters: request.route.path_parameters,
            query: request.route.query,
            seed: uuid::Uuid::new_v4().simple().to_string(),
            transport: Transport::Http,
            has_store: true,
            loaded: None,
        };
        let bytes = request.body.len();
        if let Some(shadow) = shadow {
            shadow.follow(&mut session, &request.id, bytes);
        }
        self.recorder.follow(&mut session, &request.id, bytes);
        let rendered = Box::pin(render(
            session,
            request,
            attachments,
            permits,
            caller.metrics,
        ));
        if bytes < LARGE {
            rendered.await
        } else {
            run_offloaded(bytes, rendered).await
        }
    }
}

/// The failure of a request whose dialect the policy does not support.
pub(super) fn unsupported_dialect(dialect: &str) -> Failure {
    let message = format!(
        "The gateway's policy does not support `{dialect}`. Use another API, or ask the operator for a policy that lists this dialect."
    );
    Failure::new(ProblemKind::NotFound, "dialect_not_supported", message)
}

/// Moves the data URLs of a body into attachments, and checks the size of the rest.
///
/// # Errors
/// `request_too_large`.
async fn lift(
    body: String,
    bounds: BodyLimits,
    permits: BodyPermits,
) -> Result<(String, Attachments, BodyPermits), Failure> {
    offload(body.len(), move || {
        let (body, attachments) = Attachments::lift(body);
        bounds.check(&body).map(|()| (body, attachments, permits))
    })
    .await?
}

/// Runs the rendering of a body of this size on a blocking thread, until it completes or this future is dropped.
async fn run_offloaded(
    bytes: usize,
    rendered: impl Future<Output = Result<RenderedRequest, Failure>> + Send + 'static,
) -> Result<RenderedRequest, Failure> {
    let cancelled = CancellationToken::new();
    let _cancel_on_drop = cancelled.clone().drop_guard();
    let (runtime, span) = (Handle::current(), Span::current());
    let rendered = offload(bytes, move || {
        let _entered = span.enter();
        runtime.block_on(cancelled.run_until_cancelled_owned(rendered))
    });
    rendered.await?.unwrap_or_else(|| {
        // Unreachable: the guard cancels only when this future is dropped.
        let message = "The request was left.";
        Err(Failure::new(ProblemKind::Internal, "left", message))
    })
}

/// Has the policy render the request, and makes a conversation of its plan.
async fn render(
    mut session: Session,
    mut request: Request,
    attachments: Attachments,
    mut permits: BodyPermits,
    metrics: RequestMetrics,
) -> Result<RenderedRequest, Failure> {
    let before = session.memory_bytes();
    let mut plan = match session.render(&request).await? {
        Action::Run(plan) => plan,
        Action::Respond(response) => return Ok(RenderedRequest::Answered(response.body)),
        Action::Load(_) | Action::Follow(_) | Action::Stop(_) => {
            let message = "The policy uses stored objects, which this gateway does not have.";
            return Err(Failure::new(
                ProblemKind::Internal,
                "policy_failed",
                message,
            ));
        }
    };
    // The plan has its text now.
    drop(take(&mut request.body));
    // A policy's memory grows, and does not shrink until the session ends.
    let grown = session.memory_bytes().saturating_sub(before);
    session.occupy(permits.memory.split_off(grown));
    let conversation = Conversation::new(
        plan.model.take(),
        take(&mut plan.instructions),
        take(&mut plan.history),
        take(&mut plan.tools),
        attachments,
    )?;
    for brief in &plan.briefs {
        conversation.check_images(brief)?;
    }
    // The briefs are dropped before the conversation.
    let briefs: usize = plan.briefs.iter().map(brief_bytes).sum();
    let memory = permits.memory.split_off(conversation.bytes() + briefs);
    let conversation = conversation.with_memory(memory);
    Ok(RenderedRequest::Planned(Box::new(PlannedRequest {
        session,
        request,
        plan,
        conversation,
        metrics,
    })))
}
