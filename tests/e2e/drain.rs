//! Requests that have not ended when the drain time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_tests::fake::ScriptedResponse;
use airlock_tests::{
    FakeCodex, Frame, Gateway, Reply, Script, Stream, fan_out, soon, tool, within,
};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// The number of requests of each kind: 200 in all.
const STREAMS: usize = 40;
const WHOLE: usize = 40;
const FAN_OUTS: usize = 10;
const TOOLS: usize = 20;
const IN_LINE: usize = 59;
const BODIES: usize = 30;
const SIGN_INS: usize = 1;

/// The candidates of each fan-out. Half of the fan-outs are streamed.
const CANDIDATES: usize = 3;

const TURNS: usize = STREAMS + WHOLE + FAN_OUTS * CANDIDATES + TOOLS;

fn saying(words: &str, more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": words}]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// Checks that an open stream has ended once, with the gateway's error.
async fn ends(mut stream: Stream) -> Result<()> {
    let frames = stream.frames().await?;
    let [.., failure, Frame::Done] = frames.as_slice() else {
        bail!("no error and [DONE] at the end: {frames:?}");
    };
    let error = failure.error().context("no error")?;
    ensure!(error["code"] == "gateway_stopping", "{error}");
    let endings = frames.iter().filter(|frame| {
        frame.error().is_some() || **frame == Frame::Done || !frame.finish_reason().is_empty()
    });
    ensure!(endings.count() == 2, "{frames:?}");
    Ok(())
}

fn is_refused(reply: &Reply) -> Result<()> {
    ensure!(
        reply.status.as_u16() == 503 && reply.error("code") == "gateway_stopping",
        "{} {}",
        reply.status,
        reply.body
    );
    ensure!(reply.header("retry-after") == "5", "{:?}", reply.headers);
    Ok(())
}

/// Sends half of a body, and reads the response to the end of the connection.
async fn half_a_body(gateway: &Gateway) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(gateway.address()).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        gateway.address(),
        4 << 20
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&vec![b' '; 2 << 20]).await?;
    Ok(socket)
}

async fn answer(mut socket: TcpStream) -> Result<()> {
    let mut text = String::new();
    within(
        Duration::from_secs(20),
        "the end of a connection",
        socket.read_to_string(&mut text),
    )
    .await??;
    ensure!(text.starts_with("HTTP/1.1 503 "), "{text}");
    ensure!(text.contains("\r\nretry-after: 5\r\n"), "{text}");
    ensure!(text.matches("gateway_stopping").count() == 1, "{text}");
    Ok(())
}

