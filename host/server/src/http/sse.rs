//! Responses of server-sent events: frames, heartbeats, and the error that ends a stream whose policy failed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::pending;
use hyper::body::{Body as HttpBody, Frame as HttpFrame};
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::Span;

use super::dialect::Dialect;
use super::failure::log;
use super::listen::HttpExchange;
use crate::flow::{ResponseStream, StreamPiece};
use airlock_metrics::{OpenStream, RequestMetrics};
use airlock_store::{FrameLogReader, FrameRead};
use airlock_types::failure::Failure;
use airlock_types::wit::{Frame, ProblemKind};

/// A comment, with the blank line that clients need which split on blank lines. No event here has an `id:`: with one, some
/// clients fail on comments.
pub(super) const HEARTBEAT: &str = ": ping\n\n";

/// The message for a follower of a response whose events were dropped.
const EVENTS_LOST: &str =
    "The events of this response are no longer kept. Retrieve the response without `stream`.";

/// A response of server-sent events with this body.
pub(super) fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // Server-sent events are always UTF-8, but some clients decode by this parameter, and as ISO-8859-1 without it.
    let media_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect the stream before it passes it on.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The body of a stream. The next piece is awaited once the connection has taken the one before.
pub(super) fn body(
    mut stream: ResponseStream,
    dialect: Dialect,
    open: OpenStream,
    exchange: HttpExchange,
) -> Body {
    // Entered only to log, not with every piece.
    let span = Span::current();
    pieces(exchange, async move |slot| {
        while let Some(piece) = stream.next().await {
            count(&piece, dialect, open.metrics());
            slot.put(encode(piece, dialect, &span)).await;
        }
    })
}

/// The body of a stream that is whole already.
pub(super) fn whole_body(frames: &[Frame]) -> Body {
    Body::from(events(frames))
}

/// The body of the frames of a background response, with heartbeats. If its log is dropped, it ends with an error.
pub(super) fn log_body(
    mut log: FrameLogReader,
    dialect: Dialect,
    heartbeat: Duration,
    exchange: HttpExchange,
) -> Body {
    pieces(exchange, async move |slot| {
        loop {
            let piece = match timeout(heartbeat, log.next()).await {
                Ok(FrameRead::Frame(frame)) => {
                    let event = frame.event.as_deref();
                    let data = std::str::from_utf8(&frame.data).unwrap_or_default();
                    airlock_wire::sse::events(std::iter::once((event, data))).into()
                }
                Ok(FrameRead::Ended) => return,
                Ok(FrameRead::Dropped) => {
                    let problem = Failure::new(ProblemKind::Internal, "events_lost", EVENTS_LOST);
                    let events = dialect.stream_error(&problem.problem, log.next_number());
                    let events = events.iter().map(|(event, data)| (*event, data.as_str()));
                    slot.put(airlock_wire::sse::events(events).into()).await;
                    return;
                }
                Err(_) => Bytes::from_static(HEARTBEAT.as_bytes()),
            };
            slot.put(piece).await;
        }
    })
}

/// A body of pieces that `write` puts into its slot, each a number of complete events.
///
/// `write` is one future for the whole stream: creating and moving one for each piece costs more than the piece.
pub(super) fn pieces<F: Future<Output = ()> + Send + 'static>(
    exchange: HttpExchange,
    write: impl FnOnce(PieceSlot) -> F,
) -> Body {
    let next = Arc::new(Mutex::new(None));
    let write = write(PieceSlot(Arc::clone(&next)));
    Body::new(PieceBody {
        write: Some(Box::pin(write)),
        next,
        exchange,
    })
}

/// The slot for the next piece of a stream.
pub(super) struct PieceSlot(Arc<Mutex<Option<Bytes>>>);

impl PieceSlot {
    /// Puts a piece. Returns when the body is polled for the next.
    pub(super) async fn put(&self, piece: Bytes) {
        *self.0.lock() = Some(piece);
        pending!();
    }
}

struct PieceBody {
    /// None once the stream has ended.
    write: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The next piece, shared with the writer. Never contended: the body polls the writer.
    next: Arc<Mutex<Option<Bytes>>>,
    exchange: HttpExchange,
}

