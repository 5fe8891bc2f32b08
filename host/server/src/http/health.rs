//! `GET /healthz`: the process lives. `GET /readyz`: it can answer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::AppState;
use super::failure::{self, Refusal};

/// It says what answers, so that nobody's key goes to something else that has taken the port, and which data folder it runs
/// with, so that `airlock doctor` knows it again.
pub(super) async fn live(State(app): State<AppState>) -> Response {
    let body = json!({ "status": "ok", "service": "airlock", "data": app.data });
    failure::json(StatusCode::OK, body.to_string())
}

/// 503 says, in the same words as a request would hear them, what stands in the way.
pub(super) async fn ready(State(app): State<AppState>) -> Result<Response, Refusal> {
    let version = app.flow.ready()?;
    let codex = json!({ "version": version });
    let body = json!({
        "status": "ready",
        "rehearsal": app.rehearsal,
        "codex": codex,
        "model": app.flow.model_report(),
    });
    Ok(failure::json(StatusCode::OK, body.to_string()))
}
