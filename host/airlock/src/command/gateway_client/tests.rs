//! Requests to a gateway.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn config() -> Config {
    let mut config = Config::defaults(Environment::from_iter([("HOME", "/h"), ("USER", "me")]));
    config.server.admin_key = Some(Secret::new("key"));
    config
}

#[test]
fn a_gateway_that_listens_everywhere_is_reached_on_loopback() {
    for (listen, expected) in [
        ("0.0.0.0:8787", "127.0.0.1:8787"),
        ("[::]:1", "[::1]:1"),
        ("192.0.2.1:80", "192.0.2.1:80"),
    ] {
        let reached = reachable(listen.parse().unwrap());
        assert_eq!(reached.to_string(), expected);
    }
}

#[test]
fn missing_configuration_is_named() {
    let client = GatewayClient::for_admin(&config()).map_err(|error| error.to_string());
    assert_eq!(client.ok().unwrap().user.as_deref(), Some("me"));
    let mut keyless = config();
    keyless.server.admin_key = None;
    let error = GatewayClient::for_admin(&keyless)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("AIRLOCK_ADMIN_KEY"), "{error}");
    let mut any = config();
    any.server.listen.set_port(0);
    let error = GatewayClient::for_admin(&any).err().unwrap().to_string();
    assert!(error.contains("--listen"), "{error}");
}

#[tokio::test]
async fn another_program_on_the_port_is_named_and_receives_no_key() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config();
    config.server.listen = listener.local_addr().unwrap();
    let client = GatewayClient::new(&config).ok().unwrap();
    let other = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 4096];
        let length = stream.read(&mut received).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&received[..length]).to_lowercase()
    };
    let (answer, received) = tokio::join!(client.is_listening(), other);
    let error = answer.unwrap_err().to_string();
    assert!(
        error.contains(&config.server.listen.port().to_string()),
        "{error}"
    );
    assert!(!received.contains("authorization"), "{received}");
    drop(listener);
    assert!(!client.is_listening().await.unwrap());
}

#[test]
fn a_refusal_has_the_gateways_message() {
    let client = GatewayClient::for_admin(&config()).ok().unwrap();
    let message = |code: &str| {
        let answer =
            serde_json::json!({"error": {"message": "\u{1b}N\u{9b}o.\u{7}", "code": code}});
        client
            .refusal(StatusCode::NOT_FOUND, Some(&answer))
            .to_string()
    };
    assert_eq!(message("policy_not_found"), "\\u001bN\\u009bo.\\u0007");
    assert!(message("invalid_api_key").contains("another key"));
    assert!(message("unknown_url").contains("admin_key"));
    let other = client.refusal(StatusCode::BAD_GATEWAY, None).to_string();
    assert!(other.contains("502"), "{other}");
}