impl HttpBody for PieceBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, Infallible>>> {
        let Some(write) = &mut self.write else {
            return Poll::Ready(None);
        };
        if write.as_mut().poll(context).is_ready() {
            self.write = None;
            return Poll::Ready(None);
        }
        let piece = self.next.lock().take();
        match piece {
            Some(bytes) => Poll::Ready(Some(Ok(HttpFrame::data(bytes)))),
            // A probe for a client that has left needs data.
            None if self.exchange.take_comment() => Poll::Ready(Some(Ok(HttpFrame::data(
                Bytes::from_static(HEARTBEAT.as_bytes()),
            )))),
            None => Poll::Pending,
        }
    }
}

fn count(piece: &StreamPiece, dialect: Dialect, metrics: &RequestMetrics) {
    let (frames, failed) = match piece {
        StreamPiece::Heartbeat => return,
        StreamPiece::Frames(frames) => (frames.len(), false),
        StreamPiece::Last(frames, failure) => (frames.len(), failure.is_some()),
        StreamPiece::Broken(failure, sequence) => {
            let events = dialect.stream_error(&failure.problem, *sequence);
            (events.len(), true)
        }
    };
    metrics.sent(frames);
    if failed {
        metrics.failed();
    }
}

fn encode(piece: StreamPiece, dialect: Dialect, span: &Span) -> Bytes {
    match piece {
        StreamPiece::Frames(frames) => events(&frames),
        StreamPiece::Heartbeat => Bytes::from_static(HEARTBEAT.as_bytes()),
        StreamPiece::Last(frames, failure) => {
            if let Some(failure) = failure {
                span.in_scope(|| log(&failure));
            }
            events(&frames)
        }
        StreamPiece::Broken(failure, sequence) => {
            span.in_scope(|| log(&failure));
            let events = dialect.stream_error(&failure.problem, sequence);
            let events = events.iter().map(|(event, data)| (*event, data.as_str()));
            airlock_wire::sse::events(events).into()
        }
    }
}

/// All frames in one piece.
fn events(frames: &[Frame]) -> Bytes {
    let events = frames
        .iter()
        .map(|frame| (frame.event.as_deref(), frame.data.as_str()));
    airlock_wire::sse::events(events).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn frame(event: Option<&str>, data: &str) -> Frame {
        Frame {
            event: event.map(str::to_owned),
            data: data.to_owned(),
            number: None,
        }
    }

    fn encoded(piece: StreamPiece) -> Bytes {
        encode(piece, Dialect::ChatCompletions, &Span::none())
    }

    #[test]
    fn a_batch_is_one_piece_of_complete_events() {
        let frames = vec![
            frame(None, "{\"a\":1}"),
            frame(Some("done"), "{}"),
            frame(None, "[DONE]"),
        ];
        let expected = "data: {\"a\":1}\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n";
        assert_eq!(encoded(StreamPiece::Frames(frames.clone())), expected);
        assert_eq!(encoded(StreamPiece::Last(frames, None)), expected);
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_the_end_is_the_end() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut pieces = pieces(HttpExchange::default(), async move |slot| {
            slot.put(Bytes::from("at once")).await;
            slot.put(Bytes::from(receiver.await.unwrap())).await;
            slot.put(Bytes::from("last")).await;
        });
        let mut next = async || {
            let frame = pieces.frame().await?;
            Some(frame.unwrap().into_data().unwrap())
        };
        assert_eq!(next().await.unwrap(), "at once");
        let send = async { sender.send("when it is there").unwrap() };
        let (waited, ()) = tokio::join!(next(), send);
        assert_eq!(waited.unwrap(), "when it is there");
        assert_eq!(next().await.unwrap(), "last");
        assert_eq!(next().await, None);
        assert_eq!(next().await, None);
    }

    #[test]
    fn a_heartbeat_is_a_comment_and_a_blank_line() {
        assert_eq!(encoded(StreamPiece::Heartbeat), ": ping\n\n");
    }

    #[test]
    fn a_broken_policy_still_ends_the_stream() {
        let failure =
            Failure::new(ProblemKind::Internal, "policy_failed", "It failed.").because("secret");
        let error = r#"{"error":{"message":"It failed.","type":"server_error","param":null,"code":"policy_failed"}}"#;
        assert_eq!(
            encoded(StreamPiece::Broken(failure, 0)),
            format!("data: {error}\n\ndata: [DONE]\n\n")
        );
    }
}
