//! Tests of the allowed hosts and origins.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;

use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::post;
use axum::{Router, body::Body};
use tower::ServiceExt as _;

use super::*;
use crate::http::dialect::API_ROUTES;

fn guard(listen: IpAddr) -> OriginGuard {
    OriginGuard::new(
        listen,
        &["Box.example".to_owned()],
        &[
            "https://App.example".to_owned(),
            "chrome-extension://abc".to_owned(),
        ],
    )
}

fn local() -> OriginGuard {
    guard(Ipv4Addr::LOCALHOST.into())
}

fn admits(guard: &OriginGuard, host: &str, origin: Option<&str>) -> bool {
    let mut fields = vec![(HOST, host)];
    fields.extend(origin.map(|origin| (ORIGIN, origin)));
    admit(guard, Version::HTTP_11, "/v1/models", &fields).is_ok()
}

/// The status of the error.
fn admit(
    guard: &OriginGuard,
    version: Version,
    uri: &str,
    fields: &[(HeaderName, &str)],
) -> Result<Option<HeaderValue>, u16> {
    let mut request = Request::builder().version(version).uri(uri);
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    let admitted = guard.admit(&request.body(()).unwrap());
    admitted.map_err(|refusal| refusal.into_response().status().as_u16())
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
fn a_request_names_exactly_one_host_and_http_1_0_perhaps_none() {
    let admitted = |version, uri: &str, hosts: &[&str]| {
        let fields: Vec<_> = hosts.iter().map(|&host| (HOST, host)).collect();
        admit(&local(), version, uri, &fields).map(|_| ())
    };
    let (old, new) = (Version::HTTP_10, Version::HTTP_11);
    for (version, uri, hosts, expected) in [
        (new, "/", &["localhost"][..], Ok(())),
        (new, "/", &[], Err(400)),
        (new, "/", &[""], Err(400)),
        (new, "/", &["a b"], Err(400)),
        (new, "/", &["localhost", "localhost"], Err(400)),
        (new, "/", &["localhost", "evil.example"], Err(400)),
        (new, "/", &["evil.example"], Err(403)),
        (new, "http://localhost/", &[], Err(400)),
        (new, "http://localhost/", &["localhost"], Ok(())),
        (new, "http://evil.example/", &["localhost"], Err(400)),
        (new, "http://evil.example/", &["evil.example"], Err(403)),
        (old, "/", &[], Ok(())),
        (old, "/", &["localhost"], Ok(())),
        (old, "/", &["evil.example"], Err(403)),
        (old, "/", &["localhost", "localhost"], Err(400)),
        (old, "http://localhost/", &[], Ok(())),
        (old, "http://evil.example/", &[], Err(403)),
    ] {
        assert_eq!(
            admitted(version, uri, hosts),
            expected,
            "{version:?} {uri} {hosts:?}"
        );
    }
    // A page sends its origin and a host.
    let page = [(ORIGIN, "http://localhost:3000")];
    assert_eq!(admit(&local(), old, "/", &page), Err(403));
}

#[test]
fn a_request_comes_from_at_most_one_page() {
    let page = (ORIGIN, "http://localhost:3000");
    let admitted = |fields: &[(HeaderName, &str)]| {
        admit(&local(), Version::HTTP_11, "/v1/models", fields).is_ok()
    };
    assert!(admitted(&[(HOST, "localhost"), page.clone()]));
    for second in ["https://evil.example", "http://localhost:3000"] {
        let fields = [(HOST, "localhost"), page.clone(), (ORIGIN, second)];
        assert!(!admitted(&fields), "{second}");
    }
}

#[test]
fn a_host_has_no_user() {
    for version in [Version::HTTP_10, Version::HTTP_11] {
        let uri = "http://evil.example@localhost/v1/models";
        assert!(admit(&local(), version, uri, &[]).is_err());
    }
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
        .layer(from_fn(async |request: Request<Body>, next: Next| {
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
async fn a_browser_receives_the_cors_headers_of_an_allowed_page() {
    let preflight = request("OPTIONS", "http://localhost:3000")
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(
            "access-control-request-headers",
            "authorization,x-stainless-os",
        )
        .header("access-control-request-private-network", "true");
    let response = service()
        .oneshot(preflight.body(Body::empty()).unwrap())
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
    let allowed = headers["access-control-allow-methods"].to_str().unwrap();
    for route in API_ROUTES {
        let (method, _) = route.name.split_once(' ').unwrap();
        assert!(allowed.contains(method), "{}: {allowed}", route.name);
    }

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
async fn a_page_that_is_not_allowed_receives_no_cors_headers() {
    for method in ["OPTIONS", "POST"] {
        let preflight =
            request(method, "https://evil.example").header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let response = service()
            .oneshot(preflight.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
