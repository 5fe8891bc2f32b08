//! From a parsed request to a planned one: the body's attachments are lifted out, the policy renders the rest, and its plan becomes
//! a conversation. Large bodies are processed on blocking threads: copying takes milliseconds per MiB.

use std::mem::take;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::large_body::BodyPermits;
use super::objects::{LockGuard, ObjectClient, Objects};
use super::pump::SequenceNumbers;
use super::response::FlowBody;
use super::{Caller, Flow};
use airlock_attachments::Attachments;
use airlock_base::memory::MemoryShare;
use airlock_codex::{Conversation, brief_bytes};
use airlock_metrics::RequestMetrics;
use airlock_policy::request_size::BodyLimits;
use airlock_policy::{Chosen, Client, Fault, Session};
use airlock_types::failure::Failure;
use airlock_types::offload::{LARGE, offload};
use airlock_types::wit::{
    Action, ImmediateResponse, Loaded, ObjectChange, ObjectKeys, ObjectLock, ObjectPlace, Plan,
    ProblemKind, Request, StoredItem, Transport,
};

/// How many times a policy may load for one request.
const LOADS: usize = 3;

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
    /// The client whose stored objects it uses.
    pub objects: ObjectClient,
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
    /// A response without a turn.
    Answered(FlowBody),
}

/// A request that the policy has planned.
pub(super) struct PlannedRequest {
    pub(super) session: Session,
    /// The client's request, without its body.
    pub(super) request: Request,
    /// The model, instructions, history and tools are in the conversation.
    pub(super) plan: Plan,
    pub(super) conversation: Conversation,
    /// The items of the objects that the plan's object continues.
    pub(super) base: Vec<StoredItem>,
    /// The lock of an object that the response uses alone.
    pub(super) lock: Option<LockGuard>,
    pub(super) objects: ObjectClient,
    pub(super) client: Client,
    pub(super) metrics: RequestMetrics,
}

impl Flow {
    /// Has the policy plan a request. When this future is dropped, the policy's call ends at its next tick.
    ///
    /// # Errors
    /// `gateway_busy`, `request_too_large`, the policy's refusal or fault, or a plan that cannot be sent to Codex.
    pub(super) async fn plan(&self, request: ParsedRequest) -> Result<RenderedRequest, Failure> {
        let (caller, objects) = (request.caller, request.objects);
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
            transport: match objects.connection {
                Some(_) => Transport::Websocket,
                None => Transport::Http,
            },
            has_store: self.objects.has_store(),
            loaded: None,
        };
        let bytes = request.body.len();
        if let Some(shadow) = shadow {
            shadow.follow(&mut session, &request.id, bytes);
        }
        self.recorder.follow(&mut session, &request.id, bytes);
        let rendering = RequestRendering {
            stored: self.objects.clone(),
            session,
            request,
            attachments,
            permits,
            objects,
            client: caller.client,
            metrics: caller.metrics,
        };
        let rendered = Box::pin(rendering.run());
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

/// A request that the policy renders.
struct RequestRendering {
    stored: Objects,
    session: Session,
    request: Request,
    attachments: Attachments,
    permits: BodyPermits,
    objects: ObjectClient,
    client: Client,
    metrics: RequestMetrics,
}

impl RequestRendering {
    /// Has the policy render the request, and makes a conversation of its plan.
    async fn run(mut self) -> Result<RenderedRequest, Failure> {
        let before = self.session.memory_bytes();
        let mut plan = match self.action().await? {
            Action::Run(plan) => plan,
            Action::Respond(response) => {
                let body = self.respond(response).await?;
                return Ok(RenderedRequest::Answered(body));
            }
            Action::Follow(position) => {
                let reader = self.stored.follow(&self.objects, &position);
                let reader = reader.ok_or_else(|| no_log(&position.key))?;
                return Ok(RenderedRequest::Answered(FlowBody::Log(reader)));
            }
            Action::Load(_) | Action::Stop(_) => return Err(too_many_loads().into()),
        };
        // The plan has its text now.
        drop(take(&mut self.request.body));
        let lock = self.lock(plan.lock.take()).await?;
        let loaded = self.request.loaded.take();
        let mut base = Vec::new();
        if let Some(object) = &mut plan.object {
            restore(&mut object.items, &mut self.attachments)?;
            // An object of the store continues its base there.
            if object.place == ObjectPlace::Connection
                && let Some(key) = &object.base
            {
                base = take_items(loaded, key).unwrap_or_default();
                restore(&mut base, &mut self.attachments)?;
            }
        }
        // A policy's memory grows, and does not shrink until the session ends.
        let grown = self.session.memory_bytes().saturating_sub(before);
        let mut memory = self.permits.memory;
        self.session.occupy(memory.split_off(grown));
        let conversation = Conversation::new(
            plan.model.take(),
            take(&mut plan.instructions),
            take(&mut plan.history),
            take(&mut plan.tools),
            self.attachments,
        )?;
        for brief in &plan.briefs {
            conversation.check_images(brief)?;
        }
        // The briefs are dropped before the conversation.
        let briefs: usize = plan.briefs.iter().map(brief_bytes).sum();
        let memory = memory.split_off(conversation.bytes() + briefs);
        Ok(RenderedRequest::Planned(Box::new(PlannedRequest {
            session: self.session,
            request: self.request,
            plan,
            conversation: conversation.with_memory(memory),
            base,
            lock,
            objects: self.objects,
            client: self.client,
            metrics: self.metrics,
        })))
    }

