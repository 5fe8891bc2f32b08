//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::AppState;
use super::failure::{Refusal, json};
use super::record::Received;
use crate::flow::Asker;
use airlock_policy::Client;

pub(super) async fn list(
    State(app): State<AppState>,
    Extension(received): Extension<Received>,
    client: Option<Extension<Client>>,
) -> Result<Response, Refusal> {
    let asker = asker(received, client);
    let list = app.flow.models(&asker).await?;
    Ok(json(StatusCode::OK, list))
}

pub(super) async fn show(
    State(app): State<AppState>,
    Extension(received): Extension<Received>,
    client: Option<Extension<Client>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let asker = asker(received, client);
    let model = app.flow.model(&id, &asker).await?;
    Ok(json(StatusCode::OK, model))
}

fn asker(received: Received, client: Option<Extension<Client>>) -> Asker {
    Asker {
        key: received.shown,
        client: client.map(|Extension(client)| client).unwrap_or_default(),
        trail: received.trail,
    }
}

/// The model's name. No model has one that is no text, which is all that axum rejects here.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    match path {
        Ok(Path(id)) => Ok(id),
        Err(_) => Err(Refusal::no_model()),
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

    async fn echo(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
        id(path)
    }

    async fn reply_to(path: &str) -> Response {
        let router = Router::new().route("/v1/models/{*id}", get(echo));
        let request = Request::builder().uri(path).body(Body::empty());
        router.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_name_that_is_no_text_is_no_models_name() {
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
