//! What a request holds: text that claims to be JSON, within the limit of size, in time.

mod budget; // what all of them may take up

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::{Instant, sleep_until, timeout};

use self::budget::{Arriving, Budget, Shortage};
use super::failure::Refusal;
use crate::config::ServerLimits;
use airlock_base::memory::{MemoryShare, Split};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// How long a body may take to arrive. Enough for the largest at 1 MB/s.
const ARRIVAL: Duration = Duration::from_secs(60);

/// The slowest that a body may arrive: so many bytes in each window.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOW_BYTES: usize = 10 << 10;

/// How much of a body that is too large is read and thrown away, in bytes, and how long that may take. A client that
/// is still writing when we close sees a broken connection in place of our answer.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD: Duration = Duration::from_secs(10);

/// The same when the gateway stops.
const ABORTED_DISCARD: Duration = Duration::from_secs(1);

/// Bytes that are set aside because a client announces them.
const BELIEVED: usize = 1 << 20;

/// What bodies are read into: so much for all of them, and so much for each. Clones share it.
#[derive(Clone)]
pub(super) struct Bodies {
    budget: Budget,
    limit: usize,
    tasks: Tasks,
}

/// A body, and the memory that it takes up until it is dropped.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) memory: MemoryShare,
}

/// Why a body has not been read.
enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// Its client has left.
    Broken,
    /// It came too slowly.
    Slow,
    /// It came more slowly than others, which needed its memory.
    Evicted,
    /// There is no memory for it.
    Busy,
    /// The gateway stops.
    Aborted,
}

impl Bodies {
    pub(super) fn new(limits: &ServerLimits, tasks: &Tasks) -> Self {
        Self::within(
            Split::of(limits.body_memory_bytes, limits.body_bytes),
            limits.body_bytes,
            tasks,
        )
    }

    fn within(split: Split, limit: usize, tasks: &Tasks) -> Self {
        Self {
            budget: Budget::new(split),
            limit,
            tasks: tasks.clone(),
        }
    }
}

/// Reads the text of a JSON request.
pub(super) async fn text(request: Request, bodies: &Bodies) -> Result<Text, Refusal> {
    let limit = bodies.limit;
    let (parts, mut body) = request.into_parts();
    is_json(&parts.headers)?;
    let announced = length(&parts.headers).unwrap_or_default();
    if announced > limit {
        // Who asks first has written nothing yet.
        if !parts.headers.contains_key(EXPECT) {
            discard(body, DISCARD).await;
        }
        return Err(Refusal::too_large(limit));
    }
    let mut arriving = bodies.budget.arrive(announced);
    let collected = tokio::select! {
        biased;
        collected = collect(&mut body, announced, limit, &mut arriving) => collected,
        () = bodies.tasks.requests_aborted() => Err(Unread::Aborted),
    };
    let unread = match collected {
        Ok(bytes) => {
            let memory = arriving.whole();
            let text = String::from_utf8(bytes)
                .map_err(|_| Refusal::body("invalid_body", "The request's body is not UTF-8."))?;
            return Ok(Text { text, memory });
        }
        Err(unread) => unread,
    };
    // Its memory is another's now.
    drop(arriving);
    match unread {
        Unread::TooLarge | Unread::Busy => discard(body, DISCARD).await,
        Unread::Aborted => discard(body, ABORTED_DISCARD).await,
        Unread::Broken | Unread::Slow | Unread::Evicted => {}
    }
    Err(unread.refusal(limit))
}

/// Reads a body to its end.
async fn collect(
    body: &mut Body,
    announced: usize,
    limit: usize,
    arriving: &mut Arriving,
) -> Result<Vec<u8>, Unread> {
    let deadline = Instant::now() + ARRIVAL;
    let mut window = (Instant::now() + WINDOW, 0);
    let mut bytes = Vec::new();
    bytes.reserve_exact(announced.min(BELIEVED));
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = sleep_until(window.0.min(deadline)) => {
                if window.1 < WINDOW_BYTES || Instant::now() >= deadline {
                    return Err(Unread::Slow);
                }
                window = (Instant::now() + WINDOW, 0);
                continue;
            }
            () = arriving.evicted() => return Err(Unread::Evicted),
        };
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let Ok(piece) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if bytes.len() + piece.len() > limit {
            return Err(Unread::TooLarge);
        }
        let taken = arriving.take(piece.len()).await;
        taken.map_err(|Shortage| Unread::Busy)?;
        window.1 += piece.len();
        append(&mut bytes, &piece, announced);
    }
}

fn append(bytes: &mut Vec<u8>, piece: &Bytes, announced: usize) {
    // Who has sent so much is believed: to grow step by step copies all that has come again and again.
    if bytes.len() + piece.len() > bytes.capacity() {
        let _ = bytes.try_reserve_exact(announced.saturating_sub(bytes.len()));
    }
    bytes.extend_from_slice(piece);
}

impl Unread {
    fn refusal(&self, limit: usize) -> Refusal {
        match self {
            Self::TooLarge => Refusal::too_large(limit),
            Self::Broken => Refusal::body("invalid_body", "The request's body broke off."),
            Self::Slow => Refusal::too_slow("The request's body did not arrive in time."),
            Self::Evicted => Refusal::too_slow(
                "The request's body arrived too slowly while the gateway had no memory left for others.",
            ),
            Self::Busy => {
                let message = "The gateway is reading as much as it can. Try again in a moment.";
                let failure = Failure::new(ProblemKind::Overloaded, "gateway_busy", message);
                failure.retry_after(1).into()
            }
            Self::Aborted => Failure::stopping().into(),
        }
    }
}

/// Refuses transfer codings that are not understood: the parser looks at the last of them alone (hyper 1.12).
pub(super) fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut chunked = false;
    for codings in headers.get_all(TRANSFER_ENCODING) {
        for coding in codings.as_bytes().split(|byte| *byte == b',') {
            match coding.trim_ascii() {
                [] => {}
                coding if !coding.eq_ignore_ascii_case(b"chunked") => {
                    return Err(Refusal::unknown_coding());
                }
                _ if chunked => {
                    let message = "The request's Transfer-Encoding must have `chunked` once.";
                    return Err(Refusal::invalid("unsupported_transfer_encoding", message));
                }
                _ => chunked = true,
            }
        }
    }
    Ok(())
}

/// Whether the headers announce JSON, as it is. What a form or a plain page can send without asking is not taken.
fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.any(|encoding| encoding != "identity") {
        return Err(Refusal::body(
            "unsupported_content_encoding",
            "The request's body must not be compressed.",
        ));
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let Some(claimed) = types.next() else {
        return Ok(());
    };
    if types.next().is_some() {
        let message = "The request must have just one Content-Type header field.";
        return Err(Refusal::invalid("repeated_header", message));
    }
    let essence = claimed
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
    {
        return Ok(());
    }
    Err(Refusal::body(
        "unsupported_content_type",
        "The request must have the header `Content-Type: application/json`.",
    ))
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on, keeping nothing. Whether all of it was read makes no difference to the answer.
async fn discard(body: Body, time: Duration) {
    let mut body = Limited::new(body, DISCARD_BYTES);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(time, read).await;
}

#[cfg(test)]
mod tests;
