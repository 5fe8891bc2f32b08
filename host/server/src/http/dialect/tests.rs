//! Tests of the errors of each dialect.

#![allow(clippy::unwrap_used, reason = "tests")]

use axum::body::to_bytes;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::*;
use crate::http::failure::HttpError;
use airlock_types::failure::Failure;

fn dialect(path: &str) -> Dialect {
    Dialect::of(path, &HeaderMap::new())
}

async fn messages(failure: Failure) -> (u16, HeaderMap, Value) {
    let response = HttpError::from(failure).into_response();
    let response = Dialect::Messages.finish(response, "req_7");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 16).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    (parts.status.as_u16(), parts.headers, body)
}

#[test]
fn a_path_has_its_dialect() {
    assert_eq!(dialect("/v1/messages"), Dialect::Messages);
    assert_eq!(dialect("/v1/messages/count_tokens"), Dialect::Messages);
    assert_eq!(dialect("/v1/responses/resp_1/cancel"), Dialect::Responses);
    assert_eq!(dialect("/v1/conversations"), Dialect::Responses);
    for other in ["/v1/messagesx", "/v1/chat/completions", "/v1/models", "/"] {
        assert_eq!(dialect(other), Dialect::ChatCompletions, "{other}");
    }
    let headers = [(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"))];
    let headers = headers.into_iter().collect();
    assert_eq!(Dialect::of("/v1/models", &headers), Dialect::Messages);
    assert_eq!(Dialect::of("/v1/models/a/b", &headers), Dialect::Messages);
    // A base URL with /v1 once too often.
    assert_eq!(Dialect::of("/v1/v1/messages", &headers), Dialect::Messages);
    let chat = Dialect::of("/v1/chat/completions", &headers);
    assert_eq!(chat, Dialect::ChatCompletions);
}

#[test]
fn a_route_has_the_dialect_of_its_path() {
    for route in API_ROUTES {
        assert_eq!(
            route.dialect,
            dialect(route.method_and_path().1),
            "{}",
            route.name
        );
    }
}

#[tokio::test]
async fn messages_have_anthropics_envelope() {
    let failure = Failure::new(ProblemKind::InvalidRequest, "invalid", "expected a string");
    let (status, headers, body) = messages(failure.at("messages[0].content")).await;
    assert_eq!(
        (status, headers["request-id"].as_bytes()),
        (400, &b"req_7"[..])
    );
    let error = json!({"type": "invalid_request_error", "message": "messages[0].content: expected a string"});
    assert_eq!(
        body,
        json!({"type": "error", "error": error, "request_id": "req_7"})
    );
    let code = "thread_unsupported_request";
    let (_, _, body) = messages(Failure::new(ProblemKind::Unsupported, code, "No.")).await;
    assert_eq!(body["error"]["details"], json!({"error_code": code}));
    let busy = Failure::new(ProblemKind::Overloaded, "gateway_busy", "Busy.").retry_after(3);
    let (status, headers, body) = messages(busy).await;
    assert_eq!(
        (status, headers["retry-after"].as_bytes()),
        (529, &b"3"[..])
    );
    assert_eq!(body["error"]["type"], "overloaded_error");
    for (kind, status, error) in [
        (ProblemKind::Authentication, 401, "authentication_error"),
        (ProblemKind::NotFound, 404, "not_found_error"),
        (ProblemKind::RateLimited, 429, "rate_limit_error"),
        (ProblemKind::Upstream, 502, "api_error"),
        (ProblemKind::Timeout, 504, "timeout_error"),
    ] {
        let (found, _, body) = messages(Failure::new(kind, "code", "It failed.")).await;
        assert_eq!(
            (found, &body["error"]["type"]),
            (status, &json!(error)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_error_of_messages_keeps_its_other_headers() {
    let mut response = HttpError::forbidden("origin_not_allowed", "No.".to_owned()).into_response();
    let origin = HeaderValue::from_static("http://localhost:3000");
    let headers = response.headers_mut();
    headers.insert("access-control-allow-origin", origin.clone());
    let response = Dialect::Messages.finish(response, "req_7");
    assert_eq!(response.headers()["access-control-allow-origin"], origin);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["type"], "permission_error");
}

#[test]
fn each_dialect_ends_a_broken_stream_in_its_way() {
    let problem = Failure::new(ProblemKind::Internal, "policy_failed", "It failed.").problem;
    let parsed = |dialect: Dialect| -> Vec<(Option<&str>, Value)> {
        let events = dialect.stream_error(&problem, 7).into_iter();
        let parse = |data: &str| serde_json::from_str(data).unwrap_or_else(|_| json!(data));
        events.map(|(name, data)| (name, parse(&data))).collect()
    };
    let error = json!({"type": "server_error", "code": "policy_failed", "message": "It failed.", "param": null});
    let done = || (None, json!("[DONE]"));
    let chat = (None, json!({"error": error}));
    assert_eq!(parsed(Dialect::ChatCompletions), [chat, done()]);
    let responses = json!({"type": "error", "sequence_number": 7, "code": "policy_failed", "message": "It failed.",
        "param": null, "error": error});
    assert_eq!(
        parsed(Dialect::Responses),
        [(Some("error"), responses), done()]
    );
    let messages =
        json!({"type": "error", "error": {"type": "api_error", "message": "It failed."}});
    assert_eq!(parsed(Dialect::Messages), [(Some("error"), messages)]);
}
