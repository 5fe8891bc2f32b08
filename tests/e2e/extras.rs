//! The parts of a response besides its text: reasoning, usage, and the requested format.

use airlock_tests::{FakeCodex, Frame, Gateway, Script, Usage};
use anyhow::Result;
use serde_json::{Value, json};

#[tokio::test]
async fn reasoning_comes_only_when_requested() -> Result<()> {
    let script =
        Script::new().every_turn(|turn| turn.reasoning("Hm. ").reasoning("Yes.").text("42"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let frames = gateway
        .client()
        .stream(json!({"reasoning": {"summary": "auto"}}))
        .await?
        .frames()
        .await?;
    assert_eq!(
        frames.iter().map(Frame::reasoning).collect::<String>(),
        "Hm. Yes."
    );
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "42");
    let start = fake.expect("turn/start").await?;
    assert_eq!(start["params"]["summary"], "auto");

    let frames = gateway
        .client()
        .stream(json!({"reasoning_effort": "high"}))
        .await?
        .frames()
        .await?;
    assert_eq!(frames.iter().map(Frame::reasoning).collect::<String>(), "");
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "42");
    let start = fake.expect("turn/start").await?;
    assert_eq!(start["params"]["effort"], "high");
    Ok(())
}

#[tokio::test]
async fn parts_of_a_summary_are_paragraphs_and_raw_reasoning_is_reasoning() -> Result<()> {
    let script = Script::new()
        .turn(|turn| {
            turn.reasoning("One.")
                .reasoning_part()
                .reasoning("Two.")
                .text("42")
        })
        .turn(|turn| turn.raw_reasoning("Hm, ").raw_reasoning("so.").text("42"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    for expected in ["One.\n\nTwo.", "Hm, so."] {
        let body = json!({"include_reasoning": true});
        let reply = gateway.client().chat(body).await?;
        let message = &reply.body["choices"][0]["message"];
        assert_eq!(message["reasoning_content"], expected, "{}", reply.body);
        assert_eq!(message["content"], "42");
    }
    Ok(())
}

#[tokio::test]
async fn usage_adds_up_over_the_requests_of_a_turn_and_may_be_missing() -> Result<()> {
    let once = Usage {
        input: 10,
        cached: 5,
        output: 2,
        reasoning: 1,
    };
    let script = Script::new()
        .turn(|turn| turn.text("a").usage(once).text("b").usage(once))
        .turn(|turn| turn.text("a").no_usage())
        .turn(|turn| turn.text("a").no_usage());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let usage = gateway.client().chat(json!({})).await?.body["usage"].clone();
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(20), &json!(4))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 10);

    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (
            reply.text()?,
            reply.body.get("usage").unwrap_or(&Value::Null)
        ),
        ("a", &Value::Null)
    );
    let mut stream = gateway
        .client()
        .stream(json!({"stream_options": {"include_usage": true}}))
        .await?;
    assert_eq!(stream.text().await?, "a");
    Ok(())
}

#[tokio::test]
async fn a_json_object_is_requested_and_checked() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.text("{\"a\"").text(": 1}"))
        .turn(|turn| turn.text("Sorry, no."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let format = json!({"response_format": {"type": "json_object"}});
    assert_eq!(
        gateway.client().chat(format.clone()).await?.text()?,
        "{\"a\": 1}"
    );
    let start = fake.expect("thread/start").await?;
    assert!(start["params"].to_string().contains("JSON"), "{start}");
    let reply = gateway.client().chat(format).await?;
    assert!(
        reply.status.is_server_error(),
        "{} {}",
        reply.status,
        reply.body
    );
    Ok(())
}

#[tokio::test]
async fn a_schema_is_handed_to_codex() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("{\"answer\":4}")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    let reply = gateway
        .client()
        .chat(json!({"response_format": format}))
        .await?;
    assert_eq!(reply.text()?, "{\"answer\":4}");
    assert_eq!(
        fake.expect("turn/start").await?["params"]["outputSchema"],
        schema
    );
    Ok(())
}
