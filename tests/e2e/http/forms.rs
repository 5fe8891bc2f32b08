//! Requests that the parser or a rule of HTTP refuses: each gets the error envelope and an id.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::json;

use super::{Raw, read_to_end, send};

/// The gateway's response to these bytes, after which it closes the connection.
async fn answer(gateway: &Gateway, request: &str) -> Result<Raw> {
    read_to_end(send(gateway, request).await?).await
}

#[tokio::test]
async fn probes_of_http_1_0_need_no_host() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    for path in ["/healthz", "/readyz", "/v1/models"] {
        let reply = answer(&gateway, &format!("GET {path} HTTP/1.0\r\n\r\n")).await?;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    }
    // A page of another site sends its host in HTTP/1.0 too.
    for named in ["host: evil.example\r\n", "origin: https://evil.example\r\n"] {
        let reply = answer(&gateway, &format!("GET /healthz HTTP/1.0\r\n{named}\r\n")).await?;
        assert_eq!(reply.status, 403, "{named}: {}", reply.body);
    }
    let keyed = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-right")
        .over_fake(&fake)
        .await?;
    let reply = answer(&keyed, "GET /v1/models HTTP/1.0\r\n\r\n").await?;
    assert_eq!(reply.status, 401, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn what_the_parser_refuses_has_the_envelope_and_an_id() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let host = gateway.address();
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "x".repeat(70_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\n{}\r\n",
        "a: b\r\n".repeat(101)
    );
    let large = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\na: {}\r\n\r\n",
        "x".repeat(1_000_000)
    );
    let two = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
    );
    let gzip = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: gzip\r\n\r\nab"
    );
    for (request, status, code) in [
        ("nonsense\r\n\r\n", 400, "malformed_request"),
        (
            "GET /\u{1} HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
            400,
            "malformed_request",
        ),
        (
            "GET / HTTP/1.1\r\nb ad: x\r\n\r\n",
            400,
            "malformed_request",
        ),
        (two.as_str(), 400, "malformed_request"),
        (gzip.as_str(), 400, "malformed_request"),
        (long.as_str(), 414, "uri_too_long"),
        (many.as_str(), 431, "request_headers_too_large"),
        (large.as_str(), 431, "request_headers_too_large"),
    ] {
        let reply = answer(&gateway, request).await?;
        let shown: String = request.chars().take(60).collect();
        assert_eq!(reply.status, status, "{shown:?}: {}", reply.head);
        let error = &reply.json()?["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(code), &json!("invalid_request_error")),
            "{shown:?}"
        );
        assert!(
            error["message"].is_string() && error["param"].is_null(),
            "{error}"
        );
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
        assert_eq!(reply.header("connection"), "close");
        assert!(!reply.header("date").is_empty());
        let id = reply.header("x-request-id");
        assert!(id.starts_with("req_"), "{}", reply.head);
        gateway.logged(id).await?;
    }
    // A request after another on one connection.
    let first = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut socket = send(&gateway, &first).await?;
    let whole = super::read_response(&mut socket).await?;
    assert_eq!(whole.status, 200);
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"nonsense\r\n\r\n").await?;
    let refused = read_to_end(socket).await?;
    assert_eq!(
        (refused.status, &refused.json()?["error"]["code"]),
        (400, &json!("malformed_request"))
    );
    Ok(())
}

