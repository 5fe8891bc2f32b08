//! `GET /v1/responses` as a WebSocket (RFC 6455): each text message is a request of the Responses API, and each frame of its
//! response is a text message. Requests of one socket run one after the other.

mod message; // texts, ends, and sending
mod response; // one request

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Request, State};
use axum::http::{Method, Uri};
use axum::response::Response;
use futures_util::stream::SplitStream;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::message::{Sink, SocketEnd, ping, send, text_of};
use super::AppState;
use super::dialect::Dialect;
use super::failure::HttpError;
use super::listen::{UpgradeContext, UpgradedConnection};
use super::middleware::RequestInfo;
use crate::flow::ConnectionObjects;
use airlock_base::memory::MemoryShare;
use airlock_metrics::Metrics;
use airlock_policy::Client;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The path.
pub(super) const PATH: &str = "/v1/responses";

/// The most messages that wait for the one before them. The socket is not read while there are as many.
const WAITING: usize = 8;

/// How long a socket may be open, as on OpenAI's API. The response that runs then ends first.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How long a client may take to answer a closing handshake.
const CLOSE: Duration = Duration::from_secs(2);

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
}
