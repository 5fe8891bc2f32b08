//! One request of a WebSocket, from its message to the last message of its response.

use serde::Deserialize;

use axum::extract::ws::Message;
use axum::http::StatusCode;
use tokio::time::{Instant, sleep};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::message::{Sink, SocketEnd, ping, send, send_frames};
use super::{PATH, WaitingRequest, WebSocketConnection};
use crate::flow::{
    Caller, ConnectionObjects, FlowBody, FlowResponse, ObjectClient, ParsedRequest, RequestRoute,
    ResponseStream, StreamPiece,
};
use crate::http::dialect::Dialect;
use crate::http::failure::{HttpError, log};
use crate::http::{api, request_id};
use airlock_base::clock;
use airlock_base::memory::MemoryShare;
use airlock_metrics::RequestMetrics;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The route, as policies name it: that of a request over HTTP.
const ROUTE: &str = "POST /v1/responses";

/// The most bytes of a `stream_id` that errors repeat.
const STREAM_ID_BYTES: usize = 256;

impl WebSocketConnection {
    /// Serves one request, and sends its response.
    pub(super) async fn respond(
        &self,
        sink: &mut Sink,
        request: WaitingRequest,
    ) -> Result<(), SocketEnd> {
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
        let parsed = self.parsed(id, text, memory, metrics);
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

    /// The request of a message, as the flow takes it.
    fn parsed(
        &self,
        id: String,
        body: String,
        memory: MemoryShare,
        metrics: RequestMetrics,
    ) -> ParsedRequest {
        ParsedRequest {
            id,
            arrived: clock::unix_ms(),
            caller: Caller {
                canary_key: self.canary_key.clone(),
                client: self.client,
                metrics,
            },
            route: RequestRoute {
                dialect: Dialect::Responses.name(),
                name: ROUTE,
                path_parameters: Vec::new(),
                query: Vec::new(),
            },
            body,
            memory,
            nested: self.nested,
            objects: ObjectClient {
                owner: api::owner(),
                connection: Some(self.objects.clone()),
            },
        }
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
