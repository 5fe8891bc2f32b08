//! Large, slow and many bodies: they leave room for others, and their memory is bounded.

use std::time::{Duration, Instant};

use airlock_tests::{FakeCodex, Gateway, Script, process, soon};
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

/// The timeout of a small request that does not wait for others, with a margin for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The Responses API repeats a request's instructions in its events.
#[tokio::test]
async fn a_response_repeats_a_large_request_without_a_fault() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[sandbox]\nevent_bytes = \"1MiB\"")
        .over_fake(&fake)
        .await?;
    let body = json!({"model": "default", "input": "Hi", "stream": true, "instructions": "x".repeat(2 * MIB)});
    let response = gateway
        .client()
        .request(reqwest::Method::POST, "/v1/responses")
        .json(&body)
        .send()
        .await?;
    let events = soon("the end of the stream", response.text()).await??;
    let mut names = events
        .lines()
        .filter_map(|line| line.strip_prefix("event: "));
    let shown: String = events.chars().take(500).collect();
    assert_eq!(names.next_back(), Some("response.completed"), "{shown}");
    Ok(())
}

/// A request that announces this many bytes and has sent these.
async fn begin(gateway: &Gateway, announced: usize, body: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(gateway.address()).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {announced}\r\n\r\n",
        gateway.address()
    );
    socket.write_all(head.as_bytes()).await?;
    // The connection is cut if the gateway has no memory for the body.
    let _ = socket.write_all(body).await;
    Ok(socket)
}

/// The status of the response, once the gateway has closed the connection.
async fn status(mut socket: TcpStream) -> Result<u16> {
    let mut answer = Vec::new();
    // Unread data may reset the connection after the response.
    let _ = soon("the end of a connection", socket.read_to_end(&mut answer)).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    Ok(status
        .with_context(|| format!("no answer: {answer:?}"))?
        .parse()?)
}

#[tokio::test]
async fn bodies_that_stop_keep_nobody_out() -> Result<()> {
    let script = Script::new().when("lorem", |turn| turn.text("ipsum"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = \"1MiB\"\nbody_memory_bytes = \"6MiB\"")
        .over_fake(&fake)
        .await?;
    let most = vec![b' '; MIB - (16 << 10)];
    let large = try_join_all((0..3).map(|_| begin(&gateway, MIB, &most))).await?;
    let little = vec![b' '; 10 << 10];
    let small = try_join_all((0..10).map(|_| begin(&gateway, 20 << 10, &little))).await?;

    // Memory suffices for one large body. The others are refused because they wait behind another (503), or because they held
    // memory that another needed (408), depending on their arrival.
    let mut large: FuturesUnordered<_> = large.into_iter().map(status).collect();
    for _ in 0..2 {
        let refused = soon("a refusal", large.next())
            .await?
            .context("no body")??;
        ensure!([408, 503].contains(&refused), "{refused}");
    }

    let began = Instant::now();
    assert_eq!(gateway.client().ask("small").await?, "You said: small");
    let content = "lorem ".repeat(150 << 10);
    assert_eq!(gateway.client().ask(&content).await?, "ipsum");
    ensure!(began.elapsed() < AT_ONCE, "after {:?}", began.elapsed());

    // All of them are slower than the lowest allowed rate, so they end soon.
    let last = large.next().await.context("no body")??;
    let small: Vec<u16> = join_all(small.into_iter().map(status))
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    assert_eq!(last, 408);
    ensure!(small.iter().all(|status| *status == 408), "{small:?}");
    Ok(())
}

#[tokio::test]
async fn bodies_at_once_take_no_more_memory_than_is_set() -> Result<()> {
    const BODIES: usize = 12;
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = \"4MiB\"\nbody_memory_bytes = \"24MiB\"")
        .over_fake(&fake)
        .await?;
    assert_eq!(gateway.client().ask("warm up").await?, "You said: warm up");
    let before = process::resident(gateway.pid())?;
    process::forget_peak(gateway.pid())?;
    let content = "lorem ipsum ".repeat(3 * MIB / 12);
    let ask = |_| {
        gateway
            .client()
            .chat(json!({"messages": [{"role": "user", "content": content}]}))
    };
    let replies = try_join_all((0..BODIES).map(ask)).await?;
    let answered = replies.iter().filter(|reply| reply.status == 200).count();
    ensure!(answered > 0, "none was answered");
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(
            (
                reply.status.as_u16(),
                reply.error("code"),
                reply.header("retry-after")
            ),
            (503, &json!("gateway_busy"), "1"),
            "{}",
            reply.body
        );
    }
    // Lines from Codex that repeat the bodies are not part of their memory.
    let grown = process::peak(gateway.pid())?.saturating_sub(before) >> 20;
    ensure!(
        grown < 24 + 24,
        "{grown} MiB more, with {answered} answered"
    );
    Ok(())
}
