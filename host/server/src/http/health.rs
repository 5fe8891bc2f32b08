//! `GET /healthz`: the process runs. `GET /readyz`: it can serve requests.

use axum::extract::State;
use axum::response::Response;

use super::failure::HttpError;
use super::{AppState, json};

/// Names the service, so that a client's key is not sent to another process on the port, and identifies the data folder, by
/// which `airlock doctor` recognises its gateway.
pub(super) async fn live(State(app): State<AppState>) -> Result<Response, HttpError> {
    let body = serde_json::json!({ "status": "ok", "service": "airlock", "data": app.data_id });
    Ok(json::ok(&body)?)
}

/// 200 if a request could be served now, else 503 with the error that it would receive.
pub(super) async fn ready(State(app): State<AppState>) -> Result<Response, HttpError> {
    let version = app.flow.ready()?;
    let codex = serde_json::json!({ "version": version });
    let body = serde_json::json!({
        "status": "ready",
        "rehearsal": app.rehearsal,
        "codex": codex,
        "model": app.flow.model_report(),
    });
    Ok(json::ok(&body)?)
}
