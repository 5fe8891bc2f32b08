//! The client's functions through the real Codex.

mod broken; // streams that break or pause after a call
mod choosing; // `tool_choice`
mod ending; // parked turns that do not resume
mod left; // threads after a turn
mod plain; // models in code mode

use airlock_tests::{Completion, Conversation, Gateway, ModelAnswer, ScriptedModel, tool};
use anyhow::{Context, Result};
use serde_json::{Value, json};

const WEATHER: &str = "get_weather";
const OSLO: &str = r#"{"city":"Oslo"}"#;
const BERGEN: &str = r#"{"city":"Bergen"}"#;

/// A PNG of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Settings with which no turn is parked.
const NO_PARKING: &str = "[limits]\nparked_turns = 0";

fn asking(gateway: &Gateway, more: Value) -> Conversation {
    let mut more = more;
    if let Some(members) = more.as_object_mut() {
        members.entry("tools").or_insert(json!([tool(WEATHER)]));
    }
    Conversation::new(gateway.client(), "How is Oslo?", more)
}

fn outcome(reply: &Completion) -> (&str, &str, &str) {
    (&reply.turn, &reply.finish_reason, &reply.text)
}

fn output(call: &str, text: &str) -> (String, Value) {
    (call.to_owned(), json!(text))
}

#[tokio::test]
async fn one_call_goes_to_the_client_and_its_result_to_the_model() -> Result<()> {
    for streaming in [false, true] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::over_real(&model).await?;
        model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
        model.next(ModelAnswer::words("It is cold."));
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        let reply = talk.ask().await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", ""));
        let call = reply.call()?;
        assert_eq!(
            (
                call.id.as_str(),
                call.name.as_str(),
                call.arguments.as_str()
            ),
            ("call_1", WEATHER, OSLO)
        );
        let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "It is cold."));

        let request = model.call().await?;
        assert_eq!(request.tool_names(), [WEATHER]);
        assert_eq!(
            request.tools()[0]["parameters"]["required"],
            json!(["city"])
        );
        let request = model.call().await?;
        assert_eq!(
            request.calls(),
            [("call_1".to_owned(), WEATHER.to_owned(), OSLO.to_owned())]
        );
        assert_eq!(request.outputs(), [output("call_1", "7 degrees")]);
        assert_eq!(model.calls().len(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn three_calls_at_once_are_answered_at_once() -> Result<()> {
    for streaming in [false, true] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::over_real(&model).await?;
        model.next(
            ModelAnswer::new()
                .call("call_1", WEATHER, OSLO)
                .call("call_2", WEATHER, BERGEN)
                .call("call_3", WEATHER, "{}"),
        );
        model.next(ModelAnswer::words("All cold."));
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        assert_eq!(talk.ask().await?.ids(), ["call_1", "call_2", "call_3"]);
        let results = [("call_2", "two"), ("call_3", "three"), ("call_1", "one")];
        let reply = talk.answer(&results).await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "All cold."));
        let outputs = model
            .expect_calls(2)
            .await?
            .pop()
            .context("none")?
            .outputs();
        assert_eq!(
            outputs,
            [
                output("call_1", "one"),
                output("call_2", "two"),
                output("call_3", "three")
            ]
        );
    }
    Ok(())
}

#[tokio::test]
async fn two_rounds_are_one_conversation_of_the_models() -> Result<()> {
    for streaming in [false, true] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::over_real(&model).await?;
        model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
        model.next(ModelAnswer::words("One more.").call("call_2", WEATHER, BERGEN));
        model.next(ModelAnswer::words("Both cold."));
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        talk.ask().await?;
        let reply = talk.answer(&[("call_1", "7")]).await?;
        assert_eq!(outcome(&reply), ("resumed", "tool_calls", "One more."));
        let reply = talk.answer(&[("call_2", "9")]).await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "Both cold."));
        let outputs = model
            .expect_calls(3)
            .await?
            .pop()
            .context("none")?
            .outputs();
        assert_eq!(outputs, [output("call_1", "7"), output("call_2", "9")]);
    }
    Ok(())
}

#[tokio::test]
async fn a_call_after_text_follows_it() -> Result<()> {
    for streaming in [false, true] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::over_real(&model).await?;
        model.next(ModelAnswer::words("Let me see.").call("call_1", WEATHER, OSLO));
        model.next(ModelAnswer::words("It rains."));
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        let reply = talk.ask().await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", "Let me see."));
        let reply = talk.answer(&[("call_1", "rain")]).await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "It rains."));
    }
    Ok(())
}

