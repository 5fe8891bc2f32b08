//! Responses, streamed and whole: their text is complete, in order, and delivered once.

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, Usage, tool};
use anyhow::{Context, Result};
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test]
async fn an_answer_that_is_not_streamed() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| {
        turn.text("Hel").text("lo.").usage(Usage {
            input: 12,
            cached: 4,
            output: 7,
            reasoning: 3,
        })
    }))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;

    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["object"], "chat.completion");
    assert_eq!(reply.body["model"], "gpt-5.5");
    assert_eq!(reply.body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(reply.text()?, "Hello.");
    assert_eq!(reply.body["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply.body["choices"].as_array().map(Vec::len), Some(1));
    let usage = &reply.body["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(12), &json!(7))
    );
    assert_eq!(usage["total_tokens"], 19);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 3);
    assert!(
        reply.header("content-type").starts_with("application/json"),
        "{:?}",
        reply.headers
    );
    assert!(!reply.header("x-request-id").is_empty());
    assert!(
        reply.header("openai-processing-ms").parse::<u64>().is_ok(),
        "{:?}",
        reply.headers
    );
    Ok(())
}

#[tokio::test]
async fn a_streamed_answer_has_a_role_first_text_in_order_one_reason_and_one_done() -> Result<()> {
    let fake =
        FakeCodex::start(Script::new().turn(|turn| turn.text("one ").text("two ").text("three")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway
        .client()
        .stream(json!({"stream_options": {"include_usage": true}}))
        .await?;

    assert_eq!(stream.status(), 200);
    let headers = stream.headers().clone();
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        header("content-type").starts_with("text/event-stream"),
        "{headers:?}"
    );
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-accel-buffering"), "no");
    assert!(!header("x-request-id").is_empty());

    let frames = stream.frames().await?;
    let first = frames
        .first()
        .and_then(Frame::data)
        .context("an empty stream")?;
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "one two three"
    );
    let reasons: Vec<_> = frames
        .iter()
        .map(Frame::finish_reason)
        .filter(|reason| !reason.is_empty())
        .collect();
    assert_eq!(reasons, ["stop"]);
    assert_eq!(
        frames.iter().filter(|frame| **frame == Frame::Done).count(),
        1
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    let ids: Vec<_> = frames
        .iter()
        .filter_map(|frame| frame.data()?.get("id"))
        .collect();
    assert!(
        ids.iter().all(|id| *id == ids[0] && id.is_string()),
        "{ids:?}"
    );

    let (usage, chunks): (Vec<_>, Vec<_>) = frames
        .iter()
        .filter_map(Frame::data)
        .partition(|data| data["choices"] == json!([]));
    assert_eq!(usage.len(), 1, "one chunk with the usage alone");
    assert_eq!(usage[0]["usage"]["total_tokens"], 103);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.get("usage") == Some(&Value::Null)),
        "{chunks:?}"
    );
    Ok(())
}

#[tokio::test]
async fn another_parser_reads_the_same_stream() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().turn(|turn| turn.text("a\n\nb: ").text("\u{1F980} \r\n").text("data: c")),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    let frames = stream.frames().await?;

    let raw = bytes::Bytes::copy_from_slice(stream.raw());
    let body = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(raw)]);
    let events: Vec<_> = sse_stream::SseStream::from_bytes_stream(body)
        .collect()
        .await;
    let mut seen = Vec::new();
    for event in events {
        let event = event?;
        assert_eq!((event.id, event.retry), (None, None));
        seen.push(event.data.context("an event without data")?);
    }
    assert_eq!(seen.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(seen.len(), frames.len());
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "a\n\nb: \u{1F980} \r\ndata: c"
    );
    Ok(())
}

#[tokio::test]
async fn text_that_looks_like_the_end_does_not_end_the_stream() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().turn(|turn| turn.text("[DONE]").text("data: [DONE]\n\n").text("more")),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    let frames = stream.frames().await?;
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "[DONE]data: [DONE]\n\nmore"
    );
    assert_eq!(
        frames.iter().filter(|frame| **frame == Frame::Done).count(),
        1
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    Ok(())
}

#[tokio::test]
async fn a_silent_stream_beats() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(
        Script::new().turn(|turn| turn.text("before ").hold(&gate).text("after")),
    )?;
    let gateway = Gateway::with()
        .settings("[limits]\nheartbeat = \"20ms\"")
        .over_fake(&fake)
        .await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "before ");
    for _ in 0..3 {
        assert_eq!(
            stream.next().await?,
            Some(Frame::Comment("ping".to_owned()))
        );
    }
    gate.open();
    assert_eq!(stream.text().await?, "after");
    let raw = String::from_utf8_lossy(stream.raw()).into_owned();
    assert!(
        raw.contains(": ping\n\n") && !raw.contains("\nid:"),
        "{raw}"
    );
    Ok(())
}

