//! Fetching tokens.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// Fetches from a server that responds once; returns the result and the request.
async fn fetched(answer: &str) -> (Result<Bytes, TokenError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tokens", listener.local_addr().unwrap());
    let method = FetchMethod::Url(url, Some(Secret::new("url-key")));
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request_body = Vec::new();
        // Its body ends with the only brace that closes.
        while !request_body.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut request_body).await.unwrap(), 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request_body).unwrap()
    };
    let both = async { tokio::join!(method.fetch(Some("acc-1")), serving) };
    timeout(Duration::from_secs(20), both).await.unwrap()
}

#[tokio::test]
async fn a_url_is_fetched_with_its_key() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let (tokens, request_body) = fetched(answer).await;
    assert_eq!(tokens.unwrap(), "{}");
    let request_body = request_body.to_lowercase();
    assert!(
        request_body.starts_with("post /tokens http/1.1"),
        "{request_body}"
    );
    assert!(
        request_body.contains("authorization: bearer url-key"),
        "{request_body}"
    );
    let body = r#"{"previousaccountid":"acc-1","reason":"unauthorized"}"#;
    assert!(request_body.ends_with(body), "{request_body}");
}

#[tokio::test]
async fn a_redirect_or_an_error_of_the_url_is_a_failure() {
    for head in [
        "302 Found\r\nlocation: http://127.0.0.1:1/",
        "500 Internal Server Error",
    ] {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
        let (tokens, _) = fetched(&answer).await;
        assert!(matches!(tokens, Err(TokenError::Failed)), "{head}");
    }
}

#[tokio::test]
async fn dropping_a_fetch_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tokens", listener.local_addr().unwrap());
    let method = FetchMethod::Url(url, None);
    let mut fetching = Box::pin(method.fetch(None));
    let received = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 16]).await.unwrap(), 0);
        stream
    };
    let mut stream = tokio::select! {
        _ = &mut fetching => unreachable!("nothing was answered"),
        stream = received => stream,
    };
    drop(fetching);
    let mut rest = Vec::new();
    let closed = stream.read_to_end(&mut rest);
    timeout(Duration::from_secs(20), closed)
        .await
        .unwrap()
        .unwrap();
}
