//! What a request holds: text that claims to be JSON, within the limit of size, in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::failure::Refusal;
use crate::failure::Failure;
use crate::task::Tasks;
use crate::wit::ProblemKind;

/// How long a body may take to arrive. Enough for the largest at 1 MB/s.
const ARRIVAL: Duration = Duration::from_secs(60);

/// How much of a body that is too large is read and thrown away, in bytes, and how long that may take. A client that
/// is still writing when we close sees a broken connection in place of our answer.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD: Duration = Duration::from_secs(10);

/// The same when the gateway stops.
const ABORTED_DISCARD: Duration = Duration::from_secs(1);

/// Bytes that are set aside because a client announces them.
const BELIEVED: usize = 1 << 20;

/// Bytes of all requests that are being read or worked on. Beyond them, requests are sent away.
const BYTES: usize = 512 << 20;

/// What bodies are read into: so much for all of them, and so much for each. Clones share it.
#[derive(Clone)]
pub(super) struct Bodies {
    free: Arc<Semaphore>,
    limit: usize,
    tasks: Tasks,
}

/// A body, and the memory that it takes up until it is dropped.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Bodies of at most `limit` bytes each.
    pub(super) fn new(limit: usize, tasks: &Tasks) -> Self {
        Self {
            free: Arc::new(Semaphore::new(BYTES.max(limit))),
            limit,
            tasks: tasks.clone(),
        }
    }

    /// Takes a piece of a body. What is held counts as it arrives: a client that announces much and sends little
    /// takes nothing from others.
    fn take(
        &self,
        piece: &Bytes,
        memory: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<(), Failure> {
        let bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        match Arc::clone(&self.free).try_acquire_many_owned(bytes) {
            Ok(more) => match memory {
                Some(memory) => memory.merge(more),
                None => *memory = Some(more),
            },
            Err(_) => {
                let message = "The gateway is reading as much as it can. Try again in a moment.";
                let failure = Failure::new(ProblemKind::Overloaded, "gateway_busy", message);
                return Err(failure.retry_after(1));
            }
        }
        Ok(())
    }
}

/// Reads the text of a JSON request.
pub(super) async fn text(request: Request, bodies: &Bodies) -> Result<Text, Refusal> {
    let limit = bodies.limit;
    let (parts, mut body) = request.into_parts();
    is_json(&parts.headers)?;
    if length(&parts.headers).is_some_and(|length| length > limit) {
        // Who asks first has written nothing yet.
        if !parts.headers.contains_key(EXPECT) {
            discard(body, DISCARD).await;
        }
        return Err(Refusal::too_large(limit));
    }
    let mut memory = None;
    let mut bytes = Vec::new();
    let announced = length(&parts.headers).unwrap_or_default();
    bytes.reserve_exact(announced.min(BELIEVED));
    let arriving = async {
        while let Some(frame) = body.frame().await {
            let broken = |_| Refusal::body("invalid_body", "The request's body broke off.");
            let Ok(piece) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            if bytes.len() + piece.len() > limit {
                return Ok(false);
            }
            bodies.take(&piece, &mut memory)?;
            // Who has sent so much is believed: to grow step by step copies all that has come again and again.
            if bytes.len() + piece.len() > bytes.capacity() {
                let _ = bytes.try_reserve_exact(announced.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, Refusal>(true)
    };
    let arrived = tokio::select! {
        biased;
        arrived = timeout(ARRIVAL, arriving) => arrived,
        () = bodies.tasks.requests_aborted() => {
            drop((bytes, memory));
            discard(body, ABORTED_DISCARD).await;
            return Err(Failure::stopping().into());
        }
    };
    match arrived {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            drop(bytes);
            discard(body, DISCARD).await;
            return Err(Refusal::too_large(limit));
        }
        Ok(Err(refusal)) => {
            drop((bytes, memory));
            discard(body, DISCARD).await;
            return Err(refusal);
        }
        Err(_) => return Err(Refusal::too_slow()),
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Refusal::body("invalid_body", "The request's body is not UTF-8."))?;
    Ok(Text { text, memory })
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    const LIMIT: usize = 16;

    async fn read(headers: &[(&str, &str)], body: impl Into<Body>) -> Result<String, u16> {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = text(
            request.body(body.into()).unwrap(),
            &Bodies::new(LIMIT, &Tasks::default()),
        )
        .await;
        text.map(|body| body.text)
            .map_err(|refusal| refusal.into_response().status().as_u16())
    }

    #[tokio::test]
    async fn json_is_read_whatever_its_parameters() {
        for claimed in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
            "application/vnd.x+json",
        ] {
            assert_eq!(
                read(&[("content-type", claimed)], "{}").await,
                Ok("{}".to_owned()),
                "{claimed}"
            );
        }
        assert_eq!(read(&[], "{}").await, Ok("{}".to_owned()));
    }

    #[tokio::test]
    async fn what_a_form_sends_is_refused() {
        for claimed in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=json",
            "json",
            "",
        ] {
            assert_eq!(
                read(&[("content-type", claimed)], "{}").await,
                Err(400),
                "{claimed}"
            );
        }
        assert_eq!(read(&[("content-encoding", "gzip")], "{}").await, Err(400));
        assert_eq!(read(&[], vec![b'"', 0xff, b'"']).await, Err(400));
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_limit() {
        let bodies = Bodies {
            free: Arc::new(Semaphore::new(10)),
            limit: LIMIT,
            tasks: Tasks::default(),
        };
        let ask = |length: usize| {
            let request = Request::post("/").body(Body::from("x".repeat(length)));
            text(request.unwrap(), &bodies)
        };
        let held = ask(8).await.map_err(|_| "refused").unwrap();
        let refused = ask(8).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.into_response().status().as_u16(), 503);
        assert!(ask(2).await.is_ok());
        drop(held);
        assert!(ask(8).await.is_ok());
    }

    #[tokio::test]
    async fn size_has_a_limit_announced_or_not() {
        let fits = "x".repeat(LIMIT);
        assert_eq!(read(&[], fits.clone()).await, Ok(fits));
        let large = "x".repeat(LIMIT + 1);
        assert_eq!(read(&[], large.clone()).await, Err(413));
        assert_eq!(
            read(&[("content-length", "17")], large.clone()).await,
            Err(413)
        );
        assert_eq!(
            read(
                &[("content-length", "17"), ("expect", "100-continue")],
                large
            )
            .await,
            Err(413)
        );
    }
}