#[tokio::test]
async fn a_result_that_is_an_error_is_a_result() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    model.next(ModelAnswer::words("I could not find out."));
    let mut talk = asking(&gateway, json!({}));
    talk.ask().await?;
    let error = "Error: no such city\n  at weather()";
    let reply = talk.answer(&[("call_1", error)]).await?;
    assert_eq!(
        outcome(&reply),
        ("resumed", "stop", "I could not find out.")
    );
    let outputs = model
        .expect_calls(2)
        .await?
        .pop()
        .context("none")?
        .outputs();
    assert_eq!(outputs, [output("call_1", error)]);
    Ok(())
}

#[tokio::test]
async fn a_large_result_reaches_the_model_whole() -> Result<()> {
    let large = "0123456789".repeat(30_000);
    for settings in ["", NO_PARKING] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::with().settings(settings).over_real(&model).await?;
        model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
        model.next(ModelAnswer::words("Long."));
        let mut talk = asking(&gateway, json!({}));
        talk.ask().await?;
        assert_eq!(talk.answer(&[("call_1", &large)]).await?.text, "Long.");
        let outputs = model
            .expect_calls(2)
            .await?
            .pop()
            .context("none")?
            .outputs();
        let reply = outputs.first().and_then(|(_, output)| output.as_str());
        assert_eq!(reply.map(str::len), Some(large.len()));
    }
    Ok(())
}

#[tokio::test]
async fn an_image_in_a_result_reaches_the_model() -> Result<()> {
    for settings in ["", NO_PARKING] {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::with().settings(settings).over_real(&model).await?;
        model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
        model.next(ModelAnswer::words("Grey."));
        let mut talk = asking(&gateway, json!({}));
        talk.ask().await?;
        let image = json!({"type": "image_url", "image_url": {"url": PIXEL}});
        talk.result("call_1", json!([{"type": "text", "text": "seen:"}, image]));
        assert_eq!(talk.ask().await?.text, "Grey.");
        let outputs = model
            .expect_calls(2)
            .await?
            .pop()
            .context("none")?
            .outputs();
        let (_, parts) = outputs.first().context("no output")?;
        assert_eq!(
            (&parts[0]["type"], &parts[0]["text"]),
            (&json!("input_text"), &json!("seen:"))
        );
        assert_eq!(
            (&parts[1]["type"], &parts[1]["image_url"]),
            (&json!("input_image"), &json!(PIXEL))
        );
    }
    Ok(())
}

/// A conversation of two rounds, with text, an image and an empty result.
async fn items_sent_to_the_model(settings: &str) -> Result<Vec<Vec<Value>>> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with().settings(settings).over_real(&model).await?;
    model.next(
        ModelAnswer::words("Let me see.")
            .call("call_1", WEATHER, OSLO)
            .call("call_2", WEATHER, BERGEN),
    );
    model.next(ModelAnswer::new().call("call_3", WEATHER, "{ }"));
    model.next(ModelAnswer::words("All cold."));
    let mut talk = asking(&gateway, json!({}));
    talk.messages
        .insert(0, json!({"role": "system", "content": "You are terse."}));
    talk.ask().await?;
    talk.result("call_2", "two");
    let image = json!({"type": "image_url", "image_url": {"url": PIXEL}});
    talk.result(
        "call_1",
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, image]),
    );
    talk.ask().await?;
    let reply = talk.answer(&[("call_3", "")]).await?;
    assert_eq!(reply.text, "All cold.");
    let turn = if settings.is_empty() {
        "resumed"
    } else {
        "rebuilt"
    };
    assert_eq!(reply.turn, turn);
    let calls = model.expect_calls(3).await?;
    assert_eq!(calls.len(), 3);
    Ok(calls
        .iter()
        .map(airlock_tests::model::ModelRequest::items)
        .collect())
}

#[tokio::test]
async fn the_model_cannot_tell_a_rebuilt_turn_from_one_that_went_on() -> Result<()> {
    let resumed = items_sent_to_the_model("").await?;
    let rebuilt = items_sent_to_the_model(NO_PARKING).await?;
    for (number, (resumed, rebuilt)) in resumed.iter().zip(&rebuilt).enumerate() {
        assert_eq!(resumed, rebuilt, "request {number}");
    }
    Ok(())
}
