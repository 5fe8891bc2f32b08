//! `GET /v1/responses` as a WebSocket (RFC 6455): each text message is a request of the Responses API, and each frame of its
//! response is a text message. Requests of one socket run one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::dialect::Dialect;
use super::failure::{HttpError, log};
use super::listen::{UpgradeContext, UpgradedConnection};
use super::middleware::RequestInfo;
use super::{AppState, api, request_id};
use crate::flow::{
    Caller, ConnectionObjects, FlowBody, FlowResponse, ObjectClient, ParsedRequest, RequestRoute,
    ResponseStream, StreamPiece,
};
use airlock_base::clock;
use airlock_base::memory::MemoryShare;
use airlock_metrics::{Metrics, RequestMetrics};
use airlock_policy::Client;
use airlock_types::failure::Failure;
use airlock_types::wit::{Frame, ProblemKind};

/// The path.
pub(super) const PATH: &str = "/v1/responses";

/// The route, as policies name it: that of a request over HTTP.
const ROUTE: &str = "POST /v1/responses";

/// The most messages that wait for the one before them. The socket is not read while there are as many.
const WAITING: usize = 8;

/// How long a socket may be open, as on OpenAI's API. The response that runs then ends first.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The most bytes of a `stream_id` that errors repeat.
const STREAM_ID_BYTES: usize = 256;

/// How long a client may take to answer a closing handshake.
const CLOSE: Duration = Duration::from_secs(2);

type Sink = SplitSink<WebSocket, Message>;

/// The state of the route.
#[derive(Clone)]
pub(super) struct WebSocketState {
    pub(super) app: AppState,
    pub(super) metrics: Metrics,
}

/// Upgrades a request to a WebSocket.
pub(super) async fn upgrade(
    State(state): State<WebSocketState>,
    Extension(info): Extension<RequestInfo>,
    context: Result<Extension<UpgradeContext>, ExtensionRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let (Ok(upgrade), Ok(Extension(context))) = (upgrade, context) else {
        return Err(not_an_upgrade(request.uri()));
    };
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let client: Client = request.extensions().get().copied().unwrap_or_default();
    if !state
        .app
        .flow
        .supports(Dialect::Responses.name(), &info.shown_id)
        .await?
    {
        return Err(HttpError::no_websocket());
    }
    let connection = WebSocketConnection {
        nested: state.app.flow.is_nested(header),
        canary_key: info.shown_id,
        client,
        objects: ConnectionObjects::default(),
        state,
    };
    let limit = connection.state.app.bodies.limit();
    let (sender, upgraded) = oneshot::channel();
    let tasks = connection.state.app.tasks.clone();
    let stopping = tasks.clone();
    let upgrading = context.clone();
    tasks.spawn("websocket", async move {
        let Ok(socket) = upgraded.await else {
            return;
        };
        let Some(upgraded) = context.upgraded() else {
            return;
        };
        tokio::select! {
            () = connection.serve(socket, &upgraded) => {}
            () = stopping.stopping() => {}
        }
    });
    upgrading.upgrade();
    let upgrade = upgrade.max_message_size(limit).max_frame_size(limit);
    Ok(upgrade.on_upgrade(async move |socket| {
        // Fails only if the task has ended, as the gateway stops.
        let _ = sender.send(socket);
    }))
}

/// The refusal of a request that is not an upgrade, or not a valid one.
fn not_an_upgrade(uri: &Uri) -> HttpError {
    HttpError::no_method(&Method::GET, uri.path())
}

/// One WebSocket.
struct WebSocketConnection {
    state: WebSocketState,
    nested: bool,
    /// Requests of one socket get the same release.
    canary_key: String,
    client: Client,
    objects: ConnectionObjects,
}

