//! The Responses API on WebSockets.

use airlock_tests::{FakeCodex, Gate, Gateway, Script, soon};
use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{RESPONSES, create, get, history, message, request, text};

/// A WebSocket to a gateway.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(super) async fn open(gateway: &Gateway) -> Result<Self> {
        let url = format!("ws://{}{RESPONSES}", gateway.address());
        let (socket, _) = soon("a WebSocket", connect_async(url)).await??;
        Ok(Self(socket))
    }

    pub(super) async fn send(&mut self, mut request: Value) -> Result<()> {
        request["type"] = json!("response.create");
        let message = Message::text(request.to_string());
        Ok(soon("a message that is sent", self.0.send(message)).await??)
    }

    /// The next text message, or the code with which the gateway closes the socket.
    async fn next(&mut self) -> Result<Result<Value, u16>> {
        loop {
            let message = soon("a message", self.0.next()).await?;
            match message.context("the socket ended without a closing handshake")?? {
                Message::Text(text) => return Ok(Ok(serde_json::from_str(&text)?)),
                Message::Close(frame) => {
                    return Ok(Err(frame.map_or(1005, |frame| frame.code.into())));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("{other:?}"),
            }
        }
    }

    /// The events of a response to its end, or of an error.
    pub(super) async fn events(&mut self) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        loop {
            let Ok(event) = self.next().await? else {
                bail!("the socket was closed after {events:?}");
            };
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            events.push(event);
            if [
                "error",
                "response.completed",
                "response.failed",
                "response.incomplete",
            ]
            .contains(&kind.as_str())
            {
                return Ok(events);
            }
        }
    }

    /// Sends a request, and returns its completed response.
    async fn respond(&mut self, request: Value) -> Result<Value> {
        self.send(request).await?;
        let last = self.events().await?.pop().context("no event")?;
        anyhow::ensure!(last["type"] == "response.completed", "{last}");
        Ok(last["response"].clone())
    }
}

