//! Frames that are one line to every client: some clients also split at Unicode's line ends (Python's `str.splitlines`).

use airlock_tests::{FakeCodex, Gateway, Script, Stream, tool};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// Unicode's line ends, except for the two of server-sent events, which JSON always escapes.
const ENDS: &str = "\u{b}|\u{c}|\u{1c}|\u{1d}|\u{1e}|\u{85}|\u{2028}|\u{2029}";

/// A stream as such a client reads it.
fn frames(raw: &[u8]) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(raw)?;
    let ends = |it: char| it == '\n' || it == '\r' || (it != '|' && ENDS.contains(it));
    let mut frames = Vec::new();
    for line in text.split(ends).filter(|line| !line.is_empty()) {
        let data = line
            .strip_prefix("data: ")
            .with_context(|| format!("half a frame: {line:?}"))?;
        if data != "[DONE]" {
            frames.push(
                serde_json::from_str(data).with_context(|| format!("half a frame: {line:?}"))?,
            );
        }
    }
    Ok(frames)
}

async fn read(mut stream: Stream) -> Result<Vec<Value>> {
    stream.frames().await?;
    frames(stream.raw())
}

/// The texts at this JSON pointer of all frames, joined.
fn joined(frames: &[Value], place: &str) -> String {
    frames
        .iter()
        .filter_map(|frame| frame.pointer(place)?.as_str())
        .collect()
}

#[tokio::test]
async fn texts_reasoning_and_candidates_are_whole() -> Result<()> {
    // The policy is fed the first piece. The host writes the next ones by its pattern.
    let pieces = |count: usize| ENDS.repeat(count);
    let script = Script::new().every_turn(|turn| {
        let turn = turn.reasoning(ENDS).reasoning(ENDS).reasoning(ENDS);
        turn.text(ENDS).text(ENDS).text(ENDS).text(ENDS)
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let stream = gateway
        .client()
        .stream(json!({"include_reasoning": true}))
        .await?;
    let frames = read(stream).await?;
    assert_eq!(joined(&frames, "/choices/0/delta/content"), pieces(4));
    assert_eq!(
        joined(&frames, "/choices/0/delta/reasoning_content"),
        pieces(3)
    );

    let fan_out = json!({"parallel_calls": 2, "synthesis": {"strategy": "first"}});
    let frames = read(gateway.client().stream(fan_out).await?).await?;
    assert_eq!(joined(&frames, "/choices/0/delta/content"), pieces(4));
    let closed = frames
        .iter()
        .find(|frame| frame["_toolEvent"]["type"] == "codex_tab_close");
    assert_eq!(
        closed.context("no candidate that ends")?["_toolEvent"]["text"],
        pieces(4)
    );
    Ok(())
}

#[tokio::test]
async fn arguments_and_errors_are_whole() -> Result<()> {
    let arguments = json!({"city": ENDS}).to_string();
    let call = arguments.clone();
    let script = Script::new()
        .turn(move |turn| turn.call("call_1", "get_weather", call.as_str()))
        .turn(|turn| turn.text("a").text("b").fail("badRequest", ENDS));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let stream = gateway
        .client()
        .stream(json!({"tools": [tool("get_weather")]}))
        .await?;
    let frames = read(stream).await?;
    let place = "/choices/0/delta/tool_calls/0/function/arguments";
    assert_eq!(joined(&frames, place), arguments);

    let frames = read(gateway.client().stream(json!({})).await?).await?;
    let error = frames.last().context("no frame")?;
    ensure!(error["error"]["message"].is_string(), "{error}");
    Ok(())
}
