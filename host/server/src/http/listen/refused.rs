//! Responses to requests that hyper's parser refuses, with an error envelope and a request id.
//!
//! hyper 1.12 answers a malformed head with a status and no body, before any service is called.

use crate::http::failure::{envelope, log};
use crate::http::json::MEDIA_TYPE;
use crate::http::request_id;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The response that replaces hyper's own, a head without a body.
pub(super) fn response(bare: &[u8]) -> Vec<u8> {
    let bare = String::from_utf8_lossy(bare);
    let status = bare.split(' ').nth(1).unwrap_or_default();
    let failure = failure(status);
    let id = request_id::new();
    tracing::info_span!("request", id, status).in_scope(|| log(&failure));
    let body = envelope(&failure.problem);
    let mut response = String::with_capacity(bare.len() + body.len() + 256);
    let replaced = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("connection")
    };
    for line in bare.trim_end().split("\r\n").filter(replaced) {
        response.push_str(line);
        response.push_str("\r\n");
    }
    let length = body.len();
    response.push_str(&format!(
        "connection: close\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\nx-request-id: {id}\r\n\r\n{body}"
    ));
    response.into_bytes()
}

fn failure(status: &str) -> Failure {
    let (code, message) = match status {
        "414" => (
            "uri_too_long",
            "The request's URL is longer than 65,534 bytes.",
        ),
        "431" => (
            "request_headers_too_large",
            "The request has more than 100 header fields, or a head of more than 408 KiB.",
        ),
        _ => (
            "malformed_request",
            "The request is not valid HTTP/1.1 (RFC 9112). This gateway speaks HTTP/1, without TLS.",
        ),
    };
    Failure::new(ProblemKind::InvalidRequest, code, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_bare_head_gets_an_envelope() {
        let bare = b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\ndate: Sun, 29 Nov 2026 20:00:00 GMT\r\n\r\n";
        let text = String::from_utf8(response(bare)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (before, id) = head.rsplit_once("x-request-id: ").unwrap();
        assert!(id.starts_with("req_"), "{id}");
        let expected = r#"{"error":{"message":"The request's URL is longer than 65,534 bytes.","type":"invalid_request_error","param":null,"code":"uri_too_long"}}"#;
        assert_eq!(body, expected);
        assert_eq!(
            before,
            format!(
                "HTTP/1.1 414 URI Too Long\r\ndate: Sun, 29 Nov 2026 20:00:00 GMT\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n",
                expected.len()
            )
        );
    }
}