/// Why a socket ends.
enum SocketEnd {
    /// The client is gone.
    Left,
    /// The client has begun the closing handshake.
    Closed,
    /// With this code and reason.
    Close(u16, &'static str),
}

/// A message that has not been served, with its share of the memory for bodies, or the refusal of one.
type WaitingRequest = Result<(String, MemoryShare), HttpError>;

impl WebSocketConnection {
    /// Serves a socket until either side closes it.
    async fn serve(self, socket: WebSocket, upgraded: &UpgradedConnection) {
        let (mut sink, mut stream) = socket.split();
        let close = match self.requests(&mut sink, &mut stream, upgraded).await {
            SocketEnd::Left => return,
            SocketEnd::Closed => None,
            SocketEnd::Close(code, reason) => Some(CloseFrame {
                code,
                reason: reason.into(),
            }),
        };
        let handshake = async {
            match close {
                Some(frame) => sink.send(Message::Close(Some(frame))).await?,
                // The answer to the client's is queued already.
                None => sink.close().await?,
            }
            while let Some(Ok(_)) = stream.next().await {}
            Ok::<_, axum::Error>(())
        };
        // The client may be gone.
        let _ = timeout(CLOSE, handshake).await;
        upgraded.linger().await;
    }

    /// Serves the requests of a socket, one after the other.
    async fn requests(
        &self,
        sink: &mut Sink,
        stream: &mut SplitStream<WebSocket>,
        upgraded: &UpgradedConnection,
    ) -> SocketEnd {
        let expires_at = Instant::now() + LIFETIME;
        let mut waiting: VecDeque<WaitingRequest> = VecDeque::new();
        loop {
            if let Some(end) = self.expired(sink, upgraded, expires_at).await {
                return end;
            }
            let request = match waiting.pop_front() {
                Some(request) => request,
                None => match self.next(sink, stream, upgraded, expires_at).await {
                    Ok(Some(request)) => request,
                    Ok(None) => continue,
                    Err(end) => return end,
                },
            };
            let mut running = std::pin::pin!(self.respond(sink, request));
            let end = loop {
                tokio::select! {
                    biased;
                    sent = &mut running => break sent.err(),
                    message = stream.next(), if waiting.len() < WAITING => match text_of(message) {
                        Ok(Some(text)) => waiting.push_back(self.hold(text).await),
                        Ok(None) => {}
                        Err(end) => break Some(end),
                    },
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Why the socket ends before its next request, if it does.
    async fn expired(
        &self,
        sink: &mut Sink,
        upgraded: &UpgradedConnection,
        expires_at: Instant,
    ) -> Option<SocketEnd> {
        if upgraded.draining().now_or_never().is_some() {
            return Some(SocketEnd::Close(
                close_code::AWAY,
                "the gateway is stopping",
            ));
        }
        if Instant::now() < expires_at {
            return None;
        }
        let message = "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.";
        let code = "websocket_connection_limit_reached";
        let failure = Failure::new(ProblemKind::InvalidRequest, code, message);
        let error = HttpError::from(failure).into_websocket_error(None);
        let _ = send(sink, Message::text(error)).await;
        Some(SocketEnd::Close(
            close_code::NORMAL,
            "the connection is too old",
        ))
    }

    /// Reserves memory for a message.
    async fn hold(&self, text: String) -> WaitingRequest {
        let memory = self.state.app.bodies.hold(text.len()).await?;
        Ok((text, memory))
    }

    /// Waits for the next request. None: it is time to look whether the socket ends.
    async fn next(
        &self,
        sink: &mut Sink,
        stream: &mut SplitStream<WebSocket>,
        upgraded: &UpgradedConnection,
        expires_at: Instant,
    ) -> Result<Option<WaitingRequest>, SocketEnd> {
        let heartbeat = self.state.app.flow.heartbeat();
        loop {
            tokio::select! {
                biased;
                () = upgraded.draining() => return Ok(None),
                () = sleep_until(expires_at) => return Ok(None),
                message = stream.next() => if let Some(text) = text_of(message)? {
                    return Ok(Some(self.hold(text).await));
                },
                // Proxies close connections that are silent.
                () = sleep(heartbeat) => ping(sink).await?,
            }
        }
    }

    /// Serves one request, and sends its response.
    async fn respond(&self, sink: &mut Sink, request: WaitingRequest) -> Result<(), SocketEnd> {
        let id = request_id::new();
        let span = tracing::info_span!(
            "request",
            id,
            client_id = Empty,
            method = "WEBSOCKET",
            path = PATH,
            model = Empty,
            ending = Empty,
        );
        let mut log_entry = SocketLogEntry {
            span: span.clone(),
            metrics: self.state.metrics.request(PATH),
            objects: self.objects.clone(),
            started: Instant::now(),
            stream_id: None,
            status: None,
            succeeded: false,
        };
        let served = self.respond_to(sink, request, id, &mut log_entry);
        served.instrument(span).await
    }

    /// Serves one request.
    async fn respond_to(
        &self,
        sink: &mut Sink,
        request: WaitingRequest,
        id: String,
        log_entry: &mut SocketLogEntry,
    ) -> Result<(), SocketEnd> {
        let metrics = log_entry.metrics.clone();
        let (text, memory) = match request {
            Ok(request) => request,
            Err(error) => return fail(sink, log_entry, error).await,
        };
        log_entry.stream_id = stream_id(&text);
        let parsed = ParsedRequest {
            id,
            arrived: clock::unix_ms(),
            caller: Caller {
                canary_key: self.canary_key.clone(),
                client: self.client,
                metrics: metrics.clone(),
            },
            route: RequestRoute {
                dialect: Dialect::Responses.name(),
                name: ROUTE,
                path_parameters: Vec::new(),
                query: Vec::new(),
            },
            body: text,
            memory,
            nested: self.nested,
            objects: ObjectClient {
                owner: api::owner(),
                connection: Some(self.objects.clone()),
            },
        };
        let body = match self.start(sink, parsed).await? {
            Ok(response) => response.body,
            Err(failure) => return fail(sink, log_entry, failure.into()).await,
        };
        match body {
            FlowBody::Json(body) => send(sink, Message::text(body)).await?,
            FlowBody::Frames(frames) => send_frames(sink, frames).await?,
            FlowBody::Log(_) => {
                let message =
                    "The events of a background response cannot be followed on a WebSocket.";
                let failure = Failure::new(ProblemKind::Unsupported, "not_supported", message);
                return fail(sink, log_entry, failure.into()).await;
            }
            FlowBody::Stream(stream) => return send_stream(sink, stream, log_entry).await,
        }
        log_entry.succeed();
        Ok(())
    }

    /// Starts a request. While it waits, pings keep the connection open.
    async fn start(
        &self,
        sink: &mut Sink,
        request: ParsedRequest,
    ) -> Result<Result<FlowResponse, Failure>, SocketEnd> {
        let mut started = std::pin::pin!(self.state.app.flow.start(request));
        let heartbeat = self.state.app.flow.heartbeat();
        loop {
            tokio::select! {
                biased;
                started = &mut started => return Ok(started),
                () = self.state.app.tasks.requests_aborted() => return Ok(Err(Failure::stopping())),
                () = sleep(heartbeat) => ping(sink).await?,
            }
        }
    }
}

/// Sends a streamed response.
async fn send_stream(
    sink: &mut Sink,
    mut stream: ResponseStream,
    log_entry: &mut SocketLogEntry,
) -> Result<(), SocketEnd> {
    let open = log_entry.metrics.open();
    while let Some(piece) = stream.next().await {
        match piece {
            StreamPiece::Frames(frames) => {
                open.metrics().sent(frames.len());
                send_frames(sink, frames).await?;
            }
            StreamPiece::Heartbeat => ping(sink).await?,
            StreamPiece::Last(frames, failure) => {
                open.metrics().sent(frames.len());
                send_frames(sink, frames).await?;
                if let Some(failure) = failure {
                    open.metrics().failed();
                    log(&failure);
                    log_entry.status = Some(StatusCode::OK);
                    return Ok(());
                }
            }
            StreamPiece::Broken(failure, _) => return fail(sink, log_entry, failure.into()).await,
        }
    }
    log_entry.succeed();
    Ok(())
}

/// The log line of a request, written on drop: when its response has ended, or its client has left.
struct SocketLogEntry {
    span: Span,
    metrics: RequestMetrics,
    objects: ConnectionObjects,
    started: Instant,
    /// The client's name of the request, which its errors repeat.
    stream_id: Option<String>,
    /// None: the client has left.
    status: Option<StatusCode>,
    succeeded: bool,
}

impl SocketLogEntry {
    fn succeed(&mut self) {
        self.status = Some(StatusCode::OK);
        self.succeeded = true;
    }
}

impl Drop for SocketLogEntry {
    fn drop(&mut self) {
        self.objects.end_request(!self.succeeded);
        let whole = self.status.is_some();
        let status = self.status.map(|status| status.as_u16());
        self.metrics.finished(status, whole);
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        tracing::info!(status, whole, ms, "request over");
    }
}

/// Reports a failure to the client.
async fn fail(
    sink: &mut Sink,
    log_entry: &mut SocketLogEntry,
    error: HttpError,
) -> Result<(), SocketEnd> {
    let status = error.status();
    let message = error.into_websocket_error(log_entry.stream_id.as_deref());
    send(sink, Message::text(message)).await?;
    log_entry.status = Some(status);
    Ok(())
}

/// The client's name of a request, by which it assigns what it receives. None: the request has no valid one.
fn stream_id(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        stream_id: Option<String>,
    }
    memchr::memmem::find(text.as_bytes(), b"\"stream_id\"")?;
    let Named { stream_id } = serde_json::from_str(text).ok()?;
    stream_id.filter(|id| (1..=STREAM_ID_BYTES).contains(&id.len()))
}

/// The text of a message. None: a ping or pong.
fn text_of(message: Option<Result<Message, axum::Error>>) -> Result<Option<String>, SocketEnd> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Binary(_))) => Err(SocketEnd::Close(
            close_code::UNSUPPORTED,
            "send requests as text messages",
        )),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) => Err(SocketEnd::Closed),
        None => Err(SocketEnd::Left),
        Some(Err(error)) => Err(broken(error)),
    }
}

