//! Invalid uses of tools, and calls of the model that break the request's constraints.

use airlock_tests::{FakeCodex, Gateway, Reply, Script, fan_out, tool};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{OSLO, WEATHER, asking_with};

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": WEATHER, "arguments": OSLO}})
}

fn calls(ids: &[&str]) -> Value {
    let calls: Vec<_> = ids.iter().map(|id| call(id)).collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "7"})
}

fn user() -> Value {
    json!({"role": "user", "content": "hi"})
}

fn refusal(reply: &Reply) -> (u16, &str) {
    let param = reply.error("param").as_str().unwrap_or_default();
    (reply.status.as_u16(), param)
}

#[tokio::test]
async fn a_history_that_does_not_fit_together_is_refused() -> Result<()> {
    let rows = [
        ("messages[1].tool_call_id", json!([user(), result("a")])),
        (
            "messages[2].tool_call_id",
            json!([user(), calls(&["a"]), result("b")]),
        ),
        (
            "messages[3].tool_call_id",
            json!([user(), calls(&["a"]), result("a"), result("a")]),
        ),
        (
            "messages[1].tool_calls[1].id",
            json!([user(), calls(&["a", "b"]), result("a")]),
        ),
        (
            "messages[1].tool_calls[0].id",
            json!([user(), calls(&["a"]), user()]),
        ),
        (
            "messages[1].tool_calls[0].id",
            json!([user(), calls(&["a"])]),
        ),
        (
            "messages[1].tool_calls[1].id",
            json!([user(), calls(&["a", "a"]), result("a")]),
        ),
        (
            "messages[3].tool_calls[1].id",
            json!([user(), calls(&["a"]), result("a"), calls(&["a", "a"])]),
        ),
        (
            "messages[1].tool_calls[0].id",
            json!([user(), calls(&[""]), result("")]),
        ),
    ];
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (param, messages) in rows {
        let body = json!({"messages": messages, "tools": [tool(WEATHER)]});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(refusal(&reply), (400, param), "{messages}: {}", reply.body);
    }
    assert_eq!(fake.received("thread/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn tools_that_cannot_be_offered_are_refused() -> Result<()> {
    let named = |name: &str| json!([tool(name)]);
    let with = |parameters: Value| {
        let mut tool = tool(WEATHER);
        tool["function"]["parameters"] = parameters;
        json!([tool])
    };
    let many: Vec<_> = (0..129).map(|number| tool(&format!("f{number}"))).collect();
    let rows = [
        ("tools[0].function.name", named("")),
        ("tools[0].function.name", named(&"x".repeat(129))),
        ("tools[1].function.name", json!([tool("a"), tool("a")])),
        ("tools[0].function.parameters", with(json!([]))),
        ("tools[0].function.parameters", with(json!("object"))),
        (
            "tools[0].function.parameters",
            with(json!({"type": "array"})),
        ),
        ("tools", json!(many)),
    ];
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (param, tools) in rows {
        let reply = gateway.client().chat(json!({"tools": tools})).await?;
        let (status, response) = refusal(&reply);
        assert_eq!(status, 400, "{}", reply.body);
        assert!(response.starts_with(param), "{param}: {}", reply.body);
    }
    assert_eq!(fake.received("thread/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_choice_that_cannot_be_made_is_refused() -> Result<()> {
    let other = json!({"type": "function", "function": {"name": "other"}});
    let rows = [
        (
            "tool_choice.function.name",
            json!({"tools": [tool(WEATHER)], "tool_choice": other}),
        ),
        ("tool_choice", json!({"tool_choice": "required"})),
        (
            "tool_choice",
            json!({"tools": [tool(WEATHER)], "tool_choice": "sometimes"}),
        ),
        (
            "tool_choice",
            fan_out(
                2,
                json!({"tools": [tool(WEATHER)], "tool_choice": "required"}),
            ),
        ),
    ];
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (param, body) in rows {
        let reply = gateway.client().chat(body).await?;
        assert_eq!(refusal(&reply), (400, param), "{}", reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_must_be_made_and_is_not_is_an_error() -> Result<()> {
    let named = json!({"type": "function", "function": {"name": WEATHER}});
    for choice in [json!("required"), named] {
        let script = Script::new().every_turn(|turn| turn.text("I would rather not."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let more = json!({"tool_choice": choice, "tools": [tool(WEATHER), tool("other")]});
        let body = asking_with(&gateway, "hi", more).request();
        let reply = gateway.client().chat(body.clone()).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("tool_choice_unmet")),
            "{}",
            reply.body
        );
        let offered = fake.expect("thread/start").await?["params"]["dynamicTools"].take();
        let expected = if choice.is_string() { 2 } else { 1 };
        assert_eq!(offered.as_array().map(Vec::len), Some(expected));
        let frames = gateway.client().stream(body).await?.frames().await?;
        let error = frames.iter().find_map(|frame| frame.error());
        assert_eq!(error.context("no error")?["code"], "tool_choice_unmet");
    }
    Ok(())
}

#[tokio::test]
async fn arguments_that_break_a_strict_schema_are_an_error() -> Result<()> {
    let mut strict = tool(WEATHER);
    strict["function"]["strict"] = json!(true);
    let script = Script::new()
        .turn(|turn| {
            turn.call("call_1", WEATHER, r#"{"city":7}"#)
                .respond()
                .hang()
        })
        .turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking_with(&gateway, "hi", json!({"tools": [strict]}));
    let reply = gateway.client().chat(talk.request()).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("strict_unmet")),
        "{}",
        reply.body
    );
    fake.expect_endings("interrupted", 1).await?;
    assert_eq!(talk.ask().await?.call()?.arguments, OSLO);
    assert_eq!(talk.answer(&[("call_1", "7")]).await?.turn, "resumed");
    fake.expect_threads_returned().await
}

#[tokio::test]
async fn a_strict_schema_that_doubles_is_checked_and_one_that_takes_too_long_is_an_error()
-> Result<()> {
    let level = |level: usize| {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        (format!("d{level}"), json!({"anyOf": [next, next]}))
    };
    let mut levels: serde_json::Map<String, Value> = (0..18).map(level).collect();
    levels.insert("d18".to_owned(), json!({"type": "integer"}));
    let doubling =
        json!({"type": "object", "properties": {"city": {"$ref": "#/$defs/d0"}}, "$defs": levels});
    let many: Vec<_> = (0..20_000).collect();
    let long = json!({"type": "object", "properties": {"city": {"items": {"enum": many}}}});
    let arguments = json!({"city": vec![19_999; 1_000]}).to_string();
    for (schema, arguments, code) in [
        (doubling, OSLO, "strict_unmet"),
        (long, &arguments, "strict_unchecked"),
    ] {
        let mut strict = tool(WEATHER);
        strict["function"]["strict"] = json!(true);
        strict["function"]["parameters"] = schema;
        let script =
            Script::new().turn(|turn| turn.call("call_1", WEATHER, arguments).respond().hang());
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let talk = asking_with(&gateway, "hi", json!({"tools": [strict]}));
        let reply = gateway.client().chat(talk.request()).await?;
        let outcome = (reply.status.as_u16(), reply.error("code"));
        assert_eq!(outcome, (502, &json!(code)), "{}", reply.body);
        fake.expect_endings("interrupted", 1).await?;
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn candidates_are_offered_no_tools() -> Result<()> {
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text("the answer")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let body = fan_out(2, json!({"tools": [tool(WEATHER)]}));
    let reply = gateway.client().chat(body).await?;
    assert_eq!(reply.text()?, "the answer");
    assert!(reply.header("x-airlock-ignored").contains("tools"));
    for started in fake.received("thread/start") {
        let tools = &started["params"]["dynamicTools"];
        assert!(tools.as_array().is_none_or(Vec::is_empty), "{tools}");
    }
    Ok(())
}
