//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Front;
use super::failure::{Refusal, json};

pub(super) async fn list(State(front): State<Front>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, front.flow.models().await?))
}

pub(super) async fn show(
    State(front): State<Front>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, front.flow.model(&id).await?))
}
