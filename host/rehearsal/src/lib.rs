//! The rehearsal: a small scripted model with the Responses API, so that the real Codex runs without an account, network access
//! or cost.

mod answer; // its answers
mod request; // the requests of Codex
mod scenario; // failures that a request can trigger
mod schema; // instances of JSON Schemas
mod stream; // answers as server-sent events

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use self::request::ModelRequest;
use self::scenario::Scenario;
use airlock_base::task::Tasks;

/// The most bytes of a request. Codex sends whole conversations with their images.
const REQUEST_BYTES: usize = 256 << 20;

/// A running rehearsal. It runs until the tasks are stopped.
pub struct Rehearsal {
    /// The `base_url` of a model provider for Codex: `http://127.0.0.1:PORT/SECRET/v1`.
    pub base_url: String,
}

/// Starts the scripted model on a loopback port of its own.
///
/// # Errors
/// No port is available.
pub async fn start(tasks: &Tasks) -> io::Result<Rehearsal> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // Unguessable, so that no other program on this machine uses the model.
    let secret = format!("{:032x}", rand::random::<u128>());
    let router = Router::new()
        .route(&format!("/{secret}/v1/responses"), post(respond))
        .with_state(Requests::default());
    let address = listener.local_addr()?;
    let stopping = tasks.clone();
    tasks.spawn("rehearsal", async move {
        let stop = async move { stopping.stopping().await };
        let served = axum::serve(listener, router).with_graceful_shutdown(stop);
        if let Err(error) = served.await {
            tracing::error!(%error, "the scripted model has stopped");
        }
    });
    Ok(Rehearsal {
        base_url: format!("http://{address}/{secret}/v1"),
    })
}

/// The number of earlier requests. It selects the variant of an answer, so that the candidates of a fan-out differ.
type Requests = Arc<AtomicUsize>;

async fn respond(State(requests): State<Requests>, request: Request) -> Response {
    let body = to_bytes(request.into_body(), REQUEST_BYTES)
        .await
        .unwrap_or_default();
    let Some(request) = ModelRequest::read(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            "not a request of the Responses API",
        )
            .into_response();
    };
    let scenario = request.scenario();
    if let Scenario::TooManyRequests(code) = scenario {
        return too_many_requests(code);
    }
    // When Codex retries after a broken stream, the text must be the same.
    let earlier = if scenario.cuts() {
        0
    } else {
        requests.fetch_add(1, Ordering::Relaxed)
    };
    let answer = answer::to(&request, earlier);
    let events = stream::events(&request, &answer, scenario);
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    response
}

/// OpenAI's 429 response. It has no `Retry-After`, after which Codex (0.169.0) would retry.
fn too_many_requests(code: &str) -> Response {
    let message = "this is a rehearsal of a 429";
    let error = json!({"error": {"message": message, "type": code, "param": null, "code": code}});
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::TOO_MANY_REQUESTS, headers, error.to_string()).into_response()
}

#[cfg(test)]
mod tests;