#[tokio::test]
async fn a_message_is_a_request_and_each_event_a_message() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    for input in ["One", "Two"] {
        socket
            .send(json!({"model": "default", "input": input, "store": false}))
            .await?;
        let events = socket.events().await?;
        assert_eq!(events[0]["type"], "response.created");
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], json!(number), "{event}");
        }
        let completed = &events.last().unwrap()["response"];
        assert_eq!(text(completed), format!("You said: {input}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_response_continues_on_its_socket_alone_unless_it_is_stored() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    let first = socket
        .respond(json!({"model": "default", "input": "One", "store": false}))
        .await?;
    let next = json!({"model": "default", "input": "Two", "store": false, "previous_response_id": first["id"]});
    let second = socket.respond(next.clone()).await?;
    assert_eq!(
        history(&fake),
        [
            message("user", "One"),
            message("assistant", "You said: One")
        ]
    );
    let mut other = Socket::open(&gateway).await?;
    other.send(next.clone()).await?;
    let error = other.events().await?.pop().context("no event")?;
    assert_eq!(
        (&error["status"], &error["error"]["code"]),
        (&json!(400), &json!("previous_response_not_found"))
    );
    assert_eq!(
        gateway
            .client()
            .post(RESPONSES, next.to_string())
            .await?
            .status,
        400
    );
    assert_eq!(
        get(&gateway, &format!("/v1/responses/{}", super::id(&second)?))
            .await?
            .status,
        404
    );

    // Its base is in no store, so it has a copy of its items.
    let more = json!({"model": "default", "input": "Three", "previous_response_id": second["id"]});
    let stored = socket.respond(more).await?;
    let path = format!("/v1/responses/{}", super::id(&stored)?);
    assert_eq!(super::body(&get(&gateway, &path).await?)?, stored);
    let next = json!({"model": "default", "input": "And", "previous_response_id": stored["id"]});
    create(&gateway, next).await?;
    assert_eq!(history(&fake).len(), 6);
    let stored = socket
        .respond(json!({"model": "default", "input": "Four"}))
        .await?;
    let next = json!({"model": "default", "input": "Five", "previous_response_id": stored["id"]});
    assert_eq!(text(&create(&gateway, next).await?), "You said: Five");
    Ok(())
}

#[tokio::test]
async fn a_failed_continuation_forgets_what_it_continued() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.text("a"))
        .turn(|turn| turn.fail("badRequest", "no"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    let first = socket
        .respond(json!({"model": "default", "input": "One", "store": false}))
        .await?;
    let next = json!({"model": "default", "input": "Two", "store": false, "previous_response_id": first["id"]});
    socket.send(next.clone()).await?;
    let failed = socket.events().await?.pop().context("no event")?;
    assert!(
        ["error", "response.failed"].contains(&failed["type"].as_str().unwrap_or_default()),
        "{failed}"
    );
    socket.send(next).await?;
    let error = socket.events().await?.pop().context("no event")?;
    assert_eq!(
        error["error"]["code"], "previous_response_not_found",
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_closed_socket_interrupts_its_turn() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("Hel").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    socket
        .send(json!({"model": "default", "input": "One"}))
        .await?;
    assert_eq!(socket.next().await?.unwrap()["type"], "response.created");
    drop(socket);
    fake.expect("turn/interrupt").await?;
    Ok(())
}

#[tokio::test]
async fn requests_of_a_socket_run_one_after_the_other() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .turn(|turn| turn.text("first").hold(&gate))
        .every_turn(|turn| turn.text("next"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    for _ in 0..12 {
        socket
            .send(json!({"model": "default", "input": "hi", "store": false}))
            .await?;
    }
    fake.expect("turn/start").await?;
    assert_eq!(fake.received("turn/start").len(), 1);
    gate.open();
    let mut answers = Vec::new();
    for _ in 0..12 {
        let last = socket.events().await?.pop().context("no event")?;
        answers.push(text(&last["response"]));
    }
    assert_eq!((answers[0].as_str(), answers.len()), ("first", 12));
    assert!(
        answers[1..].iter().all(|answer| answer == "next"),
        "{answers:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_no_request_closes_the_socket() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = \"64KiB\"")
        .over_fake(&fake)
        .await?;
    let mut socket = Socket::open(&gateway).await?;
    socket.0.send(Message::binary(vec![1])).await?;
    assert_eq!(socket.next().await?, Err(1003));
    let mut socket = Socket::open(&gateway).await?;
    socket
        .send(json!({"model": "default", "input": "x".repeat(70_000)}))
        .await?;
    assert_eq!(socket.next().await?, Err(1009));
    let mut socket = Socket::open(&gateway).await?;
    for (wrong, param) in [
        ("nonsense", Value::Null),
        ("{\"type\":\"response.cancel\"}", json!("type")),
    ] {
        socket.0.send(Message::text(wrong)).await?;
        let error = socket.next().await?.unwrap();
        assert_eq!(
            (&error["type"], &error["status"], &error["error"]["param"]),
            (&json!("error"), &json!(400), &param),
            "{error}"
        );
    }
    let answer = socket
        .respond(json!({"model": "default", "input": "hi"}))
        .await?;
    assert_eq!(text(&answer), "You said: hi");
    Ok(())
}

#[tokio::test]
async fn a_socket_needs_the_key_and_an_origin_that_may_call() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-right")
        .over_fake(&fake)
        .await?;
    let open = async |headers: &[(&'static str, &'static str)]| {
        let mut request = format!("ws://{}{RESPONSES}", gateway.address()).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let opened = soon("a handshake", connect_async(request)).await?;
        anyhow::Ok(match opened {
            Ok(_) => 101,
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => bail!(error),
        })
    };
    let right = ("authorization", "Bearer sk-airlock-right");
    assert_eq!(open(&[]).await?, 401);
    assert_eq!(open(&[("authorization", "Bearer wrong")]).await?, 401);
    assert_eq!(
        open(&[right, ("origin", "https://evil.example")]).await?,
        403
    );
    assert_eq!(open(&[right]).await?, 101);
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_stops_lets_a_response_end_and_closes_its_socket() -> Result<()> {
    let gate = Gate::new();
    let fake =
        FakeCodex::start(Script::new().turn(|turn| turn.text("Hel").hold(&gate).text("lo")))?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    let mut idle = Socket::open(&gateway).await?;
    socket
        .send(json!({"model": "default", "input": "hi"}))
        .await?;
    fake.expect("turn/start").await?;
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(idle.next().await?, Err(1001));
    gate.open();
    let last = socket.events().await?.pop().context("no event")?;
    assert_eq!(text(&last["response"]), "Hello");
    assert_eq!(socket.next().await?, Err(1001));
    assert!(gateway.ended().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_request_without_an_upgrade_is_refused() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = request(&gateway, Method::GET, RESPONSES).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (405, &json!("method_not_allowed"))
    );
    Ok(())
}

#[tokio::test]
async fn a_closing_handshake_is_answered() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut socket = Socket::open(&gateway).await?;
    soon("a message that is sent", socket.0.close(None)).await??;
    // Without the answer, the client would report that the connection was reset.
    while let Some(message) = soon("the end", socket.0.next()).await? {
        message?;
    }
    Ok(())
}

#[tokio::test]
async fn a_message_far_above_the_limit_is_refused_with_its_code() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[limits]\nbody_bytes = \"64KiB\"")
        .over_fake(&fake)
        .await?;
    let socket = Socket::open(&gateway).await?;
    let large = Message::text("x".repeat(16 << 20));
    let (mut sink, mut stream) = socket.0.split();
    // The gateway refuses it by its head, while the client still writes.
    let (_, refused) = tokio::join!(sink.send(large), stream.next());
    let Some(Ok(Message::Close(Some(frame)))) = refused else {
        bail!("{refused:?}");
    };
    assert_eq!(u16::from(frame.code), 1009);
    Ok(())
}
