//! Slow clients, large requests and many of them: what is bounded, and whom a limit affects.

mod bodies; // large, slow and many bodies
mod connections; // more connections than the limit

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, process, soon};
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = 2048")
        .over_fake(&fake)
        .await?;
    let reply = gateway
        .client()
        .chat(json!({"messages": [{"role": "user", "content": "a".repeat(4096)}]}))
        .await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("type")),
        (413, &json!("invalid_request_error")),
        "{}",
        reply.body
    );
    assert_eq!(gateway.client().ask("short").await?, "You said: short");
    Ok(())
}

#[tokio::test]
async fn a_message_of_8_mib_in_one_line_arrives_whole() -> Result<()> {
    let text: String = "0123456789abcdé\n".chars().cycle().take(8 << 20).collect();
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.whole(text.clone(), None)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let whole = gateway.client().ask("all of it").await?;
    assert!(whole == text, "{} of {} bytes", whole.len(), text.len());
    let streamed = gateway.client().stream(json!({})).await?.text().await?;
    assert!(
        streamed == text,
        "{} of {} bytes",
        streamed.len(),
        text.len()
    );
    Ok(())
}

#[tokio::test]
async fn a_line_beyond_the_limit_costs_no_more_than_its_turn() -> Result<()> {
    let huge = "x".repeat(3 << 20);
    let script = Script::new().turn(|turn| turn.text("a").whole(huge, None));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = \"512KiB\"\nline_bytes = \"1MiB\"")
        .over_fake(&fake)
        .await?;
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    assert!(
        frames.iter().any(|frame| frame.error().is_some()),
        "a cut answer must not look whole: {frames:?}"
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn twenty_thousand_deltas_arrive_in_order() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.burst(20_000, 7).text("|")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let text = gateway.client().stream(json!({})).await?.text().await?;
    assert_eq!(text.len(), 20_000 * 7 + 1);
    assert!(
        text.strip_suffix('|')
            .is_some_and(|rest| rest.as_bytes().chunks(7).all(|piece| piece == b"abcdefg"))
    );
    Ok(())
}

/// A client that reads neither headers nor frames, while 200 MB are sent to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_costs_bounded_memory_and_slows_nobody() -> Result<()> {
    let script = Script::new()
        .when("never read", |turn| turn.burst(200_000, 1000))
        .when("hang on", |turn| turn.hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("warm up").await?, "You said: warm up");
    let before = process::resident(gateway.pid())?;

    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut silent = socket.connect(gateway.address()).await?;
    let body = json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "never read"}]}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        gateway.address(),
        body.len()
    );
    silent.write_all(format!("{head}{body}").as_bytes()).await?;
    fake.expect_count("turn/start", 2).await?;

    for number in 0..5 {
        let question = format!("are you there? {number}");
        assert_eq!(
            gateway.client().ask(&question).await?,
            format!("You said: {question}")
        );
    }
    // Only that turn ends.
    fake.expect("turn/interrupt").await?;
    fake.expect_endings("interrupted", 1).await?;
    let peak = process::peak(gateway.pid())?;
    assert!(
        peak < before + 64 * MIB,
        "{} MiB before, {} MiB at most",
        before / MIB,
        peak / MIB
    );

    // If the client reads after all, it receives the error.
    let mut rest = Vec::new();
    soon(
        "the end of what it was sent",
        silent_end(&mut silent, &mut rest),
    )
    .await??;
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        rest.contains("client_too_slow"),
        "{}",
        &rest[rest.len().saturating_sub(500)..]
    );
    Ok(())
}

/// Reads until `[DONE]`.
async fn silent_end(stream: &mut tokio::net::TcpStream, rest: &mut Vec<u8>) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    while !rest
        .windows(6)
        .rev()
        .take(1 << 12)
        .any(|window| window == b"[DONE]")
    {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        rest.extend_from_slice(&buffer[..length]);
    }
    Ok(())
}

