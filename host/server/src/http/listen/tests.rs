//! Tests of the listener: draining, stopping, and clients that leave.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;

use axum::body::Bytes;
use axum::extract::Extension;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::http::sse::pieces;

const LONG: Duration = Duration::from_secs(20);

/// A server whose one response begins at once and ends with the text that is sent to it.
async fn server(tasks: &Tasks) -> (HttpServer, oneshot::Sender<&'static str>) {
    let (end, ended) = oneshot::channel::<&'static str>();
    let ended = Arc::new(tokio::sync::Mutex::new(Some(ended)));
    let reply = async move |Extension(exchange): Extension<HttpExchange>| {
        let ended = ended.lock().await.take();
        pieces(exchange, async move |slot| {
            slot.put(Bytes::from_static(b"first,")).await;
            if let Ok(last) = ended.unwrap().await {
                slot.put(Bytes::from_static(last.as_bytes())).await;
            }
        })
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let router = Router::new().route("/", get(reply));
    (serve(listener, router, LONG, 16, tasks).unwrap(), end)
}

/// Sends a request, and reads until the response has begun.
async fn begin(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("first,") {
        assert_ne!(
            timeout(LONG, socket.read_buf(&mut read))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
    socket
}

async fn rest(mut socket: TcpStream) -> String {
    let mut rest = String::new();
    let _ = timeout(LONG, socket.read_to_string(&mut rest))
        .await
        .unwrap();
    rest
}

#[tokio::test]
async fn a_drain_ends_running_responses_and_accepts_no_connection() {
    let tasks = Tasks::default();
    let (server, end) = server(&tasks).await;
    let socket = begin(server.address()).await;
    let idle = TcpStream::connect(server.address()).await.unwrap();
    assert!(
        !server.drain(Duration::from_millis(1)).await,
        "the response still runs"
    );
    assert!(TcpStream::connect(server.address()).await.is_err());
    end.send("last").unwrap();
    assert!(server.drain(LONG).await);
    assert!(rest(socket).await.contains("last"));
    assert_eq!(rest(idle).await, "");
    timeout(LONG, tasks.stop()).await.unwrap();
}

#[tokio::test]
async fn stopping_cuts_what_has_not_ended() {
    let tasks = Tasks::default();
    let (server, mut end) = server(&tasks).await;
    let socket = begin(server.address()).await;
    timeout(LONG, tasks.stop()).await.unwrap();
    assert!(!rest(socket).await.contains("last"));
    timeout(LONG, end.closed()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_drops_its_response() {
    let tasks = Tasks::default();
    let (server, mut end) = server(&tasks).await;
    drop(begin(server.address()).await);
    timeout(LONG, end.closed()).await.unwrap();
    assert!(server.drain(LONG).await);
    timeout(LONG, tasks.stop()).await.unwrap();
}
