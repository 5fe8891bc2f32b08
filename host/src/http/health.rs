//! `GET /healthz`: the process lives. `GET /readyz`: it can answer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::Front;
use super::failure::{self, Refusal};

/// It says what answers, so that nobody's key goes to something else that has taken the port, and which data folder it runs
/// with, so that `airlock doctor` knows it again.
pub(super) async fn live(State(front): State<Front>) -> Response {
    let body = json!({ "status": "ok", "service": "airlock", "data": front.data });
    failure::json(StatusCode::OK, body.to_string())
}

/// 503 says, in the same words as a request would hear them, what stands in the way.
pub(super) async fn ready(State(front): State<Front>) -> Result<Response, Refusal> {
    let version = front.flow.ready()?;
    let codex = json!({ "version": version });
    let body = json!({
        "status": "ready",
        "rehearsal": front.rehearsal,
        "codex": codex,
        "model": front.flow.model_report(),
    });
    Ok(failure::json(StatusCode::OK, body.to_string()))
}
