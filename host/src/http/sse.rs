//! Frames as bytes on the wire: server-sent events, heartbeats, and the last word of a stream that broke.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use tracing::Span;

use super::failure::{envelope, log};
use crate::flow::{Feed, Piece};
use crate::metrics::{Open, Trail};
use crate::wit::Frame;

/// A comment with the blank line that clients which split on blank lines need. It has no `id:`, and nor has anything
/// else here: with one, some clients fail on comments.
pub(super) const BEAT: &str = ": ping\n\n";

/// What ends a stream.
const DONE: &str = "data: [DONE]\n\n";

/// A body that asks for more whenever the client has taken what was there.
pub(super) fn body(feed: Feed, open: Open) -> Body {
    // Entered where something is said, and not with every piece.
    let span = Span::current();
    let state = (feed, open, span);
    Body::from_stream(unfold(state, async |(mut feed, open, span)| {
        let piece = feed.next().await?;
        count(&piece, open.trail());
        let bytes = encode(piece, &span);
        Some((Ok::<_, Infallible>(bytes), (feed, open, span)))
    }))
}

fn count(piece: &Piece, trail: &Trail) {
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
    } else {
        trail.spoke();
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
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::wit::ProblemKind;

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
