//! Tests of the middleware.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::Ipv4Addr;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// Requests a route that answers with its request id.
async fn served(rehearsal: bool, id: Option<&str>) -> Response {
    served_at("/", rehearsal, id).await
}

async fn panics() {
    panic!("a handler that fails");
}

async fn served_at(path: &str, rehearsal: bool, id: Option<&str>) -> Response {
    let state = MiddlewareState {
        rehearsal,
        metrics: Metrics::default(),
        guard: Arc::new(OriginGuard::new(Ipv4Addr::LOCALHOST.into(), &[], &[])),
        tasks: Tasks::default(),
    };
    let router = Router::new()
        .route(
            "/",
            get(async |Extension(info): Extension<RequestInfo>| info.id),
        )
        .route("/panic", get(panics))
        .layer(from_fn_with_state(state, handle));
    let mut request = Request::get(path)
        .header(HOST, "localhost")
        .header(ORIGIN, "http://localhost:3000");
    if let Some(id) = id {
        request = request.header(request_id::HEADER, id);
    }
    router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn every_response_has_an_id_and_its_duration() {
    let response = served(false, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    let id = to_bytes(response.into_body(), 1024).await.unwrap();
    assert_eq!(headers[request_id::HEADER].as_bytes(), id);
    assert!(id.starts_with(b"req_") && id.len() == 36, "{id:?}");
    headers[PROCESSING_MS]
        .to_str()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(!headers.contains_key(REHEARSAL));
    let other = served(true, None).await;
    assert_ne!(other.headers()[request_id::HEADER].as_bytes(), id);
    assert_eq!(other.headers()[REHEARSAL], "true");
}

#[tokio::test]
async fn a_panic_becomes_a_500_with_an_id() {
    let response = served_at("/panic", false, Some("mine")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()[request_id::HEADER], "mine");
    // Without it, the page could not read the response.
    let origin = &response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN];
    assert_eq!(origin, "http://localhost:3000");
    let body = to_bytes(response.into_body(), 1024).await.unwrap();
    let received: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(received["error"]["code"], "internal_error");
}

#[tokio::test]
async fn a_clients_id_is_repeated_if_it_is_safe_and_never_becomes_ours() {
    let response = served(false, Some("My-id_7")).await;
    assert_eq!(response.headers()[request_id::HEADER], "My-id_7");
    let ours = to_bytes(response.into_body(), 1024).await.unwrap();
    assert!(ours.starts_with(b"req_"), "{ours:?}");
    let long = "x".repeat(129);
    for insane in ["", "a b", "a;b", "<x>", &long] {
        let response = served(false, Some(insane)).await;
        assert!(
            response.headers()[request_id::HEADER]
                .to_str()
                .unwrap()
                .starts_with("req_"),
            "{insane}"
        );
    }
}

#[tokio::test]
async fn a_body_sent_to_its_end_is_whole_and_a_dropped_one_is_not() {
    let log_entry = || AccessLogEntry {
        metrics: Metrics::default().request("/"),
        span: Span::none(),
        exchange: HttpExchange::default(),
        is_probe: true,
        started: Instant::now(),
        status: None,
        whole: false,
    };
    let pieces = || futures_util::stream::iter(["a", "b"].map(Ok::<_, std::convert::Infallible>));
    let mut whole = RecordedBody {
        body: Body::from_stream(pieces()),
        log_entry: log_entry(),
    };
    let mut left = RecordedBody {
        body: Body::from_stream(pieces()),
        log_entry: log_entry(),
    };
    while whole.frame().await.is_some() {}
    left.frame().await.unwrap().unwrap();
    assert!(whole.log_entry.whole && !left.log_entry.whole);
    let mut sized = RecordedBody {
        body: Body::from("a"),
        log_entry: log_entry(),
    };
    sized.frame().await.unwrap().unwrap();
    assert!(sized.log_entry.whole);
}
