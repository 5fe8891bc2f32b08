//! The functions that are offered to the model, and the calls that the client receives.

use airlock_tests::{FakeCodex, Gateway, Script, Usage, tool};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{BERGEN, OSLO, WEATHER, asking, asking_with, outcome};

#[tokio::test]
async fn one_call_is_made_and_its_result_reaches_the_model() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Cold."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        let response = talk.ask().await?;
        assert_eq!(outcome(&response), ("", "tool_calls", ""));
        let call = response.call()?;
        assert_eq!(
            (
                call.id.as_str(),
                call.name.as_str(),
                call.arguments.as_str()
            ),
            ("call_1", WEATHER, OSLO)
        );
        let response = talk.answer(&[("call_1", "7 degrees")]).await?;
        assert_eq!(outcome(&response), ("resumed", "stop", "Cold."));
        let result = fake.expect_result().await?;
        assert_eq!(
            (result.call.as_str(), result.success, &result.output),
            ("call_1", true, &json!("7 degrees"))
        );
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_offered_reaches_codex_as_it_is() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = asking(&gateway, "hi").ask().await?;
    assert_eq!(outcome(&reply), ("", "stop", "You said: hi"));
    let params = fake.expect("thread/start").await?["params"].take();
    let offered = &params["dynamicTools"][0];
    assert_eq!(
        (&offered["type"], &offered["name"]),
        (&json!("function"), &json!(WEATHER))
    );
    let given = &tool(WEATHER)["function"];
    assert_eq!(offered["inputSchema"], given["parameters"]);
    assert_eq!(offered["description"], given["description"]);
    assert_eq!(params["experimentalRawEvents"], true);

    gateway.client().ask("without").await?;
    let params = fake.expect("thread/start").await?["params"].take();
    assert!(params.get("dynamicTools").is_none_or(Value::is_null));
    // Only raw events contain the text that Codex cuts out of an answer.
    assert_eq!(params["experimentalRawEvents"], true);
    Ok(())
}

#[tokio::test]
async fn no_tools_are_offered_where_none_may_be_used() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for more in [
        json!({"tool_choice": "none"}),
        json!({"tools": []}),
        json!({"tools": null}),
    ] {
        let response = asking_with(&gateway, "hi", more).ask().await?;
        assert_eq!(response.text, "You said: hi");
        let params = fake.expect("thread/start").await?["params"].take();
        assert!(
            params
                .get("dynamicTools")
                .is_none_or(|tools| tools.as_array().is_none_or(Vec::is_empty))
        );
    }
    Ok(())
}

#[tokio::test]
async fn three_calls_at_once_reach_the_client_in_order() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| {
            turn.call("call_1", WEATHER, OSLO)
                .call("call_2", WEATHER, BERGEN)
                .call("call_3", WEATHER, "{}")
                .text("All cold.")
        });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is it?").streaming(streaming);
        let response = talk.ask().await?;
        assert_eq!(response.ids(), ["call_1", "call_2", "call_3"]);
        let arguments: Vec<_> = response
            .calls
            .iter()
            .map(|call| call.arguments.as_str())
            .collect();
        assert_eq!(arguments, [OSLO, BERGEN, "{}"]);
        // Results may come in any order, and each reaches its call.
        let results = [("call_3", "three"), ("call_1", "one"), ("call_2", "two")];
        let response = talk.answer(&results).await?;
        assert_eq!(outcome(&response), ("resumed", "stop", "All cold."));
        let mut brought: Vec<_> = fake
            .results()
            .into_iter()
            .map(|result| (result.call, result.output))
            .collect();
        brought.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [("call_1", "one"), ("call_2", "two"), ("call_3", "three")]
            .map(|(call, text)| (call.to_owned(), json!(text)));
        assert_eq!(brought, expected);
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn calls_in_two_rounds_run_in_one_turn() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| {
            turn.call("call_1", WEATHER, OSLO)
                .respond()
                .call("call_2", WEATHER, BERGEN)
                .text("Both cold.")
        });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is it?").streaming(streaming);
        assert_eq!(talk.ask().await?.ids(), ["call_1"]);
        let response = talk.answer(&[("call_1", "7")]).await?;
        assert_eq!(outcome(&response), ("resumed", "tool_calls", ""));
        assert_eq!(response.ids(), ["call_2"]);
        let response = talk.answer(&[("call_2", "9")]).await?;
        assert_eq!(outcome(&response), ("resumed", "stop", "Both cold."));
        assert_eq!(fake.received("turn/start").len(), 1);
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn text_before_a_call_is_delivered_before_it() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| {
            turn.text("Let me ")
                .text("see.")
                .call("call_1", WEATHER, OSLO)
                .text("It rains.")
        });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        let response = talk.ask().await?;
        assert_eq!(outcome(&response), ("", "tool_calls", "Let me see."));
        assert_eq!(response.ids(), ["call_1"]);
        let response = talk.answer(&[("call_1", "rain")]).await?;
        assert_eq!(outcome(&response), ("resumed", "stop", "It rains."));
    }
    Ok(())
}

