//! More connections than the limit, and fewer file descriptors than needed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use airlock_tests::{FakeCodex, Gate, Gateway, Script, soon};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A write that takes longer than this is blocked until the gateway reads.
const STALL: Duration = Duration::from_millis(500);

/// The beginning of a request's head.
const HALF: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n";

/// A connection that has sent this text.
async fn connect(address: SocketAddr, bytes: &[u8]) -> Result<TcpStream> {
    let mut socket = soon("a connection", TcpStream::connect(address)).await??;
    socket.write_all(bytes).await?;
    Ok(socket)
}

/// Completes the head, and reads the response. Empty: the gateway has closed the connection.
async fn answer(socket: &mut TcpStream) -> Result<String> {
    let mut read = Vec::new();
    let exchange = async {
        // The write fails on a closed connection.
        let _ = socket.write_all(b"\r\n").await;
        while !read.ends_with(b"}") && !read.ends_with(b"ok") {
            match socket.read_buf(&mut read).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    soon("an answer", exchange).await?;
    Ok(String::from_utf8(read)?)
}

/// Waits until the gateway has closed the connection.
async fn closed(socket: &mut TcpStream) -> Result<()> {
    let mut read = Vec::new();
    // A reset counts as closed too.
    let _ = soon("the end of a connection", socket.read_to_end(&mut read)).await?;
    ensure!(read.is_empty(), "{}", String::from_utf8_lossy(&read));
    Ok(())
}

#[tokio::test]
async fn at_the_bound_the_connection_that_is_idle_longest_makes_room() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nconnections = 8")
        .over_fake(&fake)
        .await?;
    let mut sockets = Vec::new();
    for number in 0..8 {
        let begun: &[u8] = if number % 2 == 0 { b"" } else { HALF };
        sockets.push(connect(gateway.address(), begun).await?);
    }
    // Two at once, and both are served.
    let (one, two) = (gateway.client(), gateway.client());
    let (one, two) = tokio::try_join!(one.ask("let me in"), two.ask("me too"))?;
    assert_eq!(
        (one.as_str(), two.as_str()),
        ("You said: let me in", "You said: me too")
    );
    closed(&mut sockets[0]).await?;
    closed(&mut sockets[1]).await?;
    // The last ones are still open.
    assert!(
        answer(&mut sockets[7])
            .await?
            .starts_with("HTTP/1.1 200 OK")
    );
    Ok(())
}

#[tokio::test]
async fn keep_alive_connections_go_first_and_busy_ones_never() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new().turn(|turn| turn.text("a").hold(&gate).text("b"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nconnections = 3")
        .over_fake(&fake)
        .await?;
    let mut slow = connect(gateway.address(), HALF).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "a");
    let mut half_open = connect(gateway.address(), HALF).await?;
    assert!(answer(&mut half_open).await?.starts_with("HTTP/1.1 200 OK"));

    let mut newcomer = connect(gateway.address(), HALF).await?;
    closed(&mut half_open).await?;
    assert!(answer(&mut newcomer).await?.starts_with("HTTP/1.1 200 OK"));
    assert!(answer(&mut slow).await?.starts_with("HTTP/1.1 200 OK"));
    gate.open();
    assert_eq!(stream.text().await?, "b");
    Ok(())
}

/// A connection whose client requests long responses, and reads none of them.
async fn unread(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(2048)?;
    let mut socket = soon("a connection", socket.connect(address)).await??;
    let head = format!(
        "GET /v1/models/{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "x".repeat(4096)
    );
    // Until the gateway stops reading requests, because its responses are not read. A busy gateway may pause once.
    let (mut sent, mut stalls) = (0, 0);
    while stalls < 3 {
        match timeout(STALL, socket.write(&head.as_bytes()[sent..])).await {
            Ok(written) => {
                sent = (sent + written?) % head.len();
                stalls = 0;
            }
            Err(_) => stalls += 1,
        }
    }
    Ok(socket)
}

#[tokio::test]
async fn answers_that_nobody_takes_keep_nobody_out() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nconnections = 2")
        .over_fake(&fake)
        .await?;
    let unread = [
        unread(gateway.address()).await?,
        unread(gateway.address()).await?,
    ];
    let began = Instant::now();
    let mut newcomer = connect(gateway.address(), HALF).await?;
    assert!(answer(&mut newcomer).await?.starts_with("HTTP/1.1 200 OK"));
    // Both connections were in use, so the new one waited until one of them had stalled for 10 s.
    ensure!(began.elapsed() > Duration::from_secs(4), "at once");
    drop(unread);
    Ok(())
}

#[tokio::test]
async fn with_few_descriptors_idle_connections_hinder_neither_requests_nor_children() -> Result<()>
{
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().descriptors(64, 64).over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("first").await?, "You said: first");
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(connect(gateway.address(), HALF).await?);
    }
    assert_eq!(gateway.client().ask("second").await?, "You said: second");
    let said = gateway.logged("the limit of file descriptors").await?;
    assert!(
        said.contains("connections=16") && said.contains("limit=64"),
        "{said}"
    );
    fake.expect_start().await?;
    fake.kill().await?;
    fake.expect_start().await?;
    assert_eq!(gateway.client().ask("third").await?, "You said: third");
    let log = gateway.log().await?;
    assert!(!log.contains("Too many open files"), "{log}");
    drop(idle);
    Ok(())
}

/// The soft and the hard limit of a process's file descriptors.
fn limits(pid: u32) -> Result<(u64, u64)> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let row = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = row.context("no such limit")?.split_whitespace();
    let mut next = || anyhow::Ok(numbers.next().context("no number")?.parse()?);
    Ok((next()?, next()?))
}

#[tokio::test]
async fn the_soft_limit_of_descriptors_is_raised_for_the_gateway_and_not_for_codex() -> Result<()> {
    for (soft, codex) in [(256, 1024), (2048, 2048)] {
        let fake = FakeCodex::start(Script::new())?;
        let gateway = Gateway::with()
            .descriptors(soft, 4096)
            .over_fake(&fake)
            .await?;
        assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
        assert_eq!(limits(gateway.pid())?, (4096, 4096));
        let child = fake.expect_start().await?;
        assert_eq!(limits(child.pid)?, (codex, 4096), "started with {soft}");
    }
    Ok(())
}