#[tokio::test]
async fn headers_do_not_wait_for_ever_and_heartbeats_start_with_them() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.hold(&gate).text("late")))?;
    let settings = "[limits]\nfirst_event_wait = \"50ms\"\nheartbeat = \"20ms\"";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.status(), 200);
    assert_eq!(
        stream.next().await?,
        Some(Frame::Comment("ping".to_owned()))
    );
    gate.open();
    assert_eq!(stream.text().await?, "late");
    Ok(())
}

#[tokio::test]
async fn several_messages_of_a_turn_come_in_order_and_once() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.message(Some("commentary"))
            .text("Let me ")
            .text("see.")
            .message(Some("final_answer"))
            .text("It is ")
            .text("4.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let whole = gateway.client().ask("2+2?").await?;
    let streamed = gateway.client().stream(json!({})).await?.text().await?;
    assert_eq!(whole, "Let me see.\n\nIt is 4.");
    assert_eq!(streamed, whole);
    Ok(())
}

#[tokio::test]
async fn messages_without_deltas_arrive_whole() -> Result<()> {
    let script = Script::new().every_turn(|turn| {
        turn.whole("First.", Some("commentary"))
            .text("Se")
            .text("cond.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let whole = gateway.client().ask("hi").await?;
    let streamed = gateway.client().stream(json!({})).await?.text().await?;
    assert_eq!(whole, "First.\n\nSecond.");
    assert_eq!(streamed, whole);
    Ok(())
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() -> Result<()> {
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.whole("", None)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!((reply.status.as_u16(), reply.text()?), (200, ""));
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    assert_eq!(
        frames.iter().map(Frame::finish_reason).collect::<String>(),
        "stop"
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    Ok(())
}

#[tokio::test]
async fn events_before_the_response_to_turn_start_are_buffered() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().every_turn(|turn| turn.text("early ").respond_here().text("late")),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "early late");
    assert_eq!(
        gateway.client().stream(json!({})).await?.text().await?,
        "early late"
    );
    Ok(())
}

/// The model's text, and the parts that Codex keeps before the end and at the end.
const CUT_AT_THE_END: (&str, &str) = ("See <tag>this</tag>", "See ");
const CUT_BEFORE: (&str, &str) = ("Hello <tag>x</tag> world", "Hello  world");

#[tokio::test]
async fn text_that_codex_cuts_from_the_end_of_an_answer_is_delivered() -> Result<()> {
    let (written, left) = CUT_AT_THE_END;
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text(left).written(written)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    for more in [json!({}), json!({"tools": [tool("f")]})] {
        let reply = gateway.client().chat(more.clone()).await?;
        assert_eq!(reply.text()?, written);
        let frames = gateway.client().stream(more).await?.frames().await?;
        assert_eq!(frames.iter().map(Frame::text).collect::<String>(), written);
        assert_eq!(
            frames.iter().map(Frame::finish_reason).collect::<String>(),
            "stop"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_codex_cuts_before_text_breaks_a_stream_and_returns_to_a_whole_answer() -> Result<()> {
    let (written, left) = CUT_BEFORE;
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text(left).written(written)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    for more in [json!({}), json!({"tools": [tool("f")]})] {
        let reply = gateway.client().chat(more.clone()).await?;
        assert_eq!(reply.text()?, written);
        let frames = gateway.client().stream(more).await?.frames().await?;
        let [.., failure, Frame::Done] = frames.as_slice() else {
            anyhow::bail!("no end: {frames:?}")
        };
        let error = failure.error().context("no error")?;
        assert_eq!(error["code"], "stream_restarted");
        assert_eq!(frames.iter().map(Frame::text).collect::<String>(), left);
        assert_eq!(
            frames.iter().map(Frame::finish_reason).collect::<String>(),
            ""
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_codex_drops_is_a_failure_and_not_empty() -> Result<()> {
    let script = Script::new()
        .when("half", |turn| turn.text("Half").drop_message())
        .every_turn(|turn| turn.message(None).drop_message());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    for more in [
        json!({}),
        json!({"stream": true}),
        json!({"tools": [tool("f")]}),
        json!({"response_format": {"type": "json_object"}}),
    ] {
        let reply = gateway.client().chat(more).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("empty_answer"))
        );
    }
    let half = json!({"messages": [{"role": "user", "content": "half"}]});
    let reply = gateway.client().chat(half.clone()).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("incomplete_answer"))
    );
    let frames = gateway.client().stream(half).await?.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "Half");
    let [.., failure, Frame::Done] = frames.as_slice() else {
        anyhow::bail!("no end: {frames:?}")
    };
    let error = failure.error().context("no error")?;
    assert_eq!(error["code"], "incomplete_answer");
    Ok(())
}