#[tokio::test]
async fn each_request_reports_the_tokens_of_its_own_responses() -> Result<()> {
    let used = |input, output| Usage {
        input,
        output,
        ..Usage::default()
    };
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| {
            turn.call("call_1", WEATHER, OSLO)
                .usage(used(100, 10))
                .text("Cold.")
                .usage(used(130, 3))
        });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        let first = talk.ask().await?;
        let second = talk.answer(&[("call_1", "7")]).await?;
        let response = [&first, &second].map(|response| {
            (
                response.tokens("prompt_tokens"),
                response.tokens("completion_tokens"),
            )
        });
        assert_eq!(response, [(Some(100), Some(10)), (Some(130), Some(3))]);
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_codex_refuses_is_changed_and_changed_back() -> Result<()> {
    let script = Script::new().turn(|turn| {
        turn.call("call_1", "get_weather_f65d4328", OSLO)
            .text("Cold.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let more = json!({"tools": [tool("get.weather")]});
    let mut talk = asking_with(&gateway, "How is Oslo?", more);
    assert_eq!(talk.ask().await?.call()?.name, "get.weather");
    let response = talk.answer(&[("call_1", "7")]).await?;
    assert_eq!(outcome(&response), ("resumed", "stop", "Cold."));
    let offered = fake.expect("thread/start").await?["params"]["dynamicTools"].take();
    assert_eq!(offered[0]["name"], "get_weather_f65d4328");
    Ok(())
}

#[tokio::test]
async fn a_tool_that_nobody_offered_is_codexs_own_affair() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new().turn(|turn| turn.call("call_1", "nope", "{}").text("Then not."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let response = asking(&gateway, "hi").streaming(streaming).ask().await?;
        assert_eq!(outcome(&response), ("", "stop", "Then not."));
        fake.expect_endings("completed", 1).await?;
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_parallel_calls_only_the_first_call_is_delivered() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new()
            .turn(|turn| {
                turn.call("call_1", WEATHER, OSLO)
                    .call("call_2", WEATHER, BERGEN)
                    .text("never told")
            })
            .turn(|turn| turn.text("Cold."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let more = json!({"parallel_tool_calls": false});
        let mut talk = asking_with(&gateway, "hi", more).streaming(streaming);
        assert_eq!(talk.ask().await?.ids(), ["call_1"]);
        // The turn has a call that never gets a result.
        fake.expect_endings("interrupted", 1).await?;
        let response = talk.answer(&[("call_1", "7")]).await?;
        assert_eq!(outcome(&response), ("rebuilt", "stop", "Cold."));
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_image_in_a_result_reaches_codex_as_one() -> Result<()> {
    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Grey."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is Oslo?");
    talk.ask().await?;
    let parts = json!([{"type": "text", "text": "seen:"}, {"type": "image_url", "image_url": {"url": PIXEL}}]);
    talk.result("call_1", parts);
    let response = talk.ask().await?;
    assert_eq!(outcome(&response), ("resumed", "stop", "Grey."));
    let output = fake.expect_result().await?.output;
    let [text, image] = output.as_array().context("no parts")?.as_slice() else {
        anyhow::bail!("not two parts: {output}")
    };
    assert_eq!(text["text"], "seen:");
    assert_eq!(image["image_url"], PIXEL);
    Ok(())
}
