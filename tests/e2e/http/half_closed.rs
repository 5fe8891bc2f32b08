//! Half-closed connections. A client that still reads gets its whole response; one that has closed the other half too has left,
//! and its turn is interrupted.

use std::time::Instant;

use airlock_tests::{FakeCodex, Gate, Gateway, Script};
use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{PROMPT, chat, parse, read_to_end, send};

#[tokio::test]
async fn a_client_that_only_reads_on_gets_its_answer() -> Result<()> {
    for stream in [false, true] {
        let gate = Gate::new();
        let fake = FakeCodex::start(
            Script::new().turn(|turn| turn.hold(&gate).text("whole").text(" answer")),
        )?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut socket = send(&gateway, &chat(&gateway, stream)).await?;
        socket.shutdown().await?;
        fake.expect("turn/start").await?;
        // A byte of the response before the turn's first output: the gateway has probed the client.
        let mut first = [0];
        airlock_tests::soon("the first byte", socket.read_exact(&mut first)).await??;
        gate.open();
        let mut rest = first.to_vec();
        airlock_tests::soon("the answer", socket.read_to_end(&mut rest)).await??;
        let reply = parse(&String::from_utf8(rest)?)?;
        assert_eq!(reply.status, 200, "{}", reply.body);
        if stream {
            assert!(reply.body.contains(r#""content":"whole"#), "{}", reply.body);
            assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
        } else {
            assert_eq!(
                reply.json()?["choices"][0]["message"]["content"],
                "whole answer"
            );
        }
        assert_eq!(fake.received("turn/interrupt").len(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_half_closes_during_the_response_gets_the_rest() -> Result<()> {
    let gate = Gate::new();
    let fake =
        FakeCodex::start(Script::new().turn(|turn| turn.text("one").hold(&gate).text(" two")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = send(&gateway, &chat(&gateway, true)).await?;
    let mut read = super::read_until(&mut socket, r#""content":"one""#).await?;
    socket.shutdown().await?;
    read.push_str(&super::read_until(&mut socket, ": ping\n\n").await?);
    gate.open();
    read.push_str(&super::read_rest(socket).await?);
    let reply = parse(&read)?;
    assert!(reply.body.contains(r#""content":" two""#), "{}", reply.body);
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn refusals_and_bodies_that_break_off_reach_a_half_closed_client() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\n",
        gateway.address()
    );
    for (request, code) in [
        (
            format!("{head}connection: close\r\ncontent-length: 1\r\n\r\n{{"),
            "invalid_json",
        ),
        (
            format!("{head}content-length: 200\r\n\r\n{{"),
            "invalid_body",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{"),
            "invalid_body",
        ),
    ] {
        let mut socket = send(&gateway, &request).await?;
        socket.shutdown().await?;
        let reply = read_to_end(socket).await?;
        assert_eq!(
            (reply.status, &reply.json()?["error"]["code"]),
            (400, &code.into()),
            "{request}"
        );
    }
    Ok(())
}

/// A client that leaves by closing its socket, with no unread data.
#[tokio::test]
async fn a_client_that_closed_has_left_within_100_ms() -> Result<()> {
    for (stream, half_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let fake = FakeCodex::start(Script::new().turn(move |turn| {
            if stream {
                turn.text("one").hang()
            } else {
                turn.hang()
            }
        }))?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut socket = send(&gateway, &chat(&gateway, stream)).await?;
        fake.expect("turn/start").await?;
        if stream {
            super::read_until(&mut socket, r#""content":"one""#).await?;
            // With unread data, the client's system would send a reset by itself.
            super::read_until(&mut socket, "\n\n\r\n").await?;
        }
        if half_first {
            socket.shutdown().await?;
            super::read_until(&mut socket, if stream { ": ping\n\n\r\n" } else { "H" }).await?;
        }
        let left = Instant::now();
        drop(socket);
        fake.expect("turn/interrupt").await?;
        let noticed = left.elapsed();
        assert!(
            noticed < PROMPT,
            "stream: {stream}, half closed before: {half_first}: {noticed:?}"
        );
        fake.expect_endings("interrupted", 1).await?;
    }
    Ok(())
}

/// Unread bytes behind a request do not hide that the client has left.
#[tokio::test]
async fn a_client_that_sent_more_than_its_request_has_left_all_the_same() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let request = chat(&gateway, false).replace("connection: close\r\n", "");
    let socket = send(&gateway, &format!("{request}GET /healthz HTTP/1.1\r\n")).await?;
    fake.expect("turn/start").await?;
    let left = Instant::now();
    drop(socket);
    fake.expect("turn/interrupt").await?;
    assert!(left.elapsed() < PROMPT, "{:?}", left.elapsed());
    Ok(())
}
