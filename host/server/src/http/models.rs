//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::failure::HttpError;
use super::middleware::RequestInfo;
use super::{AppState, json};
use crate::flow::Caller;
use airlock_policy::Client;

pub(super) async fn list(
    State(app): State<AppState>,
    Extension(info): Extension<RequestInfo>,
    client: Option<Extension<Client>>,
) -> Result<Response, HttpError> {
    let dialect = info.dialect.name();
    let caller = caller(info, client);
    let list = app.flow.models(dialect, &caller).await?;
    Ok(json::response(StatusCode::OK, list))
}

pub(super) async fn show(
    State(app): State<AppState>,
    Extension(info): Extension<RequestInfo>,
    client: Option<Extension<Client>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    let id = id(path)?;
    let dialect = info.dialect.name();
    let caller = caller(info, client);
    let model = app.flow.model(dialect, &id, &caller).await?;
    Ok(json::response(StatusCode::OK, model))
}

fn caller(info: RequestInfo, client: Option<Extension<Client>>) -> Caller {
    Caller {
        canary_key: info.shown_id,
        client: client.map(|Extension(client)| client).unwrap_or_default(),
        metrics: info.metrics,
    }
}

/// The model's name. axum rejects only names that are not UTF-8, which no model has.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, HttpError> {
    match path {
        Ok(Path(id)) => Ok(id),
        Err(_) => Err(HttpError::no_model()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    async fn echo(path: Result<Path<String>, PathRejection>) -> Result<String, HttpError> {
        id(path)
    }

    async fn reply_to(path: &str) -> Response {
        let router = Router::new().route("/v1/models/{*id}", get(echo));
        let request = Request::builder().uri(path).body(Body::empty());
        router.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_name_that_is_not_utf_8_is_not_found() {
        let response = reply_to("/v1/models/gpt%ff").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["error"]["code"], &body["error"]["param"]),
            (&json!("model_not_found"), &json!("model"))
        );
        assert_eq!(
            reply_to("/v1/models/a/b%20c").await.status(),
            StatusCode::OK
        );
    }
}