#[tokio::test]
async fn rules_that_the_parser_leaves_to_us_are_enforced() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-right")
        .over_fake(&fake)
        .await?;
    let host = format!("host: {}\r\n", gateway.address());
    let key = "authorization: Bearer sk-airlock-right\r\n";
    let json_type = "content-type: application/json\r\n";
    let body =
        json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let post = |fields: &str| {
        format!("POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n{fields}")
    };
    let sized = format!("content-length: {}\r\n\r\n{body}", body.len());
    let chunks = format!("\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let coded = |coding: &str| post(&format!("{host}{key}{json_type}{coding}{chunks}"));
    for (request, status, code) in [
        (
            post(&format!("{key}{json_type}{sized}")),
            400,
            "invalid_host",
        ),
        (
            post(&format!("{host}{host}{key}{json_type}{sized}")),
            400,
            "invalid_host",
        ),
        (
            post(&format!("host: a b\r\n{key}{json_type}{sized}")),
            400,
            "invalid_host",
        ),
        (
            post(&format!("host: me@localhost\r\n{key}{json_type}{sized}")),
            400,
            "invalid_host",
        ),
        (
            post(&format!("host: evil.example\r\n{key}{json_type}{sized}")),
            403,
            "host_not_allowed",
        ),
        (
            coded("transfer-encoding: gzip, chunked\r\n"),
            501,
            "unsupported_transfer_encoding",
        ),
        (
            coded("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n"),
            501,
            "unsupported_transfer_encoding",
        ),
        (
            coded("transfer-encoding: chunked, chunked\r\n"),
            400,
            "unsupported_transfer_encoding",
        ),
        (
            post(&format!("{host}{key}{key}{json_type}{sized}")),
            400,
            "repeated_header",
        ),
        (
            post(&format!(
                "{host}{key}authorization: Bearer sk-airlock-wrong\r\n{json_type}{sized}"
            )),
            400,
            "repeated_header",
        ),
        (
            post(&format!(
                "{host}{key}{json_type}content-type: text/plain\r\n{sized}"
            )),
            400,
            "repeated_header",
        ),
        (
            post(&format!(
                "{host}{key}{json_type}content-encoding: identity\r\ncontent-encoding: gzip\r\n{sized}"
            )),
            400,
            "unsupported_content_encoding",
        ),
    ] {
        let reply = answer(&gateway, &request).await?;
        assert_eq!(reply.status, status, "{request}\n{}", reply.body);
        assert_eq!(reply.json()?["error"]["code"], json!(code), "{request}");
        assert!(
            reply.header("x-request-id").starts_with("req_"),
            "{}",
            reply.head
        );
    }
    assert_eq!(fake.received("turn/start").len(), 0);
    for request in [
        coded("Transfer-Encoding: Chunked\r\n"),
        post(&format!("{host}{key}{json_type}{sized}")),
    ] {
        let reply = answer(&gateway, &request).await?;
        assert_eq!(reply.status, 200, "{request}\n{}", reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_another_route_reads_what_there_is() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (path, way_out) in [
        ("/responses", "base URL"),
        ("/v1/files", "this gateway has"),
    ] {
        let reply = gateway.client().post(path, "{}").await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (404, &json!("unknown_url"))
        );
        let message = reply.error("message").as_str().unwrap_or_default();
        for part in [
            "POST /v1/chat/completions",
            "POST /v1/responses",
            "POST /v1/messages",
            "GET /v1/models",
            way_out,
        ] {
            assert!(message.contains(part), "{path}: {part}: {message}");
        }
    }
    let reply = gateway.client().post("/chat/completions", "{}").await?;
    let message = reply.error("message").as_str().unwrap_or_default();
    assert!(
        message.contains("base URL") && message.contains("/v1"),
        "{message}"
    );
    let reply = gateway.client().post("/v1/embeddings", "{}").await?;
    let message = reply.error("message").as_str().unwrap_or_default();
    assert!(
        message.contains("POST /v1/chat/completions") && !message.contains("base URL"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_stays_open_for_the_configured_time() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let settings = "[limits]\nkeep_alive_timeout = \"1s\"";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let request = format!(
        "GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n",
        gateway.address()
    );
    let mut socket = send(&gateway, &request).await?;
    assert_eq!(super::read_response(&mut socket).await?.status, 200);
    let idle = std::time::Instant::now();
    assert_eq!(super::read_rest(socket).await?, "");
    let millis = idle.elapsed().as_millis();
    assert!((900..3_000).contains(&millis), "{millis} ms");
    let config = gateway.command(&["config"]).await?;
    assert!(
        config.out.contains("keep_alive_timeout = \"1s\""),
        "{}",
        config.out
    );
    Ok(())
}

#[tokio::test]
async fn streams_say_their_charset() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let stream = gateway.client().stream(json!({})).await?;
    assert_eq!(
        stream.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let fan_out = gateway
        .client()
        .stream(json!({"parallel_calls": 2}))
        .await?;
    assert_eq!(
        fan_out.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let login = gateway
        .client()
        .request(reqwest::Method::POST, "/api/codex/login");
    let login = airlock_tests::soon("a sign-in", login.send()).await??;
    assert_eq!(
        login.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    Ok(())
}
