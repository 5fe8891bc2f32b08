//! `/admin/tapes`: what is recorded, and for how long.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::{AdminState, answer, read};
use crate::http::failure::Refusal;
use airlock_policy::Recorder;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// Requests and seconds that may be recorded at once.
const REQUESTS: u32 = 1000;
const SECONDS: u64 = 3600;

/// How much is to be recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    requests: u32,
    seconds: u64,
}

pub(super) async fn list(State(state): State<AdminState>) -> Result<Response, Refusal> {
    report(state.app.flow.recorder()).await
}

pub(super) async fn begin(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let Wanted { requests, seconds } = read(request, &state.app).await?;
    if !(1..=REQUESTS).contains(&requests) {
        let message = format!("requests must be from 1 to {REQUESTS}");
        return Err(Refusal::body("invalid_value", &message));
    }
    if !(1..=SECONDS).contains(&seconds) {
        let message = format!("seconds must be from 1 to {SECONDS}");
        return Err(Refusal::body("invalid_value", &message));
    }
    let recorder = state.app.flow.recorder();
    let begun = recorder.begin(requests, Duration::from_secs(seconds));
    begun.map_err(|error| {
        let message = format!("tapes cannot be written: {error}; nothing is recorded");
        Refusal::unsaved(&error, message)
    })?;
    tracing::info!(requests, seconds, "recording tapes");
    report(recorder).await
}

pub(super) async fn stop(State(state): State<AdminState>) -> Result<Response, Refusal> {
    let recorder = state.app.flow.recorder();
    if recorder.stop() {
        return report(recorder).await;
    }
    let message = "Nothing is being recorded.";
    Err(Failure::new(ProblemKind::NotFound, "no_recording", message).into())
}

/// What there is, read where it holds up nobody.
async fn report(recorder: &Recorder) -> Result<Response, Refusal> {
    let recorder = recorder.clone();
    let read = tokio::task::spawn_blocking(move || recorder.report()).await;
    match read.map_err(std::io::Error::other).flatten() {
        Ok(report) => answer(&report),
        Err(error) => Err(failed(&error)),
    }
}

/// Operators may know why.
fn failed(error: &std::io::Error) -> Refusal {
    let message = format!("The folder of tapes cannot be used: {error}");
    Failure::new(ProblemKind::Internal, "tapes_unusable", message).into()
}