/// The end of a socket whose client has broken the protocol or a limit of it, or is gone (RFC 6455, section 7.4.1).
fn broken(error: axum::Error) -> SocketEnd {
    tracing::debug!(%error, "a WebSocket broke");
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => SocketEnd::Close(
            close_code::SIZE,
            "the message is larger than limits.body_bytes",
        ),
        Some(tungstenite::Error::Utf8(_)) => {
            SocketEnd::Close(close_code::INVALID, "the message is not UTF-8")
        }
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            SocketEnd::Left
        }
        Some(tungstenite::Error::Protocol(_)) => {
            SocketEnd::Close(close_code::PROTOCOL, "a frame breaks RFC 6455")
        }
        _ => SocketEnd::Left,
    }
}

async fn ping(sink: &mut Sink) -> Result<(), SocketEnd> {
    send(sink, Message::Ping(Bytes::new())).await
}

async fn send(sink: &mut Sink, message: Message) -> Result<(), SocketEnd> {
    sink.send(message).await.map_err(|_| SocketEnd::Left)
}

async fn send_frames(sink: &mut Sink, frames: Vec<Frame>) -> Result<(), SocketEnd> {
    for frame in frames {
        let fed = sink.feed(Message::text(frame.data)).await;
        fed.map_err(|_| SocketEnd::Left)?;
    }
    sink.flush().await.map_err(|_| SocketEnd::Left)
}
