//! Frames as bytes on the wire: server-sent events, heartbeats, and the last word of a stream that broke.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures_util::pending;
use hyper::body::{Body as HttpBody, Frame as HttpFrame};
use tracing::Span;

use super::failure::{envelope, log};
use super::listen::Exchange;
use crate::flow::{Feed, Piece};
use airlock_metrics::{Open, RequestMetrics};
use airlock_types::wit::Frame;

/// A comment with the blank line that clients which split on blank lines need. It has no `id:`, and nor has anything
/// else here: with one, some clients fail on comments.
pub(super) const BEAT: &str = ": ping\n\n";

/// What ends a stream.
const DONE: &str = "data: [DONE]\n\n";

/// A body that asks for more whenever the client has taken what was there.
pub(super) fn body(mut feed: Feed, open: Open, exchange: Exchange) -> Body {
    // Entered where something is said, and not with every piece.
    let span = Span::current();
    pieces(exchange, async move |slot| {
        while let Some(piece) = feed.next().await {
            count(&piece, open.trail());
            slot.put(encode(piece, &span)).await;
        }
    })
}

/// A body of pieces, each of them whole events, which `write` puts into its slot.
///
/// It is one future for the whole stream, which puts each piece where the body finds it: to make one for each piece, and to
/// move it to where it runs, costs more than the piece.
pub(super) fn pieces<F: Future<Output = ()> + Send + 'static>(
    exchange: Exchange,
    write: impl FnOnce(Slot) -> F,
) -> Body {
    let next = Arc::new(Mutex::new(None));
    let write = write(Slot(Arc::clone(&next)));
    Body::new(Pieces {
        write: Some(Box::pin(write)),
        next,
        exchange,
    })
}

/// Where the writer of a stream puts its next piece.
pub(super) struct Slot(Arc<Mutex<Option<Bytes>>>);

impl Slot {
    /// Puts a piece, and returns when the body is asked for the next.
    pub(super) async fn put(&self, piece: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(piece);
        pending!();
    }
}

struct Pieces {
    /// None once the stream has ended.
    write: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The next piece. Only the two of them know it, one after the other.
    next: Arc<Mutex<Option<Bytes>>>,
    exchange: Exchange,
}

impl HttpBody for Pieces {
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
        let piece = self
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match piece {
            Some(bytes) => Poll::Ready(Some(Ok(HttpFrame::data(bytes)))),
            // The connection asks whether the client still receives.
            None if self.exchange.take_comment() => Poll::Ready(Some(Ok(HttpFrame::data(
                Bytes::from_static(BEAT.as_bytes()),
            )))),
            None => Poll::Pending,
        }
    }
}

fn count(piece: &Piece, trail: &RequestMetrics) {
    let (frames, failed) = match piece {
        Piece::Beat => return,
        Piece::Frames(frames) => (frames.len(), false),
        Piece::Last(frames, failure) => (frames.len(), failure.is_some()),
        // The error, and what ends the stream.
        Piece::Broken(_) => (2, true),
    };
    trail.sent(frames);
    if failed {
        trail.failed();
    }
}

fn encode(piece: Piece, span: &Span) -> Bytes {
    match piece {
        Piece::Frames(frames) => events(&frames),
        Piece::Beat => Bytes::from_static(BEAT.as_bytes()),
        Piece::Last(frames, failure) => {
            if let Some(failure) = failure {
                span.in_scope(|| log(&failure));
            }
            events(&frames)
        }
        Piece::Broken(failure) => {
            span.in_scope(|| log(&failure));
            format!("data: {}\n\n{DONE}", envelope(&failure.problem)).into()
        }
    }
}

/// All frames in one piece.
fn events(frames: &[Frame]) -> Bytes {
    let events = frames
        .iter()
        .map(|Frame { event, data }| (event.as_deref(), data.as_str()));
    airlock_wire::sse::events(events).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use airlock_types::failure::Failure;
    use airlock_types::wit::ProblemKind;

    fn frame(event: Option<&str>, data: &str) -> Frame {
        Frame {
            event: event.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn a_batch_is_one_piece_of_complete_events() {
        let frames = vec![
            frame(None, "{\"a\":1}"),
            frame(Some("done"), "{}"),
            frame(None, "[DONE]"),
        ];
        let expected = "data: {\"a\":1}\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n";
        assert_eq!(
            encode(Piece::Frames(frames.clone()), &Span::none()),
            expected
        );
        assert_eq!(encode(Piece::Last(frames, None), &Span::none()), expected);
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_the_end_is_the_end() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut pieces = pieces(Exchange::default(), async move |slot| {
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
        assert_eq!(encode(Piece::Beat, &Span::none()), ": ping\n\n");
    }

    #[test]
    fn a_broken_policy_still_ends_the_stream() {
        let failure =
            Failure::new(ProblemKind::Internal, "policy_failed", "It failed.").because("secret");
        let error = r#"{"error":{"message":"It failed.","type":"server_error","param":null,"code":"policy_failed"}}"#;
        assert_eq!(
            encode(Piece::Broken(failure), &Span::none()),
            format!("data: {error}\n\ndata: [DONE]\n\n")
        );
    }
}