#[tokio::test]
async fn requests_beyond_the_turns_wait_and_beyond_the_queue_are_refused() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("a").hold(&gate)))?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 1\nqueue = 1")
        .over_fake(&fake)
        .await?;
    let mut first = gateway.client().stream(json!({})).await?;
    assert_eq!(first.next_text().await?, "a");
    // Of two more, one waits and one is refused, whichever comes first.
    let (one, two) = (
        gateway.client().chat(json!({})),
        gateway.client().chat(json!({})),
    );
    tokio::pin!(one, two);
    let refused = tokio::select! { reply = &mut one => reply?, reply = &mut two => reply? };
    assert_eq!(
        (refused.status.as_u16(), refused.error("type")),
        (503, &json!("server_error")),
        "{}",
        refused.body
    );
    assert!(
        !refused.header("retry-after").is_empty(),
        "{:?}",
        refused.headers
    );
    assert_eq!(fake.received("turn/start").len(), 1);
    gate.open();
    first.text().await?;
    fake.expect_count("turn/start", 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_does_not_wait_for_a_turn_for_ever() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("a").hang()))?;
    let settings = "[limits]\nturns = 1\nqueue = 4\nqueue_wait = \"50ms\"";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let mut first = gateway.client().stream(json!({})).await?;
    first.next_text().await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_turn_that_takes_too_long_is_ended() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new()
            .turn(|turn| turn.hang())
            .turn(|turn| turn.text("a").hang()),
    )?;
    let gateway = Gateway::with()
        .settings("[limits]\nturn_timeout = \"300ms\"\nfirst_event_wait = \"300ms\"")
        .over_fake(&fake)
        .await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.status.as_u16(), 504, "{}", reply.body);
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    let error = frames.iter().find_map(Frame::error).context("no error")?;
    assert_eq!(error["type"], "server_error");
    fake.expect_endings("interrupted", 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_large_request_whose_policy_spins_hinders_nobody_and_ends_with_its_client() -> Result<()>
{
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[sandbox]\ncall_timeout = \"30s\"")
        .policy(airlock_tests::components::HOSTILE)
        .over_fake(&fake)
        .await?;
    let large = |user: &str| {
        let content = "x".repeat(1 << 20);
        json!({"user": user, "messages": [{"role": "user", "content": content}]})
    };
    let beside = async {
        let begun = [r#"airlock_policy_call_seconds_count{export="instantiate",role="serving"} 1"#];
        gateway.admin().measured(&begun).await?;
        gateway.client().ask("small").await
    };
    tokio::select! {
        reply = gateway.client().chat(large("hostile:render:loop")) => bail!("an answer: {}", reply?.body),
        answer = beside => assert_eq!(answer?, "You said: small"),
    }
    // On two processors there is one permit for large bodies, which is free again.
    let reply = gateway.client().chat(large("nobody")).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_log_that_nobody_reads_makes_no_request_wait() -> Result<()> {
    let reads = Gate::new();
    let gateway = Gateway::with()
        .administered()
        .unread(&reads)
        .over("/nonexistent/codex".into())
        .await?;
    let nothing = format!("/{}", "x".repeat(120));
    let full = async {
        while lost_lines(&gateway).await? == 0 {
            try_join_all((0..50).map(|_| gateway.client().get(&nothing))).await?;
        }
        anyhow::Ok(())
    };
    soon("a log without room", full).await??;
    reads.open();
    let line = gateway.logged("lines of this log were lost").await?;
    let lost = lost_lines(&gateway).await?;
    assert!(line.contains(&format!("lost={lost}")), "{lost}: {line}");
    Ok(())
}

/// The number of lost log lines, as the gateway counts them.
async fn lost_lines(gateway: &Gateway) -> Result<u64> {
    let metrics = gateway.admin().metrics().await?;
    let name = "airlock_log_lost_lines_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.context("no count of lost lines")?.parse()?)
}
