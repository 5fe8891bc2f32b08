//! Kinds of requests, and checks of their responses: each ends once, in the requested form, with its own text.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::{Client, Completion, FanOut, Frame, Script, fan_out, tool};

/// The marker of a question whose answer has a pause after each word.
const SLOW: &str = "tell-slowly";
const WORDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(15);

/// The marker of a question upon which the model calls a tool.
const TOOL: &str = "use-the-tool";
const DONE: &str = "all done";

/// Rounds that a conversation with tools may have: a rebuilt turn calls again.
const ROUNDS: usize = 10;

/// Candidates of a fan-out.
const CANDIDATES: usize = 3;

/// The most milliseconds after which a client disconnects.
const MAX_STAY_MS: u64 = 300;

/// Error codes of a request whose child exits. Each is a 5xx or an error frame.
const CHILD_FAILURES: [&str; 3] = ["codex_exited", "codex_starting", "codex_failing"];

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
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
    /// With its complete answer.
    Answered,
    /// With an error in the requested form.
    Failed,
    /// The client disconnected.
    Left,
}

/// Each kind, its weight, and its name in the report.
const KINDS: [(RequestKind, u32, &str); 7] = [
    (RequestKind::Stream, 30, "stream"),
    (RequestKind::Slow, 20, "slow stream"),
    (RequestKind::Whole, 20, "whole answer"),
    (RequestKind::FanOut, 10, "fan-out"),
    (RequestKind::WholeFanOut, 5, "whole fan-out"),
    (RequestKind::Tools, 10, "tools"),
    (RequestKind::WholeTools, 5, "whole answer with tools"),
];

impl RequestKind {
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

/// The script for all kinds.
pub(super) fn script() -> Script {
    Script::new()
        .when(SLOW, |turn| {
            (0..WORDS).fold(turn, |turn, _| turn.text("word ").pause(PAUSE))
        })
        .when(TOOL, |turn| {
            turn.call("call_*", "weather", r#"{"city":"Oslo"}"#)
                .text(DONE)
        })
}

/// Sends a request of this kind, and reads its response. One of six clients disconnects at a random time.
///
/// # Errors
/// The response violates a rule.
pub(super) async fn send(
    client: &Client,
    kind: RequestKind,
    name: &str,
    random: &mut StdRng,
) -> Result<Outcome> {
    let answered = answered(client, kind, name);
    if random.random_ratio(5, 6) {
        return answered.await;
    }
    let patience = Duration::from_millis(random.random_range(0..MAX_STAY_MS));
    tokio::time::timeout(patience, answered)
        .await
        .unwrap_or(Ok(Outcome::Left))
}

async fn answered(client: &Client, kind: RequestKind, name: &str) -> Result<Outcome> {
    let streamed = kind.is_streamed();
    match kind {
        RequestKind::Stream | RequestKind::Whole => {
            let expected = format!("You said: {name}");
            plain(client, streamed, name, &expected).await
        }
        RequestKind::Slow => {
            let question = format!("{SLOW} {name}");
            plain(client, streamed, &question, &"word ".repeat(WORDS)).await
        }
        RequestKind::FanOut | RequestKind::WholeFanOut => several(client, streamed, name).await,
        RequestKind::Tools | RequestKind::WholeTools => tools(client, streamed, name).await,
    }
}

/// A question whose answer must be `expected`.
async fn plain(client: &Client, streamed: bool, question: &str, expected: &str) -> Result<Outcome> {
    let body = json!({"messages": [{"role": "user", "content": question}]});
    let Some(completion) = complete(client, streamed, body).await? else {
        return Ok(Outcome::Failed);
    };
    ensure!(completion.finish_reason == "stop", "{completion:?}");
    ensure!(
        completion.text == expected,
        "not what the model said: {completion:?}"
    );
    Ok(Outcome::Answered)
}

/// A fan-out, whose synthesis repeats the candidates, which repeat the question.
async fn several(client: &Client, streamed: bool, name: &str) -> Result<Outcome> {
    let body = fan_out(
        CANDIDATES,
        json!({"messages": [{"role": "user", "content": name}]}),
    );
    if !streamed {
        let Some(completion) = complete(client, false, body).await? else {
            return Ok(Outcome::Failed);
        };
        ensure!(
            completion.text.contains(name),
            "another's answer: {completion:?}"
        );
        return Ok(Outcome::Answered);
    }
    let Some(frames) = stream(client, body).await? else {
        return Ok(Outcome::Failed);
    };
    let completion = FanOut::read(&frames)?;
    ensure!(completion.tabs.len() == CANDIDATES, "{completion:?}");
    if completion.error.is_some() {
        return Ok(Outcome::Failed);
    }
    ensure!(completion.finish_reason == "stop", "{completion:?}");
    ensure!(
        completion.text.contains(name),
        "another's answer: {completion:?}"
    );
    Ok(Outcome::Answered)
}

/// A conversation in which the client runs a tool. A turn that is no longer parked is rebuilt, and calls again.
async fn tools(client: &Client, streamed: bool, name: &str) -> Result<Outcome> {
    let question = format!("{TOOL} {name}");
    let mut messages = vec![json!({"role": "user", "content": question})];
    for round in 1..=ROUNDS {
        let body = json!({"messages": messages, "tools": [tool("weather")]});
        let Some(completion) = complete(client, streamed, body).await? else {
            return Ok(Outcome::Failed);
        };
        if completion.calls.is_empty() {
            ensure!(round > 1, "no call: {completion:?}");
            ensure!(
                completion.text == DONE && completion.finish_reason == "stop",
                "{completion:?}"
            );
            return Ok(Outcome::Answered);
        }
        let call = completion.call()?.id.clone();
        messages.push(completion.message);
        let result = format!("{name} says rain");
        messages.push(json!({"role": "tool", "tool_call_id": call, "content": result}));
    }
    bail!("a call after {ROUNDS} results")
}

/// A completion, streamed or not. `None`: it failed with an allowed error.
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
    check_child_failure(reply.error("code"), &reply.body)?;
    Ok(None)
}

/// The frames of a stream, which must end once. `None`: it failed with an allowed error.
async fn stream(client: &Client, body: Value) -> Result<Option<Vec<Frame>>> {
    let mut stream = client.stream(body).await?;
    let status = stream.status();
    if status != 200 {
        let body: Value = serde_json::from_str(&stream.rest().await?)?;
        ensure!(status >= 500, "{status}: {body}");
        check_child_failure(&body["error"]["code"], &body)?;
        return Ok(None);
    }
    let frames = stream.frames().await?;
    ends_once(&frames).with_context(|| format!("{frames:?}"))?;
    Ok(Some(frames))
}

/// Checks that a stream has one finish reason or one error, then `[DONE]`, and that one release wrote all of it.
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
        check_child_failure(&error["code"], error)?;
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

fn check_child_failure(code: &Value, completion: &Value) -> Result<()> {
    ensure!(
        CHILD_FAILURES.iter().any(|expected| code == expected),
        "another failure: {completion}"
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
