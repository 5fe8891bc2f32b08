//! Several answers to one request (`n`): each candidate is a choice of the response.

use airlock_tests::{FakeCodex, Frame, Gateway, Script};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A request for three answers.
fn three(stream: bool) -> Value {
    let options = stream.then(|| json!({"include_usage": true}));
    let messages = json!([{"role": "user", "content": "Hi"}]);
    json!({"messages": messages, "n": 3, "stream_options": options})
}

/// A choice as a client reads it.
#[derive(Debug, Default, PartialEq)]
struct Choice {
    content: String,
    reason: Value,
    /// The code of its failure.
    code: Value,
}

impl Choice {
    fn end(&mut self, of: &Value) {
        self.reason = of["finish_reason"].clone();
        self.code = of["airlock"]["error"]["code"].clone();
    }
}

/// The choices of a stream, and its usage.
fn read(frames: &[Frame]) -> Result<([Choice; 3], Value)> {
    let mut choices: [Choice; 3] = Default::default();
    let mut usage = Value::Null;
    for frame in frames {
        let Frame::Data(chunk) = frame else { continue };
        let Some(part) = chunk["choices"].get(0) else {
            usage = chunk["usage"].clone();
            continue;
        };
        let index = usize::try_from(part["index"].as_u64().context("no index")?)?;
        let choice = choices.get_mut(index).context("too many choices")?;
        ensure!(choice.reason.is_null(), "{part} after the end");
        choice.content += part["delta"]["content"].as_str().unwrap_or_default();
        choice.end(part);
    }
    ensure!(matches!(frames.last(), Some(Frame::Done)));
    Ok((choices, usage))
}

/// The one choice that failed, and that the others are answers.
fn failed(choices: &[Choice]) -> Result<&Choice> {
    let (failed, answers): (Vec<_>, Vec<_>) =
        choices.iter().partition(|choice| !choice.code.is_null());
    for answer in &answers {
        assert_eq!(
            (&*answer.content, &answer.reason),
            ("an answer", &json!("stop"))
        );
    }
    assert_eq!((failed.len(), answers.len()), (1, 2), "{choices:?}");
    failed.into_iter().next().context("none failed")
}

#[tokio::test]
async fn a_choice_that_fails_ends_alone() -> Result<()> {
    for stream in [false, true] {
        let script = Script::new()
            .turn(|turn| turn.text("half").fail("usageLimitExceeded", "no"))
            .every_turn(|turn| turn.text("an ").text("answer"));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let (choices, usage) = if stream {
            let mut stream = gateway.client().stream(three(true)).await?;
            read(&stream.frames().await?)?
        } else {
            let body = gateway.client().chat(three(false)).await?.body;
            let mut choices: [Choice; 3] = Default::default();
            for (index, choice) in choices.iter_mut().enumerate() {
                let part = &body["choices"][index];
                assert_eq!(part["index"], index, "{body}");
                let content = part["message"]["content"].as_str();
                choice.content = content.unwrap_or_default().to_owned();
                choice.end(part);
            }
            (choices, body["usage"].clone())
        };
        let failed = failed(&choices)?;
        assert_eq!(failed.reason, "length");
        assert_eq!(failed.code, "insufficient_quota");
        assert_eq!(failed.content, if stream { "half" } else { "" });
        assert!(usage["prompt_tokens"].as_u64() >= Some(200), "{usage}");
        assert_eq!(
            fake.received("turn/start").len(),
            3,
            "no other turn follows"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_response_fails_if_every_choice_does() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.fail("usageLimitExceeded", "no"))
        .every_turn(|turn| turn.fail("internalServerError", "no"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(three(false)).await?;
    assert_eq!(reply.status, 429, "{}", reply.body);
    assert_eq!(reply.error("code"), "insufficient_quota");
    Ok(())
}

#[tokio::test]
async fn turns_are_interrupted_once_every_choice_has_stopped() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("an answerST").text("OP and").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut body = three(true);
    body["stop"] = json!("STOP");
    let mut stream = gateway.client().stream(body).await?;
    let (choices, _) = read(&stream.frames().await?)?;
    for choice in choices {
        assert_eq!(
            (&*choice.content, choice.reason),
            ("an answer", json!("stop"))
        );
    }
    fake.expect_endings("interrupted", 3).await
}
