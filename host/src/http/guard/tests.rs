//! Tests of who may call from where.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;

use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD};
use axum::middleware::{Next, from_fn};
use axum::routing::post;
use axum::{Router, body::Body};
use tower::ServiceExt as _;

use super::*;

fn guard(listen: IpAddr) -> Guard {
    Guard::new(
        listen,
        &["Box.example".to_owned()],
        &[
            "https://App.example".to_owned(),
            "chrome-extension://abc".to_owned(),
        ],
    )
}

fn local() -> Guard {
    guard(Ipv4Addr::LOCALHOST.into())
}

fn admits(guard: &Guard, host: &str, origin: Option<&str>) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host.parse().unwrap());
    if let Some(origin) = origin {
        headers.insert(ORIGIN, origin.parse().unwrap());
    }
    guard
        .admit(&headers, &Uri::from_static("/v1/models"))
        .is_ok()
}

#[test]
fn names_of_this_machine_are_ours_and_others_are_not() {
    for host in [
        "localhost",
        "LOCALHOST:8787",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:8787",
        "a.localhost",
        "box.EXAMPLE:80",
    ] {
        assert!(admits(&local(), host, None), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "192.168.0.7",
        "0.0.0.0",
        "",
        "a@localhost",
        "127.0.0.1.evil.example",
    ] {
        assert!(!admits(&local(), host, None), "{host}");
    }
}

#[test]
fn on_an_address_of_the_network_the_address_itself_is_ours() {
    let lan = guard("192.168.0.7".parse().unwrap());
    assert!(admits(&lan, "192.168.0.7:8787", None));
    assert!(!admits(&lan, "192.168.0.8:8787", None));
    assert!(!admits(&lan, "evil.example", None));
    let everywhere = guard(Ipv4Addr::UNSPECIFIED.into());
    assert!(admits(&everywhere, "192.168.0.8:8787", None));
    assert!(!admits(&everywhere, "evil.example", None));
}

#[test]
fn a_request_names_exactly_one_host() {
    let mut headers = HeaderMap::new();
    assert!(local().admit(&headers, &Uri::from_static("/")).is_err());
    assert!(
        local()
            .admit(&headers, &Uri::from_static("http://localhost/"))
            .is_ok()
    );
    headers.append(HOST, HeaderValue::from_static("localhost"));
    assert!(
        local()
            .admit(&headers, &Uri::from_static("http://evil.example/"))
            .is_err()
    );
    headers.append(HOST, HeaderValue::from_static("evil.example"));
    assert!(local().admit(&headers, &Uri::from_static("/")).is_err());
}

#[test]
fn a_request_comes_from_at_most_one_page() {
    let mut headers = HeaderMap::new();
    headers.append(HOST, HeaderValue::from_static("localhost"));
    headers.append(ORIGIN, HeaderValue::from_static("http://localhost:3000"));
    let uri = Uri::from_static("/v1/models");
    assert!(local().admit(&headers, &uri).is_ok());
    for second in ["https://evil.example", "http://localhost:3000"] {
        let mut headers = headers.clone();
        headers.append(ORIGIN, HeaderValue::from_static(second));
        assert!(local().admit(&headers, &uri).is_err(), "{second}");
    }
}

#[test]
fn a_host_has_no_user() {
    let headers = HeaderMap::new();
    let uri = Uri::from_static("http://evil.example@localhost/v1/models");
    assert!(local().admit(&headers, &uri).is_err());
    assert!(!admits(&local(), "evil.example@box.example", None));
}

#[test]
fn pages_of_this_machine_and_of_allowed_origins_may_call() {
    for origin in [
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]:5173",
        "https://app.example",
        "chrome-extension://abc",
    ] {
        assert!(admits(&local(), "localhost:8787", Some(origin)), "{origin}");
    }
    for origin in [
        "null",
        "https://evil.example",
        "https://app.example:444",
        "http://app.example",
        "chrome-extension://abd",
        "file://localhost",
        "",
        "http://evil.example@localhost",
        "http://evil.example:80@localhost:8787",
        "http://localhost:3000/evil.example",
        "http://localhost:3000 http://evil.example",
    ] {
        assert!(
            !admits(&local(), "localhost:8787", Some(origin)),
            "{origin}"
        );
    }
    assert!(
        admits(&local(), "box.example:80", Some("http://box.example:80")),
        "the gateway's own"
    );
    assert!(!admits(
        &local(),
        "box.example:80",
        Some("http://box.example:81")
    ));
}

fn service() -> Router {
    Router::new()
        .route("/", post(async || "said"))
        .layer(from_fn(async |request: Request, next: Next| {
            local().pass(request, |request| next.run(request)).await
        }))
}

fn request(method: &str, origin: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri("/")
        .header(HOST, "localhost")
        .header(ORIGIN, origin)
}

#[tokio::test]
async fn a_browser_is_told_what_its_page_may_do() {
    let asks = request("OPTIONS", "http://localhost:3000")
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(
            "access-control-request-headers",
            "authorization,x-stainless-os",
        )
        .header("access-control-request-private-network", "true");
    let response = service()
        .oneshot(asks.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let headers = response.headers();
    assert_eq!(
        headers[ACCESS_CONTROL_ALLOW_ORIGIN],
        "http://localhost:3000"
    );
    assert_eq!(
        headers["access-control-allow-headers"],
        "authorization,x-stainless-os"
    );
    assert_eq!(headers["access-control-allow-private-network"], "true");
    assert!(
        headers["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );

    let calls = request("POST", "http://localhost:3000")
        .body(Body::empty())
        .unwrap();
    let response = service().oneshot(calls).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN],
        "http://localhost:3000"
    );
    assert!(
        response.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("x-request-id")
    );
    assert_eq!(response.headers()["vary"], "origin");
}

#[tokio::test]
async fn a_page_that_may_not_call_is_told_nothing() {
    for method in ["OPTIONS", "POST"] {
        let asks =
            request(method, "https://evil.example").header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let response = service()
            .oneshot(asks.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
