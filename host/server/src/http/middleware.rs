//! The middleware of every request: the origin guard, a request id, a span, response headers, and a log line at the end.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::sleep;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::body::check_transfer_encoding;
use super::dialect::Dialect;
use super::failure::HttpError;
use super::listen::HttpExchange;
use super::origin_guard::OriginGuard;
use super::request_id;
use airlock_base::clock;
use airlock_base::task::Tasks;
use airlock_metrics::{Metrics, RequestMetrics};
use airlock_types::failure::Failure;

const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const REHEARSAL: HeaderName = HeaderName::from_static("x-airlock-rehearsal");

/// Characters of a path in the log.
const PATH_LENGTH: usize = 128;

/// How long a request may take to fail by itself once requests are aborted. Requests with a turn take milliseconds.
const ABORT_GRACE: Duration = Duration::from_millis(1500);

/// The state of the middleware.
#[derive(Clone, Debug)]
pub(super) struct MiddlewareState {
    /// Whether a scripted model answers.
    pub(super) rehearsal: bool,
    pub(super) metrics: Metrics,
    pub(super) guard: Arc<OriginGuard>,
    pub(super) tasks: Tasks,
}

/// The identity of a request, for its handler.
#[derive(Clone, Debug)]
pub(super) struct RequestInfo {
    /// `req_…`, a UUID of version 7.
    pub(super) id: String,
    /// Unix milliseconds.
    pub(super) arrived: u64,
    /// The client's own id, which a retry has too, else `id`.
    pub(super) shown_id: String,
    /// The dialect of its errors.
    pub(super) dialect: Dialect,
    /// The metrics of this request.
    pub(super) metrics: RequestMetrics,
    /// The state that it shares with its connection.
    pub(super) exchange: HttpExchange,
}

/// Serves a request within its span, and adds headers to the response. It is one layer for all of this, because each layer
/// costs every request a clone of the services below it and a box for the future.
pub(super) async fn handle(
    State(state): State<MiddlewareState>,
    mut request: Request,
    next: Next,
) -> Response {
    let exchange = request.extensions_mut().remove::<HttpExchange>();
    let info = RequestInfo::of(&request, &state.metrics, exchange.unwrap_or_default());
    let path: String = request.uri().path().chars().take(PATH_LENGTH).collect();
    let span = span(&info, request.method(), &path);
    let mut log_entry = AccessLogEntry {
        span: span.clone(),
        metrics: info.metrics.clone(),
        exchange: info.exchange.clone(),
        is_probe: is_probe(&path),
        started: Instant::now(),
        status: None,
        whole: false,
    };
    let (shown_id, dialect) = (info.shown_id.clone(), info.dialect);
    request.extensions_mut().insert(info);

    // The guard comes first: a web page that is not allowed must not learn anything.
    let served = state
        .guard
        .pass(request, |request| catch_panic(request, next));
    let aborted = async {
        state.tasks.requests_aborted().await;
        sleep(ABORT_GRACE).await;
        HttpError::from(Failure::stopping()).into_response()
    };
    let response = tokio::select! {
        biased;
        response = served.instrument(span.clone()) => response,
        // Dropping the other future stops the turns of the request.
        response = aborted.instrument(span) => response,
    };

    let mut response = dialect.finish(response, &shown_id);
    log_entry.status = Some(response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(PROCESSING_MS, milliseconds(log_entry.started).into());
    if let Ok(id) = HeaderValue::from_str(&shown_id) {
        headers.insert(request_id::HEADER, id);
    }
    if state.rehearsal {
        headers.insert(REHEARSAL, HeaderValue::from_static("true"));
    }
    response.map(|body| Body::new(RecordedBody { body, log_entry }))
}

impl RequestInfo {
    /// The identity of a request that has just arrived.
    fn of(request: &Request, metrics: &Metrics, exchange: HttpExchange) -> Self {
        let id = request_id::new();
        Self {
            // The client looks for its own id in the response and in the log.
            shown_id: request_id::of_client(request.headers()).unwrap_or_else(|| id.clone()),
            id,
            arrived: clock::unix_ms(),
            dialect: Dialect::of(request.uri().path(), request.headers()),
            metrics: metrics.request(request.uri().path()),
            exchange,
        }
    }
}

/// The span of a request. Later stages record its model and its ending.
fn span(info: &RequestInfo, method: &Method, path: &str) -> Span {
    let span = tracing::info_span!(
        "request",
        id = info.id,
        client_id = Empty,
        method = %method,
        path,
        model = Empty,
        ending = Empty,
    );
    if info.shown_id != info.id {
        span.record("client_id", info.shown_id.as_str());
    }
    span
}

/// Serves a request. A panic of its handler becomes a 500.
async fn catch_panic(request: Request, next: Next) -> Response {
    if let Err(refusal) = check_transfer_encoding(request.headers()) {
        return refusal.into_response();
    }
    let served = AssertUnwindSafe(next.run(request)).catch_unwind();
    served
        .await
        .unwrap_or_else(|_| HttpError::panicked().into_response())
}

/// Whether a supervisor requests the path every few seconds.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The log line of a request, written on drop: when the response has ended, or the client has left.
struct AccessLogEntry {
    span: Span,
    metrics: RequestMetrics,
    exchange: HttpExchange,
    /// Logged at debug level.
    is_probe: bool,
    started: Instant,
    status: Option<u16>,
    /// The response was sent to its end.
    whole: bool,
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        let AccessLogEntry { status, whole, .. } = *self;
        self.metrics.finished(status, whole);
        self.exchange.complete();
        let ms = milliseconds(self.started);
        if self.is_probe {
            tracing::debug!(status, whole, ms, "request over");
        } else {
            tracing::info!(status, whole, ms, "request over");
        }
    }
}

/// A response's body, which ends the request when it is dropped.
struct RecordedBody {
    body: Body,
    log_entry: AccessLogEntry,
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        // hyper does not poll a body of known length after its last byte.
        this.log_entry.whole =
            frame.is_none() || (matches!(frame, Some(Ok(_))) && this.body.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