    /// Makes the changes of a response without a turn, and returns its body.
    async fn respond(&mut self, mut response: ImmediateResponse) -> Result<FlowBody, Failure> {
        if !response.changes.is_empty() {
            self.attachments.expect_images()?;
        }
        for items in response.changes.iter_mut().filter_map(changed_items) {
            restore(items, &mut self.attachments)?;
        }
        let changes = self.stored.change(&self.objects, response.changes);
        changes.await?;
        if response.frames.is_empty() {
            return Ok(FlowBody::Json(self.attachments.restore(response.body)?));
        }
        SequenceNumbers::default().insert(&mut response.frames);
        Ok(FlowBody::Frames(response.frames))
    }

    /// Locks an object that the response uses alone.
    ///
    /// # Errors
    /// Another response has it, or has changed it since it was loaded.
    async fn lock(&mut self, lock: Option<ObjectLock>) -> Result<Option<LockGuard>, Failure> {
        let Some(lock) = lock else {
            return Ok(None);
        };
        let busy = lock.busy.clone();
        let keys = ObjectKeys {
            objects: vec![lock.key.clone()],
            items: Vec::new(),
        };
        let guard = self.stored.lock(&self.objects.owner, lock)?;
        let now = self.stored.load(&self.objects, &keys).await?;
        let count = |loaded: &Loaded| {
            let mut objects = loaded.objects.iter();
            let object = objects.find(|object| keys.objects.contains(&object.key));
            object.map(|object| object.items.len())
        };
        let is_same = self.request.loaded.as_ref().map(count) == Some(count(&now));
        if is_same {
            Ok(Some(guard))
        } else {
            Err(busy.into())
        }
    }

    /// The policy's action for the request, once all is loaded that it needs.
    async fn action(&mut self) -> Result<Action, Failure> {
        for _ in 0..LOADS {
            let keys = match self.session.render(&self.request).await? {
                Action::Load(keys) => keys,
                Action::Stop(key) => {
                    self.stored.stop(&self.objects.owner, &key).await;
                    ObjectKeys {
                        objects: vec![key],
                        items: Vec::new(),
                    }
                }
                action @ (Action::Run(_) | Action::Respond(_) | Action::Follow(_)) => {
                    return Ok(action);
                }
            };
            let mut loaded = self.stored.load(&self.objects, &keys).await?;
            lift_loaded(&mut loaded, &mut self.attachments);
            self.request.attachments = self.attachments.descriptions();
            self.request.loaded = Some(loaded);
        }
        self.session.render(&self.request).await
    }
}

/// Moves the data URLs of loaded items into attachments. They were checked when their request brought them.
fn lift_loaded(loaded: &mut Loaded, attachments: &mut Attachments) {
    let lift = |item: &mut StoredItem, path: String, attachments: &mut Attachments| {
        item.text = attachments.lift_item(take(&mut item.text), &path);
    };
    for (number, object) in loaded.objects.iter_mut().enumerate() {
        for (index, item) in object.items.iter_mut().enumerate() {
            let path = format!("loaded.objects[{number}].items[{index}]");
            lift(item, path, attachments);
        }
    }
    for (index, item) in loaded.items.iter_mut().enumerate() {
        lift(item, format!("loaded.items[{index}]"), attachments);
    }
}

/// Puts the data URLs of attachments into items that are to be stored.
fn restore(items: &mut [StoredItem], attachments: &mut Attachments) -> Result<(), Failure> {
    for item in items {
        item.text = attachments.restore(take(&mut item.text))?;
    }
    Ok(())
}

/// The items that a change stores.
fn changed_items(change: &mut ObjectChange) -> Option<&mut [StoredItem]> {
    match change {
        ObjectChange::Put(object) => Some(object.items.as_mut_slice()),
        ObjectChange::Append((_, items)) => Some(items.as_mut_slice()),
        ObjectChange::ReplaceHead(_) | ObjectChange::RemoveItem(_) | ObjectChange::Delete(_) => {
            None
        }
    }
}

/// The items of the loaded object with this key.
fn take_items(loaded: Option<Loaded>, key: &str) -> Option<Vec<StoredItem>> {
    let mut objects = loaded?.objects.into_iter();
    objects
        .find(|object| object.key == key)
        .map(|object| object.items)
}

/// The failure of a request for the frames of a response that has none.
fn no_log(key: &str) -> Failure {
    let message = format!(
        "The events of '{key}' are no longer there. Retrieve the response without `stream`."
    );
    Failure::new(ProblemKind::NotFound, "events_not_found", message)
}

/// The fault of a policy that does not stop loading.
fn too_many_loads() -> Fault {
    Fault::Contract(format!("a request loads more than {LOADS} times"))
}
