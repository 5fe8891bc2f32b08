//! What every request passes and has: the guard, an id, a span, headers that name them, and one line in the log when it is over.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::sleep;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::body::check_transfer_encoding;
use super::failure::Refusal;
use super::guard::Guard;
use super::listen::Exchange;
use airlock_base::clock;
use airlock_base::task::Tasks;
use airlock_metrics::{Metrics, RequestMetrics};
use airlock_types::failure::Failure;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
pub(super) const REHEARSAL: HeaderName = HeaderName::from_static("x-airlock-rehearsal");

/// Characters of a client's own request id, and of a path in the log.
const ID_LENGTH: usize = 128;
const PATH_LENGTH: usize = 128;

/// How long a request may take to end with an error of its own, once requests are aborted. Those that run a turn do so within
/// milliseconds.
const ABORT_GRACE: Duration = Duration::from_millis(1500);

/// What all requests are recorded with.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// A scripted model answers.
    pub(super) rehearsal: bool,
    pub(super) metrics: Metrics,
    pub(super) guard: Arc<Guard>,
    pub(super) tasks: Tasks,
}

/// A request as the gateway knows it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// `req_…`, unique to this gateway.
    pub(super) id: String,
    /// Unix milliseconds.
    pub(super) arrived: u64,
    /// What the client calls it, or else the id: a request that is sent again has the same one.
    pub(super) shown: String,
    /// What is counted of it.
    pub(super) trail: RequestMetrics,
    /// The connection's side of it.
    pub(super) exchange: Exchange,
}

/// Names the request, has it served, and names the response. One layer for what all requests pass: each costs every
/// request a clone of all that is below it, and a box for its future.
pub(super) async fn record(
    State(recording): State<Recording>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = new_id();
    // What a client calls its request is what it will look for, in the response and in the log.
    let shown = clients_id(request.headers()).unwrap_or_else(|| id.clone());
    let trail = recording.metrics.request(request.uri().path());
    let exchange = request.extensions_mut().remove::<Exchange>();
    let exchange = exchange.unwrap_or_default();
    let received = Received {
        id,
        arrived: clock::unix_ms(),
        shown: shown.clone(),
        trail: trail.clone(),
        exchange: exchange.clone(),
    };
    let path: String = request.uri().path().chars().take(PATH_LENGTH).collect();
    let span = tracing::info_span!(
        "request",
        id = received.id,
        client_id = Empty,
        method = %request.method(),
        path,
        model = Empty,
        ending = Empty,
    );
    if shown != received.id {
        span.record("client_id", shown.as_str());
    }
    request.extensions_mut().insert(received);
    let mut line = Line {
        span: span.clone(),
        trail,
        exchange,
        quiet: is_probe(&path),
        started: Instant::now(),
        status: None,
        whole: false,
    };

    // Before anything reads the request: a page from elsewhere must learn nothing at all.
    let served = recording
        .guard
        .pass(request, |request| survive(request, next));
    let aborted = async {
        recording.tasks.requests_aborted().await;
        sleep(ABORT_GRACE).await;
        Refusal::from(Failure::stopping()).into_response()
    };
    let mut response = tokio::select! {
        biased;
        response = served.instrument(span.clone()) => response,
        // Dropping what serves it ends all that runs for it.
        response = aborted.instrument(span) => response,
    };

    line.status = Some(response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(PROCESSING_MS, milliseconds(line.started).into());
    if let Ok(shown) = HeaderValue::from_str(&shown) {
        headers.insert(REQUEST_ID, shown);
    }
    if recording.rehearsal {
        headers.insert(REHEARSAL, HeaderValue::from_static("true"));
    }
    response.map(|body| Body::new(Recorded { body, line }))
}

/// An id for a request, unique to this gateway.
pub(super) fn new_id() -> String {
    format!("req_{}", uuid::Uuid::now_v7().simple())
}

/// Has a request served, and answers it even where its handler panics.
async fn survive(request: Request, next: Next) -> Response {
    if let Err(refusal) = check_transfer_encoding(request.headers()) {
        return refusal.into_response();
    }
    let served = AssertUnwindSafe(next.run(request)).catch_unwind();
    served.await.unwrap_or_else(|_| Refusal::panicked())
}

/// The client's own id for its request, if it is one that can safely be repeated.
fn clients_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (!id.is_empty() && id.len() <= ID_LENGTH && id.bytes().all(sane)).then(|| id.to_owned())
}

/// Those who watch over a process ask every few seconds.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The request's line in the log, written when the last of it is gone: answered, or left.
struct Line {
    span: Span,
    trail: RequestMetrics,
    exchange: Exchange,
    quiet: bool,
    started: Instant,
    status: Option<u16>,
    /// The response was sent to its end.
    whole: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let _inside = self.span.enter();
        let Line { status, whole, .. } = *self;
        self.trail.over(status, whole);
        self.exchange.complete();
        let ms = milliseconds(self.started);
        if self.quiet {
            tracing::debug!(status, whole, ms, "request over");
        } else {
            tracing::info!(status, whole, ms, "request over");
        }
    }
}

/// A response's body, whose end is the request's.
struct Recorded {
    body: Body,
    line: Line,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        // A body of known length is not asked again after its last byte.
        this.line.whole =
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
