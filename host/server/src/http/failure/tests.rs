//! Tests of statuses, types and logs of failures.

#![allow(clippy::unwrap_used, reason = "tests")]

use axum::body::to_bytes;
use serde_json::{Value, json};

use super::*;

async fn answer(error: HttpError) -> (u16, Option<String>, Value) {
    let response = error.into_response();
    let status = response.status().as_u16();
    let retry = response
        .headers()
        .get(RETRY_AFTER)
        .map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, retry, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn every_kind_has_its_status_and_type() {
    let table = [
        (ProblemKind::InvalidRequest, 400, "invalid_request_error"),
        (ProblemKind::Unsupported, 400, "invalid_request_error"),
        (ProblemKind::NotFound, 404, "invalid_request_error"),
        (ProblemKind::Authentication, 401, "authentication_error"),
        (ProblemKind::RateLimited, 429, "rate_limit_error"),
        (ProblemKind::Overloaded, 503, "server_error"),
        (ProblemKind::Upstream, 502, "server_error"),
        (ProblemKind::Timeout, 504, "server_error"),
        (ProblemKind::Internal, 500, "server_error"),
    ];
    for (kind, expected, r#type) in table {
        let (status, _, body) =
            answer(Failure::new(kind, "a_code", "It says \"why\".").into()).await;
        assert_eq!(status, expected, "{kind:?}");
        let error =
            json!({"message": "It says \"why\".", "type": r#type, "param": null, "code": "a_code"});
        assert_eq!(body, json!({ "error": error }), "{kind:?}");
    }
}

#[tokio::test]
async fn a_failure_has_its_param_and_retry_after_and_no_cause() {
    let failure = Failure::new(
        ProblemKind::RateLimited,
        "insufficient_quota",
        "No more today.",
    )
    .at("model")
    .retry_after(7)
    .because("secret: /home/user/.codex");
    let (status, retry, body) = answer(failure.into()).await;
    assert_eq!((status, retry.as_deref()), (429, Some("7")));
    assert_eq!(body["error"]["param"], "model");
    assert!(!body.to_string().contains("secret"), "{body}");
}

#[tokio::test]
async fn rules_of_http_have_their_own_status() {
    let post = Method::POST;
    for (error, expected, code) in [
        (
            HttpError::no_route(&post, "/v1/chat", "POST /v1/other"),
            404,
            "unknown_url",
        ),
        (
            HttpError::no_method(&post, "/v1/models"),
            405,
            "method_not_allowed",
        ),
        (
            HttpError::forbidden("host_not_allowed", String::new()),
            403,
            "host_not_allowed",
        ),
        (HttpError::wrong_key(""), 401, "invalid_api_key"),
        (HttpError::body("invalid_body", ""), 400, "invalid_body"),
        (HttpError::too_large(10), 413, "request_too_large"),
        (HttpError::too_slow("slow"), 408, "request_timeout"),
    ] {
        let (status, _, body) = answer(error).await;
        assert_eq!(
            (status, body["error"]["code"].as_str()),
            (expected, Some(code))
        );
    }
    let (_, _, body) = answer(HttpError::no_route(&post, "/v1/chat", "POST /v1/other")).await;
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("POST /v1/chat"),
        "{body}"
    );
}

#[test]
fn a_cause_is_logged_with_its_own_causes() {
    let inner = Failure::new(ProblemKind::Upstream, "x", "outer").because("inner");
    let failure = Failure::new(ProblemKind::Internal, "y", "top").because(inner);
    assert_eq!(chain(&failure).as_deref(), Some("outer: inner"));
    assert_eq!(
        chain(&Failure::new(ProblemKind::Internal, "y", "top")),
        None
    );
}
