//! `GET /v1/responses` as a WebSocket (RFC 6455): each text message is a request of the Responses API, and each frame of its
//! response is a text message. Requests of one socket run one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::dialect::Dialect;
use super::failure::{HttpError, log};
use super::listen::{UpgradeContext, UpgradedConnection};
use super::middleware::RequestInfo;
use super::{AppState, api, request_id};
use crate::flow::{
    Caller, ConnectionObjects, FlowBody, ObjectClient, ParsedRequest, RequestRoute, StreamPiece,
};
use airlock_base::clock;
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

/// How long a socket may be open, as OpenAI's. The response that runs then ends first.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

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
        let upgraded = context.upgraded();
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
enum End {
    /// The client has closed it, or is gone.
    Left,
    /// With this code and reason.
    Close(u16, &'static str),
}

impl WebSocketConnection {
    /// Serves a socket until either side closes it.
    async fn serve(self, socket: WebSocket, connection: &UpgradedConnection) {
        let (mut sink, mut stream) = socket.split();
        let end = self.requests(&mut sink, &mut stream, connection).await;
        if let End::Close(code, reason) = end {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            let close = async {
                sink.send(Message::Close(Some(frame))).await?;
                while let Some(Ok(_)) = stream.next().await {}
                Ok::<_, axum::Error>(())
            };
            // The client may be gone.
            let _ = timeout(CLOSE, close).await;
        }
    }

