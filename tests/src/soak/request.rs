//! One request of each kind, and how it must end: once, in the form that was asked for, with its own words.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::{Client, Completion, FanOut, Frame, Script, fan_out, tool};

/// What a question has that is answered word by word, with pauses.
const SLOWLY: &str = "tell-slowly";
const WORDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(15);

/// What a question has upon which the model calls a tool.
const TOOL: &str = "use-the-tool";
const DONE: &str = "all done";

/// Rounds of a conversation with tools: a turn that is built anew calls again.
const ROUNDS: usize = 10;

/// Candidates of a fan-out.
const CANDIDATES: usize = 3;

/// Milliseconds after which a client leaves, at most.
const LEAVES: u64 = 300;

/// What a request hears whose child ends. Each is a 5xx, or a frame.
const LOST: [&str; 3] = ["codex_exited", "codex_starting", "codex_failing"];

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Slow,
    Whole,
    FanOut,
    WholeFanOut,
    Tools,
    WholeTools,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With its whole answer.
    Answered,
    /// With an error, in the form that was asked for.
    Failed,
    /// Its client has left.
    Left,
}

/// Each kind, how often it is drawn, and what the report calls it.
const KINDS: [(Kind, u32, &str); 7] = [
    (Kind::Stream, 30, "stream"),
    (Kind::Slow, 20, "slow stream"),
    (Kind::Whole, 20, "whole answer"),
    (Kind::FanOut, 10, "fan-out"),
    (Kind::WholeFanOut, 5, "whole fan-out"),
    (Kind::Tools, 10, "tools"),
    (Kind::WholeTools, 5, "whole answer with tools"),
];

impl Kind {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let all: u32 = KINDS.iter().map(|(_, weight, _)| weight).sum();
        let mut drawn = random.random_range(0..all);
        for (kind, weight, _) in KINDS {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return kind,
            }
        }
        Self::Stream
    }

    pub(super) fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(kind, _, _)| *kind == self);
        found.map_or("", |(_, _, name)| name)
    }

    fn is_streamed(self) -> bool {
        !matches!(self, Self::Whole | Self::WholeFanOut | Self::WholeTools)
    }
}