/// Two hundred requests that are in progress when the gateway is stopped. `hurry`: by a second signal, else by the drain
/// timeout.
async fn two_hundred_endings(drain: &str, hurry: bool) -> Result<()> {
    let url = "https://auth.openai.com/codex/device";
    let code = json!({"type": "chatgptDeviceCode", "loginId": "login-1", "verificationUrl": url, "userCode": "ABCD-1234"});
    let script = Script::new()
        .always("account/login/start", ScriptedResponse::Result(code))
        .when("talking", |turn| turn.text("Hel").hang())
        .every_turn(airlock_tests::TurnPlan::hang);
    let fake = FakeCodex::start(script)?;
    let settings = format!(
        "[limits]\nturns = {TURNS}\nqueue_wait = \"1h\"\ndrain = \"{drain}\"\nfirst_event_wait = \"1h\""
    );
    let mut gateway = Gateway::with()
        .administered()
        .settings(&settings)
        .over_fake(&fake)
        .await?;
    let client = gateway.client().clone();

    let opening = (0..STREAMS).map(|_| client.stream(saying("talking", json!({}))));
    let mut streams = try_join_all(opening).await?;
    for text in join_all(streams.iter_mut().map(Stream::next_text)).await {
        ensure!(text? == "Hel");
    }
    let mut fan_outs = Vec::new();
    for _ in 0..FAN_OUTS / 2 {
        let body = fan_out(CANDIDATES, saying("talking", json!({})));
        let mut stream = client.stream(body).await?;
        stream.next_tool_event().await?;
        fan_outs.push(stream);
    }

    // These have no response yet. Those without a free turn wait in the queue.
    let mut waiting: JoinSet<Result<Reply>> = JoinSet::new();
    let weather = tool("weather");
    let whole = json!({});
    let tools = json!({"tools": [weather]});
    let kinds = [
        (WHOLE, &whole, 1),
        (FAN_OUTS / 2, &whole, CANDIDATES),
        (TOOLS, &tools, 1),
    ];
    for (count, more, candidates) in kinds {
        for number in 0..count {
            let mut body = saying("silent", more.clone());
            if candidates > 1 {
                body = fan_out(candidates, body);
            }
            // A stream without a first word gets a status, as a whole response does.
            body["stream"] = json!(candidates == 1 && number % 2 == 1);
            let client = client.clone();
            waiting.spawn(async move { client.chat(body).await });
        }
    }
    for _ in 0..IN_LINE {
        let client = client.clone();
        waiting.spawn(async move { client.chat(saying("waits", json!({}))).await });
    }
    fake.expect_count("turn/start", TURNS / 2).await?;
    // A fan-out that waits leaves its turns to as many others, so fewer wait; more do where Codex is found not to keep up.
    let least = IN_LINE - FAN_OUTS / 2 * (CANDIDATES - 1);
    let waits = |fleet: &Value| fleet["turns"]["waiting"].as_u64() >= Some(least as u64);
    gateway.admin().fleet_is("a line", waits).await?;
    let bodies = try_join_all((0..BODIES).map(|_| half_a_body(&gateway))).await?;
    let operator = client.with_key(airlock_tests::admin::ADMIN_KEY);
    let mut sign_in = operator.events("/api/codex/login", &json!({})).await?;
    let under_way = STREAMS + WHOLE + FAN_OUTS + TOOLS + IN_LINE + BODIES + SIGN_INS;
    assert_eq!(under_way, 200);
    let chats = under_way - SIGN_INS;
    let active = format!("http_server_active_requests{{route=\"/v1/chat/completions\"}} {chats}");
    gateway.admin().measured(&[active.as_str()]).await?;

    gateway.signal(Signal::TERM);
    gateway.logged("stopping: running replies may end").await?;
    if hurry {
        gateway.signal(Signal::TERM);
    }
    let mut endings = BTreeMap::new();
    for stream in streams.into_iter().chain(fan_outs) {
        ends(stream).await?;
        *endings.entry("stream").or_insert(0) += 1;
    }
    while let Some(reply) = waiting.join_next().await {
        is_refused(&reply??)?;
        *endings.entry("whole").or_insert(0) += 1;
    }
    for socket in bodies {
        answer(socket).await?;
        *endings.entry("body").or_insert(0) += 1;
    }
    let mut events = Vec::new();
    while let Some(frame) = sign_in.next().await? {
        events.extend(frame.data().cloned());
    }
    let last = events.last().context("no event of the sign-in")?;
    assert_eq!(
        (&last["type"], &last["reason"]),
        (&json!("error"), &json!("stopping"))
    );
    let expected = [
        ("body", BODIES),
        ("stream", STREAMS + FAN_OUTS / 2),
        ("whole", WHOLE + FAN_OUTS / 2 + TOOLS + IN_LINE),
    ];
    assert_eq!(endings, BTreeMap::from(expected));

    let status = gateway.ended().await?;
    ensure!(status.success(), "{status}");
    // In the log, each has ended once too.
    let is_chat =
        |line: &&String| line.contains("request over") && line.contains("/v1/chat/completions");
    let log = gateway.log_lines();
    let over: Vec<_> = log.iter().filter(is_chat).collect();
    assert_eq!(over.len(), chats);
    assert!(
        over.iter().all(|line| line.contains("whole=true")),
        "{over:?}"
    );
    Ok(())
}

#[tokio::test]
async fn two_hundred_requests_end_once_each_when_the_drains_time_is_over() -> Result<()> {
    two_hundred_endings("300ms", false).await
}

#[tokio::test]
async fn two_hundred_requests_end_once_each_at_a_second_signal() -> Result<()> {
    two_hundred_endings("1h", true).await
}

#[tokio::test]
async fn a_client_that_still_sends_its_body_receives_the_reason() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[limits]\ndrain = \"100ms\"")
        .over_fake(&fake)
        .await?;
    let mut socket = half_a_body(&gateway).await?;
    let active = "http_server_active_requests{route=\"/v1/chat/completions\"} 1";
    gateway.admin().measured(&[active]).await?;
    gateway.signal(Signal::TERM);
    gateway.logged("are ended with an error").await?;
    socket.write_all(&vec![b' '; 2 << 20]).await?;
    answer(socket).await
}

#[tokio::test]
async fn a_head_that_never_ends_holds_nothing_up() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(4096)?;
    let mut socket = soon("a connection", socket.connect(gateway.address())).await??;
    // More than the system buffers, so the gateway has read some of it. Its limit of a head is 408 KiB.
    let head = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: {}",
        "x".repeat(380 << 10)
    );
    soon("half a head", socket.write_all(head.as_bytes())).await??;
    gateway.signal(Signal::TERM);
    // The drain timeout is 30 s, longer than a test waits.
    let status = gateway.ended().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_nothing_up() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.burst(20_000, 1_000).hang()))?;
    let mut gateway = Gateway::with()
        .settings("[limits]\ndrain = \"100ms\"\nturn_buffer_bytes = 1073741824")
        .over_fake(&fake)
        .await?;
    let stream = gateway.client().stream(json!({})).await?;
    gateway.signal(Signal::TERM);
    gateway.ended().await?;
    drop(stream);
    Ok(())
}