    /// Serves the requests of a socket, one after the other.
    async fn requests(
        &self,
        sink: &mut Sink,
        stream: &mut SplitStream<WebSocket>,
        connection: &UpgradedConnection,
    ) -> End {
        let oldest = Instant::now() + LIFETIME;
        let mut waiting = VecDeque::new();
        loop {
            let text = match waiting.pop_front() {
                Some(text) => text,
                None => match self.next(sink, stream, connection, oldest).await {
                    Ok(text) => text,
                    Err(end) => return end,
                },
            };
            let mut running = std::pin::pin!(self.respond(sink, text));
            let end = loop {
                tokio::select! {
                    biased;
                    sent = &mut running => break sent.err(),
                    message = stream.next(), if waiting.len() < WAITING => match text_of(message) {
                        Ok(text) => waiting.extend(text),
                        Err(end) => break Some(end),
                    },
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Waits for the next request.
    async fn next(
        &self,
        sink: &mut Sink,
        stream: &mut SplitStream<WebSocket>,
        connection: &UpgradedConnection,
        oldest: Instant,
    ) -> Result<String, End> {
        let heartbeat = self.state.app.flow.heartbeat();
        loop {
            tokio::select! {
                biased;
                message = stream.next() => if let Some(text) = text_of(message)? {
                    return Ok(text);
                },
                () = connection.draining() => {
                    return Err(End::Close(close_code::AWAY, "the gateway is stopping"));
                }
                () = sleep_until(oldest) => {
                    let message = "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.";
                    let code = "websocket_connection_limit_reached";
                    let failure = Failure::new(ProblemKind::InvalidRequest, code, message);
                    let _ = send_failure(sink, failure).await;
                    return Err(End::Close(close_code::NORMAL, "the connection is too old"));
                }
                // Proxies close connections that are silent.
                () = tokio::time::sleep(heartbeat) => send(sink, Message::Ping(Default::default())).await?,
            }
        }
    }

    /// Serves one request, and sends its response.
    async fn respond(&self, sink: &mut Sink, text: String) -> Result<(), End> {
        let id = request_id::new();
        let metrics = self.state.metrics.request(PATH);
        let span = tracing::info_span!(
            "request",
            id,
            client_id = Empty,
            method = "WEBSOCKET",
            path = PATH,
            model = Empty,
            ending = Empty,
        );
        let started = Instant::now();
        let served = self.respond_to(sink, text, id, &metrics);
        let served = served.instrument(span.clone()).await;
        let failed = !matches!(served, Ok(true));
        self.objects.end_request(failed);
        let whole = served.is_ok();
        metrics.finished(Some(StatusCode::OK.as_u16()), whole);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::info!(whole, ms, "request over"));
        served.map(|_| ())
    }

    /// Serves one request. Returns whether it succeeded.
    async fn respond_to(
        &self,
        sink: &mut Sink,
        text: String,
        id: String,
        metrics: &RequestMetrics,
    ) -> Result<bool, End> {
        let memory = match self.state.app.bodies.hold(text.len()).await {
            Ok(memory) => memory,
            Err(error) => return self.fail(sink, metrics, error).await,
        };
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
        let response = tokio::select! {
            biased;
            response = self.state.app.flow.start(parsed) => response,
            () = self.state.app.tasks.requests_aborted() => Err(Failure::stopping()),
        };
        match response.map(|response| response.body) {
            Err(failure) => self.fail(sink, metrics, failure.into()).await,
            Ok(FlowBody::Json(body)) => {
                send(sink, Message::text(body)).await?;
                Ok(true)
            }
            Ok(FlowBody::Frames(frames)) => {
                send_frames(sink, frames).await?;
                Ok(true)
            }
            Ok(FlowBody::Log(_)) => {
                let message = "A background response cannot be followed on a WebSocket.";
                let failure = Failure::new(ProblemKind::Unsupported, "not_supported", message);
                self.fail(sink, metrics, failure.into()).await
            }
            Ok(FlowBody::Stream(mut stream)) => {
                let open = metrics.open();
                while let Some(piece) = stream.next().await {
                    match piece {
                        StreamPiece::Frames(frames) => {
                            open.metrics().sent(frames.len());
                            send_frames(sink, frames).await?;
                        }
                        StreamPiece::Heartbeat => {
                            send(sink, Message::Ping(Default::default())).await?;
                        }
                        StreamPiece::Last(frames, failure) => {
                            open.metrics().sent(frames.len());
                            send_frames(sink, frames).await?;
                            if let Some(failure) = failure {
                                metrics.failed();
                                log(&failure);
                                return Ok(false);
                            }
                        }
                        StreamPiece::Broken(failure, _) => {
                            return self.fail(sink, metrics, failure.into()).await;
                        }
                    }
                }
                Ok(true)
            }
        }
    }

    /// Reports a failure to the client.
    async fn fail(
        &self,
        sink: &mut Sink,
        metrics: &RequestMetrics,
        error: HttpError,
    ) -> Result<bool, End> {
        metrics.failed();
        send(sink, Message::text(error.into_websocket_error())).await?;
        Ok(false)
    }
}

/// The text of a message. None: a ping or pong.
fn text_of(message: Option<Result<Message, axum::Error>>) -> Result<Option<String>, End> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Binary(_))) => Err(End::Close(
            close_code::UNSUPPORTED,
            "send requests as text messages",
        )),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | None => Err(End::Left),
        Some(Err(error)) => Err(broken(&error)),
    }
}

/// The end of a socket whose client has broken the protocol or a limit of it, or is gone.
fn broken(error: &axum::Error) -> End {
    let text = error.to_string();
    tracing::debug!(error = text, "a WebSocket broke");
    if text.contains("too long") || text.contains("too big") {
        End::Close(
            close_code::SIZE,
            "the message is larger than limits.body_bytes",
        )
    } else {
        End::Left
    }
}

async fn send(sink: &mut Sink, message: Message) -> Result<(), End> {
    sink.send(message).await.map_err(|_| End::Left)
}

async fn send_frames(sink: &mut Sink, frames: Vec<Frame>) -> Result<(), End> {
    for frame in frames {
        let fed = sink.feed(Message::text(frame.data)).await;
        fed.map_err(|_| End::Left)?;
    }
    sink.flush().await.map_err(|_| End::Left)
}

async fn send_failure(sink: &mut Sink, failure: Failure) -> Result<(), End> {
    let error = HttpError::from(failure);
    send(sink, Message::text(error.into_websocket_error())).await
}
