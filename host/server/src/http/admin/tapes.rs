//! `/admin/tapes`: starts, stops and reports the recording of tapes.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::{AdminState, read};
use crate::http::failure::HttpError;
use crate::http::json;
use airlock_policy::Recorder;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The most requests and seconds of one recording.
const MAX_REQUESTS: u32 = 1000;
const MAX_SECONDS: u64 = 3600;

/// The body of a request to start a recording.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TapesRequest {
    requests: u32,
    seconds: u64,
}

pub(super) async fn list(State(state): State<AdminState>) -> Result<Response, HttpError> {
    report(state.app.flow.recorder()).await
}

pub(super) async fn begin(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, HttpError> {
    let TapesRequest { requests, seconds } = read(request, &state.app).await?;
    if !(1..=MAX_REQUESTS).contains(&requests) {
        let message = format!("requests must be from 1 to {MAX_REQUESTS}");
        return Err(HttpError::body("invalid_value", &message));
    }
    if !(1..=MAX_SECONDS).contains(&seconds) {
        let message = format!("seconds must be from 1 to {MAX_SECONDS}");
        return Err(HttpError::body("invalid_value", &message));
    }
    let recorder = state.app.flow.recorder();
    let begun = recorder.begin(requests, Duration::from_secs(seconds));
    begun.map_err(|error| {
        let message = format!("tapes cannot be written: {error}; nothing is recorded");
        HttpError::unsaved(&error, message)
    })?;
    tracing::info!(requests, seconds, "recording tapes");
    report(recorder).await
}

pub(super) async fn stop(State(state): State<AdminState>) -> Result<Response, HttpError> {
    let recorder = state.app.flow.recorder();
    if recorder.stop() {
        return report(recorder).await;
    }
    let message = "Nothing is being recorded.";
    Err(Failure::new(ProblemKind::NotFound, "no_recording", message).into())
}

/// The state of the recorder. Reads the folder of tapes on a blocking thread.
async fn report(recorder: &Recorder) -> Result<Response, HttpError> {
    let recorder = recorder.clone();
    let read = tokio::task::spawn_blocking(move || recorder.report()).await;
    match read.map_err(std::io::Error::other).flatten() {
        Ok(report) => Ok(json::ok(&report)?),
        Err(error) => Err(failed(&error)),
    }
}

/// Operators receive the cause.
fn failed(error: &std::io::Error) -> HttpError {
    let message = format!("The folder of tapes cannot be used: {error}");
    Failure::new(ProblemKind::Internal, "tapes_unusable", message).into()
}
