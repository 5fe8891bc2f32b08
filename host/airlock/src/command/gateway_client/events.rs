//! A response of server-sent events, read as they arrive. Dropping it closes the connection, which cancels the request.

use std::io;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use sse_stream::SseStream;

/// The events of one response.
pub(in crate::command) struct EventStream(SseStream<UnsyncBoxBody<Bytes, io::Error>>);

impl EventStream {
    /// Reads a body of at most so many bytes.
    pub(super) fn new(body: Incoming, limit: usize) -> Self {
        let body = Limited::new(body, limit).map_err(io::Error::other);
        Self(SseStream::new(body.boxed_unsync()))
    }

    /// The next event. `None` at the end of the response.
    ///
    /// # Errors
    /// The response breaks off, or the event is not a `T`.
    pub(in crate::command) async fn next<T: DeserializeOwned>(
        &mut self,
    ) -> anyhow::Result<Option<T>> {
        while let Some(event) = self.0.next().await {
            let event = event.context("the gateway's answer broke off")?;
            // Comments keep the connection open, and have no data.
            if let Some(data) = event.data {
                let event = serde_json::from_str(&data);
                return Ok(Some(event.context("an event that is not known")?));
            }
        }
        Ok(None)
    }
}
