//! Reads request bodies: JSON text, within limits of size, time and memory.

mod budget; // the memory of all bodies

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::{Instant, sleep_until, timeout};

use self::budget::{BodyReservation, MemoryBudget, MemoryShortage};
use super::failure::HttpError;
use crate::config::ServerLimits;
use airlock_base::memory::{BodyMemory, MemoryShare};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// How long a body may take to arrive: at 1 MB/s, enough for the largest by default.
const ARRIVAL: Duration = Duration::from_secs(60);

/// The lowest rate at which a body may arrive: bytes in each window.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOW_BYTES: usize = 10 << 10;

/// How much of a refused body is read and discarded, in bytes, and how long that may take. A client that still writes when
/// the connection is closed would see a broken connection in place of the response.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD: Duration = Duration::from_secs(10);

/// How long a body is discarded when the gateway stops.
const ABORTED_DISCARD: Duration = Duration::from_secs(1);

/// The most bytes that are allocated by `Content-Length` alone.
const MAX_PREALLOCATED: usize = 1 << 20;

/// Reads bodies within a memory budget for all of them and a size limit for each. Clones share the budget.
#[derive(Clone)]
pub(super) struct BodyReader {
    budget: MemoryBudget,
    limit: usize,
    tasks: Tasks,
}

/// Why a body was not read.
enum BodyError {
    /// The body is larger than the limit.
    TooLarge,
    /// The client closed the connection.
    Broken,
    /// The body arrived too slowly.
    Slow,
    /// Others needed its memory, and it arrived the most slowly.
    Evicted,
    /// No memory came free for it.
    Busy,
    /// The gateway stops.
    Aborted,
}

impl BodyReader {
    pub(super) fn new(limits: &ServerLimits, tasks: &Tasks) -> Self {
        Self::within(
            BodyMemory::configured(limits.body_memory_bytes, limits.body_bytes),
            limits.body_bytes,
            tasks,
        )
    }

    fn within(memory: BodyMemory, limit: usize, tasks: &Tasks) -> Self {
        Self {
            budget: MemoryBudget::new(memory),
            limit,
            tasks: tasks.clone(),
        }
    }

    /// The most bytes of a body.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Reserves memory for a request of this many bytes, which has arrived otherwise.
    ///
    /// # Errors
    /// No memory is free for it.
    pub(super) async fn hold(&self, bytes: usize) -> Result<MemoryShare, HttpError> {
        let mut reservation = self.budget.reserve(bytes);
        let grown = reservation.grow(bytes).await;
        grown.map_err(|MemoryShortage| BodyError::Busy.into_http(self.limit))?;
        Ok(reservation.into_share())
    }

    /// Reads the body of a JSON request as text. Its memory is reserved until the returned share is dropped.
    ///
    /// # Errors
    /// The body is not JSON by its headers, is not UTF-8, is too large or too slow, or no memory is free for it.
    pub(super) async fn read_json_text(
        &self,
        request: Request,
    ) -> Result<(String, MemoryShare), HttpError> {
        let limit = self.limit;
        let (parts, mut body) = request.into_parts();
        is_json(&parts.headers)?;
        let announced = length(&parts.headers).unwrap_or_default();
        if announced > limit {
            // A client that sent `Expect: 100-continue` has not sent the body yet.
            if !parts.headers.contains_key(EXPECT) {
                discard(body, DISCARD).await;
            }
            return Err(HttpError::too_large(limit));
        }
        let mut reservation = self.budget.reserve(announced);
        let collected = tokio::select! {
            biased;
            collected = collect(&mut body, announced, limit, &mut reservation) => collected,
            () = self.tasks.requests_aborted() => Err(BodyError::Aborted),
        };
        let error = match collected {
            Ok(bytes) => {
                let memory = reservation.into_share();
                let text = String::from_utf8(bytes).map_err(|_| {
                    HttpError::body("invalid_body", "The request's body is not UTF-8.")
                })?;
                return Ok((text, memory));
            }
            Err(error) => error,
        };
        // Other bodies can use the memory while the rest is discarded.
        drop(reservation);
        match error {
            BodyError::TooLarge | BodyError::Busy => discard(body, DISCARD).await,
            BodyError::Aborted => discard(body, ABORTED_DISCARD).await,
            BodyError::Broken | BodyError::Slow | BodyError::Evicted => {}
        }
        Err(error.into_http(limit))
    }
}

/// Reads a body to its end.
async fn collect(
    body: &mut Body,
    announced: usize,
    limit: usize,
    reservation: &mut BodyReservation,
) -> Result<Vec<u8>, BodyError> {
    let deadline = Instant::now() + ARRIVAL;
    let mut window = (Instant::now() + WINDOW, 0);
    let mut bytes = Vec::new();
    bytes.reserve_exact(announced.min(MAX_PREALLOCATED));
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = sleep_until(window.0.min(deadline)) => {
                if window.1 < WINDOW_BYTES || Instant::now() >= deadline {
                    return Err(BodyError::Slow);
                }
                window = (Instant::now() + WINDOW, 0);
                continue;
            }
            () = reservation.evicted() => return Err(BodyError::Evicted),
        };
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if bytes.len() + piece.len() > limit {
            return Err(BodyError::TooLarge);
        }
        let taken = reservation.grow(piece.len()).await;
        taken.map_err(|MemoryShortage| BodyError::Busy)?;
        window.1 += piece.len();
        append(&mut bytes, &piece, announced);
    }
}

fn append(bytes: &mut Vec<u8>, piece: &Bytes, announced: usize) {
    // Beyond the preallocated bytes, all announced bytes are allocated at once: growing in steps would copy the body repeatedly.
    if bytes.len() + piece.len() > bytes.capacity() {
        let _ = bytes.try_reserve_exact(announced.saturating_sub(bytes.len()));
    }
    bytes.extend_from_slice(piece);
}

impl BodyError {
    fn into_http(self, limit: usize) -> HttpError {
        match self {
            Self::TooLarge => HttpError::too_large(limit),
            Self::Broken => HttpError::body("invalid_body", "The request's body broke off."),
            Self::Slow => HttpError::too_slow("The request's body did not arrive in time."),
            Self::Evicted => HttpError::too_slow(
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

/// Refuses transfer codings besides one `chunked`. The parser checks only the last (hyper 1.12).
pub(super) fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut chunked = false;
    for codings in headers.get_all(TRANSFER_ENCODING) {
        for coding in codings.as_bytes().split(|byte| *byte == b',') {
            match coding.trim_ascii() {
                [] => {}
                coding if !coding.eq_ignore_ascii_case(b"chunked") => {
                    return Err(HttpError::unknown_coding());
                }
                _ if chunked => {
                    let message = "The request's Transfer-Encoding must have `chunked` once.";
                    return Err(HttpError::invalid("unsupported_transfer_encoding", message));
                }
                _ => chunked = true,
            }
        }
    }
    Ok(())
}

/// Checks that the headers announce uncompressed JSON. Media types that a web page can send without a preflight are refused.
fn is_json(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.any(|encoding| encoding != "identity") {
        return Err(HttpError::body(
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
        return Err(HttpError::invalid("repeated_header", message));
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
    Err(HttpError::body(
        "unsupported_content_type",
        "The request must have the header `Content-Type: application/json`.",
    ))
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads and discards the rest of a body. It need not be read to its end.
async fn discard(body: Body, time: Duration) {
    let mut body = Limited::new(body, DISCARD_BYTES);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(time, read).await;
}

#[cfg(test)]
mod tests;