/// What the model says to all of them.
pub(super) fn script() -> Script {
    Script::new()
        .when(SLOWLY, |turn| {
            (0..WORDS).fold(turn, |turn, _| turn.text("word ").pause(PAUSE))
        })
        .when(TOOL, |turn| {
            turn.call("call_*", "weather", r#"{"city":"Oslo"}"#)
                .text(DONE)
        })
}

/// Sends a request of this kind and reads its answer. One of six clients leaves at a moment of its own.
///
/// # Errors
/// What the gateway did that it must not.
pub(super) async fn send(
    client: &Client,
    kind: Kind,
    name: &str,
    random: &mut StdRng,
) -> Result<Outcome> {
    let answered = answered(client, kind, name);
    if random.random_ratio(5, 6) {
        return answered.await;
    }
    let patience = Duration::from_millis(random.random_range(0..LEAVES));
    tokio::time::timeout(patience, answered)
        .await
        .unwrap_or(Ok(Outcome::Left))
}

async fn answered(client: &Client, kind: Kind, name: &str) -> Result<Outcome> {
    let streamed = kind.is_streamed();
    match kind {
        Kind::Stream | Kind::Whole => {
            let expected = format!("You said: {name}");
            plain(client, streamed, name, &expected).await
        }
        Kind::Slow => {
            let question = format!("{SLOWLY} {name}");
            plain(client, streamed, &question, &"word ".repeat(WORDS)).await
        }
        Kind::FanOut | Kind::WholeFanOut => several(client, streamed, name).await,
        Kind::Tools | Kind::WholeTools => tools(client, streamed, name).await,
    }
}

/// A question with one answer, which must be as expected.
async fn plain(client: &Client, streamed: bool, question: &str, expected: &str) -> Result<Outcome> {
    let body = json!({"messages": [{"role": "user", "content": question}]});
    let Some(told) = complete(client, streamed, body).await? else {
        return Ok(Outcome::Failed);
    };
    ensure!(told.finish_reason == "stop", "{told:?}");
    ensure!(told.text == expected, "not what the model said: {told:?}");
    Ok(Outcome::Answered)
}

/// A fan-out, whose synthesis repeats the candidates, which repeat the question.
async fn several(client: &Client, streamed: bool, name: &str) -> Result<Outcome> {
    let body = fan_out(
        CANDIDATES,
        json!({"messages": [{"role": "user", "content": name}]}),
    );
    if !streamed {
        let Some(told) = complete(client, false, body).await? else {
            return Ok(Outcome::Failed);
        };
        ensure!(told.text.contains(name), "another's answer: {told:?}");
        return Ok(Outcome::Answered);
    }
    let Some(frames) = stream(client, body).await? else {
        return Ok(Outcome::Failed);
    };
    let told = FanOut::read(&frames)?;
    ensure!(told.tabs.len() == CANDIDATES, "{told:?}");
    if told.error.is_some() {
        return Ok(Outcome::Failed);
    }
    ensure!(told.finish_reason == "stop", "{told:?}");
    ensure!(told.text.contains(name), "another's answer: {told:?}");
    Ok(Outcome::Answered)
}

/// A conversation in which the client runs a tool. A turn that does not wait for it any more calls again.
async fn tools(client: &Client, streamed: bool, name: &str) -> Result<Outcome> {
    let question = format!("{TOOL} {name}");
    let mut messages = vec![json!({"role": "user", "content": question})];
    for round in 1..=ROUNDS {
        let body = json!({"messages": messages, "tools": [tool("weather")]});
        let Some(told) = complete(client, streamed, body).await? else {
            return Ok(Outcome::Failed);
        };
        if told.calls.is_empty() {
            ensure!(round > 1, "no call: {told:?}");
            ensure!(
                told.text == DONE && told.finish_reason == "stop",
                "{told:?}"
            );
            return Ok(Outcome::Answered);
        }
        let call = told.call()?.id.clone();
        messages.push(told.message);
        let result = format!("{name} says rain");
        messages.push(json!({"role": "tool", "tool_call_id": call, "content": result}));
    }
    bail!("a call after {ROUNDS} results")
}

/// A completion, streamed or not. None: it has failed as it may.
async fn complete(client: &Client, streamed: bool, body: Value) -> Result<Option<Completion>> {
    if streamed {
        let frames = stream(client, body).await?;
        let failed = |frames: &Vec<Frame>| frames.iter().any(|frame| frame.error().is_some());
        let frames = frames.filter(|frames| !failed(frames));
        return frames
            .map(|frames| Completion::of_frames(&frames, &Default::default()))
            .transpose();
    }
    let reply = client.chat(body).await?;
    if reply.status.is_success() {
        return Completion::of_reply(&reply).map(Some);
    }
    ensure!(
        reply.status.is_server_error(),
        "{}: {}",
        reply.status,
        reply.body
    );
    is_lost(reply.error("code"), &reply.body)?;
    Ok(None)
}

/// The frames of a stream, which end once. None: it was refused as it may be.
async fn stream(client: &Client, body: Value) -> Result<Option<Vec<Frame>>> {
    let mut stream = client.stream(body).await?;
    let status = stream.status();
    if status != 200 {
        let body: Value = serde_json::from_str(&stream.rest().await?)?;
        ensure!(status >= 500, "{status}: {body}");
        is_lost(&body["error"]["code"], &body)?;
        return Ok(None);
    }
    let frames = stream.frames().await?;
    ends_once(&frames).with_context(|| format!("{frames:?}"))?;
    Ok(Some(frames))
}

/// One reason why the answer ended, or one error, and then `[DONE]`; all of it by one release of the policy.
fn ends_once(frames: &[Frame]) -> Result<()> {
    let done = frames.iter().filter(|frame| **frame == Frame::Done).count();
    ensure!(done == 1, "[DONE] comes {done} times");
    ensure!(frames.last() == Some(&Frame::Done), "[DONE] is not the end");
    let reasons = frames
        .iter()
        .filter(|frame| !frame.finish_reason().is_empty());
    let errors: Vec<_> = frames.iter().filter_map(Frame::error).collect();
    let (reasons, failed) = (reasons.count(), errors.len());
    ensure!(
        reasons + failed == 1,
        "{reasons} reasons and {failed} errors"
    );
    for error in errors {
        is_lost(&error["code"], error)?;
        let before = frames.len().checked_sub(2).and_then(|at| frames.get(at));
        ensure!(
            before.and_then(Frame::error).is_some(),
            "more after the error"
        );
    }
    let ids = frames.iter().filter_map(|frame| frame.data()?.get("id"));
    let mut ids: Vec<&Value> = ids.collect();
    ids.dedup();
    ensure!(ids.len() <= 1, "frames of several answers: {ids:?}");
    Ok(())
}

fn is_lost(code: &Value, told: &Value) -> Result<()> {
    ensure!(
        LOST.iter().any(|lost| code == lost),
        "another failure: {told}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &str, reason: &Value) -> Frame {
        Frame::Data(json!({"id": id, "choices": [{"delta": {}, "finish_reason": reason}]}))
    }

    #[test]
    fn a_stream_ends_once() {
        let (word, stop) = (chunk("a", &Value::Null), chunk("a", &json!("stop")));
        let error = Frame::Data(json!({"error": {"code": "codex_exited"}}));
        let other = Frame::Data(json!({"error": {"code": "internal_error"}}));
        let holds = |frames: &[&Frame]| {
            let frames: Vec<Frame> = frames.iter().map(|frame| (*frame).clone()).collect();
            ends_once(&frames).is_ok()
        };
        let done = &Frame::Done;
        assert!(holds(&[&word, &stop, done]));
        assert!(holds(&[&word, &error, done]));
        for broken in [
            &[&word, &stop] as &[&Frame],
            &[&word, done],
            &[&word, &stop, done, done],
            &[&word, &stop, &stop, done],
            &[&word, &stop, &error, done],
            &[&error, &word, done],
            &[&word, &other, done],
            &[&chunk("b", &Value::Null), &stop, done],
        ] {
            assert!(!holds(broken), "{broken:?}");
        }
    }
}
