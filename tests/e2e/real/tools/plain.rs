//! Models to which Codex by itself offers only a JavaScript tool: functions reach them as functions.

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, programs, tool};
use anyhow::{Context, Result};
use serde_json::json;

use super::{BERGEN, OSLO, WEATHER, asking, outcome, output};

const CODE_MODE: &str = "gpt-5.6-sol";

#[tokio::test]
async fn a_model_in_code_mode_gets_plain_functions() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::words("Nothing to call."));
    let plain = json!({"model": CODE_MODE});
    gateway.client().chat(plain).await?.text()?;
    let alone = model.call().await?;
    // The premise of the test: without the client's tools, this model is in code mode.
    assert!(has_additional_tools(&alone.body), "{}", alone.body["input"]);
    if programs::real_codex_is_oldest()? {
        // 0.163.0 has one catalogue for all threads, so it cannot offer plain functions, and the client receives an error.
        let body = json!({"model": CODE_MODE, "tools": [tool(WEATHER)]});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (400, &json!("tools_unavailable")),
            "{}",
            reply.body
        );
        return Ok(());
    }

    for streaming in [false, true] {
        model.next(
            ModelAnswer::new()
                .call("call_1", WEATHER, OSLO)
                .call("call_2", WEATHER, BERGEN),
        );
        model.next(ModelAnswer::words("Both cold."));
        let mut talk = asking(&gateway, json!({"model": CODE_MODE})).streaming(streaming);
        let response = talk.ask().await?;
        assert_eq!(outcome(&response), ("", "tool_calls", ""));
        assert_eq!(response.ids(), ["call_1", "call_2"]);
        let response = talk.answer(&[("call_1", "7"), ("call_2", "9")]).await?;
        assert_eq!(outcome(&response), ("resumed", "stop", "Both cold."));
        for number in 0..2 {
            let request = model.call().await?;
            assert_eq!(request.model(), CODE_MODE);
            assert_eq!(request.tool_names(), [WEATHER]);
            assert!(!has_additional_tools(&request.body), "request {number}");
            if number == 1 {
                let outputs = [output("call_1", "7"), output("call_2", "9")];
                assert_eq!(request.outputs(), outputs);
            }
        }
    }
    assert_eq!(model.calls().len(), 5);
    Ok(())
}

fn has_additional_tools(body: &serde_json::Value) -> bool {
    body.to_string().contains("additional_tools")
}

#[tokio::test]
async fn the_list_shows_that_such_a_model_takes_tools() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let list = gateway.client().get("/v1/models").await?.body;
    let models = list["data"].as_array().context("no list")?;
    let found = models.iter().find(|model| model["id"] == CODE_MODE);
    let supports = !programs::real_codex_is_oldest()?;
    assert_eq!(found.context("not listed")?["supports_tools"], supports);
    Ok(())
}
